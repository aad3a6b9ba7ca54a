// Package lake brings tables back from what windows have left in the object store: manifests and parts.
//
// Invariants, cited where they are enforced:
//
//  1. Only what was committed counts. An attempt may have left a manifest in the store without ever having been published, so the
//     warehouse's receipts say which manifests are of publishes; without receipts two attempts of a step must hold the same.
//  2. Nothing of the warehouse is touched before every manifest and every part that is needed has been found.
//  3. A table is rebuilt from the last publish that replaced it, by all later ones in their order: the last row of a key counts.
//  4. A rebuilt table is one of its own, with a name, an owner and a receipt of its own: a pipeline's tables move by its fence only.
package lake
