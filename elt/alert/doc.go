// Package alert delivers messages about jobs: to Slack, by mail, to PagerDuty, to any other receiver of JSON.
//
// Invariants, cited where they are enforced:
//  1. A message is delivered when the receiver has said so: a 2xx answer, or the 250 after the mail's data.
//  2. An error names the channel and what the receiver answered, and never an address that holds a secret.
//  3. A message says job, interval, kind, cause and counts. It holds no value of a row: it is made of what elt gives, which
//     has none.
package alert
