// Package folder is a store in a local folder: the lake of a one-machine deployment and of most tests.
//
// Invariants, cited where they are enforced:
//  1. A key appears whole or not at all, and stays after a power cut: its bytes and every folder on its path are synced
//     before Put returns.
//  2. Nothing is overwritten: a key is linked into place, and a link to an existing name fails.
//  3. No key leaves the root, by its name or through a symbolic link.
package folder
