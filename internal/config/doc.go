// Package config reads a project folder (DESIGN §9): tidemill.yaml, sources/*.yaml, pipelines/*.yaml and jobs/*.yaml with their
// SQL files beside them. It knows the mechanics of strict YAML and no connector: what is inside a source or a job belongs to its package, which
// decodes it with Node.Decode.
//
// Invariants, cited where they are enforced:
//  1. Every problem of a folder is reported at once, each with file, line, column and YAML path.
//  2. An unknown key is an error. Nothing in a file is ever ignored.
//  3. Reading is pure: no network, no environment but the lookup passed in, no files outside the folder but those a
//     ${file:…} reference names.
//  4. No problem carries a secret: messages hold no expanded value, and the shown line is masked where a secret may be.
//  5. A reference to a missing variable or file is no error in itself; Project.Missing lists them for those who need values.
//  6. One cause, one problem: what cannot be read is reported by itself, before the rest, and what refers to it is not judged.
package config
