// Package servers starts real database, broker and object-store servers on 127.0.0.1, each with a private data
// folder, and stops them by process id. The demo (cmd/clinic) and every test that needs the real thing use it.
//
// Invariants:
//
//  1. A server listens on 127.0.0.1 only. Nothing this package starts is reachable from another machine.
//  2. Nobody outlives us: a child dies with the process that started it, kill -9 included (process.go).
//  3. Start returns after the server has answered a real query or handshake, never because a socket or a log line exists.
//  4. Restart keeps folder and port, so clients with a fixed address reconnect; Kill is SIGKILL, as in a crash.
//  5. A missing component is a *MissingError: one line that names the command that brings it. Nothing is installed
//     behind the caller's back; Install is a separate, idempotent call.
package servers
