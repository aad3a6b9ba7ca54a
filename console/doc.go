// Package console is the daemon's HTTP API: status, read-only SQL, verification, metrics and health. The CLI speaks only to
// it; what it serves is given to it as functions and small interfaces.
//
// Invariants, cited where they are enforced:
//  1. Everything but health and metrics needs the project's token. The token is a file only the operator can read, so who
//     may use the API is who may read the daemon's folder.
//  2. A request that a web page elsewhere made a browser send is refused: its Host is not ours or it carries a foreign Origin.
//  3. Nothing here writes to a source, the log or the warehouse. What people ask for (resync, backfill, …) is given to those who do.
//  4. Rows go to the one who asked and nowhere else: no SQL, no row and no error of a query is logged.
//  5. An answer that breaks off is never mistaken for a whole one: its error is in the trailer Tidemill-Error.
package console
