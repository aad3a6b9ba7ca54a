// Package view turns the SQL of a joined view into a plan that keeps it exact window by window: which anchors a change
// affects, which rows those anchors are made of, and the view over just these rows.
//
// DuckDB parses the text; the syntax tree is analysed here, as data. Nothing here runs against rows.
//
// Invariants, cited where they are enforced:
//  1. Every output row belongs to one anchor row: the first table in FROM is the anchor, INNER and LEFT joins reach the
//     rest, aggregates, DISTINCT and ranks stay inside one anchor, and the view's key holds the anchor's primary key.
//  2. The view is a function of the rows alone: only functions on the allow-list, no clock, no chance, no dependence on
//     the order in which rows are stored (order-sensitive functions are sorted down to the primary keys of every table).
//  3. Affected anchors are those whose joined rows hold an old or a new image of a changed row. Looking at one relation at a
//     time, with the relations before it in their old state, finds them all: take the first relation, in FROM order, in
//     which the joined rows of an anchor differ; up to there they are the same in both states.
//  4. What is refused is refused when the plan is made, with the construct, its line and what to write instead; all of it at
//     once. What is wrong whatever columns the tables have is refused before that, by Check, without any table.
package view
