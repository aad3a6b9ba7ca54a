// Command tidemill is the daemon and its command line (DESIGN §9).
//
// Invariants, cited where they are enforced:
//  1. This package alone reads the environment, the arguments and the signals, and ends the process.
//  2. One function decides the exit code: 0 ok, 1 runtime, 2 configuration or usage, 3 environment.
//  3. check, new and version touch no network. Everything else speaks to the daemon or is the daemon.
//  4. Results go to stdout; what a person reads besides goes to stderr, an error as one block: what, why, remedy.
package main
