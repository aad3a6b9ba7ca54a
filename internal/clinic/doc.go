// Package clinic is a busy telemedicine clinic in two databases: what the demo shows and the end-to-end tests load.
//
// `consult` holds database clinic (patients, doctors, appointments), `pharmacy` holds database pharmacy (orders,
// order_items, payments). With Options.Chats there is a third store, a DynamoDB table of chat sessions, which name appointments too.
// An order names an appointment of the other server, as services do: no foreign key reaches
// that far. The same SQL runs on MariaDB and MySQL.
//
// Invariants:
//
//  1. Every statement is a function of the seed, the clock and what the tables held at Open: the same N steps on the same
//     tables write the same rows. (updated_at is the server's own clock and the exception.)
//  2. After each committed transaction of the pharmacy, and so in every consistent cut: an order's amount is the sum of
//     its items and its paid is the sum of its payments (Balances). Half a transaction breaks that visibly.
//  3. No foreign key cascades: a cascade runs inside the storage engine and never reaches the binlog of MariaDB or of
//     MySQL before 9.6, so children are deleted by name.
//  4. All kinds of change occur: insert, update, delete, upsert, many rows per statement, many tables per transaction, a row
//     changed several times or born and gone in one transaction, a changed primary key, a moved foreign key within and
//     across servers, NULL set and unset, text from empty to large, a rollback, payments long after their order.
package clinic
