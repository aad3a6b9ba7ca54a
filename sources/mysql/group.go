package mysql

import (
	"slices"

	"github.com/tidemill/tidemill/ingest"
)

// This file is the state machine of binlog groups: events in, effects out. It does no I/O, holds no connection and asks no
// clock; the golden transcripts in testdata/groups are its specification.

// eventKind is what an event is to the machine.
type eventKind uint8

const (
	evGTID eventKind = iota + 1
	evQuery
	evTableMap
	evRows
	evXID
	evXAPrepare
	evIncident  // the server says that it lost events
	evAnonymous // a group without a GTID
	evRestart   // the log continues in a file that a restarted server began
	evFragment  // a kind of event that carries rows in a form we do not read
)

// event is one event of the log, as much as the machine needs of it.
type event struct {
	kind       eventKind
	standalone bool             // evGTID, MariaDB: the group is one statement
	prepared   bool             // evGTID, MariaDB: an XA transaction, prepared only
	statement  statement        // evQuery
	table      ingest.TableName // evTableMap, evRows, evFragment of a captured table
	captured   bool             // evTableMap, evRows, evFragment: the table is captured and not parked
	child      bool             // evTableMap: foreign keys of the table cascade
	insert     bool             // evRows: nothing that a cascade could start from
	last       bool             // evRows: the statement ends with it
}

// effectKind is what is to be done.
type effectKind uint8

const (
	doBegin   effectKind = iota + 1 // open the group: something of it is captured
	doRows                          // decode and emit the rows of the event
	doEnd                           // the group is complete
	doPass                          // the group is complete and nothing of it is captured
	doPark                          // stop the table
	doAnew                          // the table has the content of another: load it anew
	doDefine                        // the table's definition may have changed
	doAppear                        // a table that the configuration wants has come into being
	doTrigger                       // the table has triggers from here on
	doView                          // a view has come into being
	doRefuse                        // stop the stream: the log cannot be read on
)

var effectNames = [...]string{"", "begin", "rows", "end", "pass", "park", "anew", "define", "appear", "trigger", "view", "refuse"}

// effect is one thing to be done, in order.
type effect struct {
	do     effectKind
	table  ingest.TableName
	reason reason
	alter  alteration // doDefine
}

// world is what the machine must know about tables to judge a statement.
type world interface {
	captured(t ingest.TableName) bool            // is captured at this point of the log and not parked
	known(t ingest.TableName) bool               // rows of it may have been emitted
	wanted(t ingest.TableName) bool              // the configuration captures it if it exists
	all() []ingest.TableName                     // captured tables
	inDatabase(schema string) []ingest.TableName // captured tables of a database
	hasTriggers(t ingest.TableName) bool         // a change of it may change others
	view(t ingest.TableName) bool                // is a view: a change of it changes others
	below(t ingest.TableName) []ingest.TableName // captured tables to which its foreign keys cascade
}

type groupState uint8

const (
	outside     groupState = iota
	opened                 // the GTID was read
	single                 // MariaDB: one statement follows and ends the group
	transaction            // until XID, COMMIT, ROLLBACK or XA PREPARE
)

// group is the machine.
type group struct {
	flavor flavor
	world  world

	state   groupState
	begun   bool               // doBegin was given
	xa      bool               // the outcome is not known yet when the rows pass
	rows    []ingest.TableName // captured tables with rows in the open group
	waiting []ingest.TableName // tables mapped in this statement that a cascade may have changed
	changed bool               // the statement updates or deletes

	out []effect
}

// open reports whether a group is under way.
func (g *group) open() bool { return g.state != outside }

// step takes the next event and returns what it causes. The slice is valid until the next step.
func (g *group) step(e *event) []effect {
	g.out = g.out[:0]
	switch e.kind {
	case evGTID:
		g.gtid(e)
	case evQuery:
		g.query(e.statement)
	case evTableMap:
		if e.child && e.captured {
			g.waiting = append(g.waiting, e.table)
		}
		g.enter()
	case evRows:
		g.rowsEvent(e)
	case evXID:
		g.end()
	case evXAPrepare:
		g.end()
	case evFragment:
		if e.captured {
			g.park(e.table, reasonFragment)
		}
	case evIncident:
		g.refuse(reasonIncident)
	case evAnonymous:
		g.refuse(reasonAnonymous)
	case evRestart:
		if g.open() && g.begun {
			g.refuse(reasonTorn)
		}
		g.reset()
	}
	return g.out
}

func (g *group) reset() {
	g.state, g.begun, g.xa, g.rows = outside, false, false, g.rows[:0]
	g.statementEnd()
}

func (g *group) effect(do effectKind, t ingest.TableName) {
	g.out = append(g.out, effect{do: do, table: t})
}

func (g *group) park(t ingest.TableName, r reason) {
	g.out = append(g.out, effect{do: doPark, table: t, reason: r})
}

func (g *group) refuse(r reason) {
	g.out = append(g.out, effect{do: doRefuse, reason: r})
}

func (g *group) gtid(e *event) {
	if g.open() {
		g.refuse(reasonTorn)
		return
	}
	g.state, g.xa = opened, e.prepared
	if e.standalone {
		g.state = single
	}
}

// enter is the step from the GTID into a transaction: MariaDB writes no BEGIN.
func (g *group) enter() {
	if g.state == opened {
		g.state = transaction
	}
}

func (g *group) end() {
	if !g.open() {
		return
	}
	if g.begun {
		g.effect(doEnd, ingest.TableName{})
	} else {
		g.effect(doPass, ingest.TableName{})
	}
	g.reset()
}

// rolledBack ends a group whose rows were undone in part: what was written to tables without transactions stays, the rest
// does not, and the log does not say which is which.
func (g *group) rolledBack() {
	for _, t := range g.rows {
		g.park(t, reasonRolledBack)
	}
	g.end()
}

func (g *group) rowsEvent(e *event) {
	g.enter()
	g.changed = g.changed || !e.insert
	if e.captured {
		g.waiting = slices.DeleteFunc(g.waiting, func(t ingest.TableName) bool { return t == e.table })
		g.capturedRows(e)
	}
	if e.last {
		if g.changed {
			for _, t := range g.waiting {
				g.park(t, reasonCascade)
			}
		}
		g.statementEnd()
	}
}

func (g *group) statementEnd() { g.waiting, g.changed = g.waiting[:0], false }

func (g *group) capturedRows(e *event) {
	if g.xa {
		g.park(e.table, reasonXA)
		return
	}
	if !g.begun {
		g.begun = true
		g.effect(doBegin, ingest.TableName{})
	}
	if !slices.Contains(g.rows, e.table) {
		g.rows = append(g.rows, e.table)
	}
	g.effect(doRows, e.table)
}

// query handles the text events. In a transaction only COMMIT and ROLLBACK end the group: a CREATE TABLE … SELECT has
// its rows after its text, and a savepoint is no end.
func (g *group) query(s statement) {
	switch {
	case g.state == outside:
		if s.kind != stOther { // servers write comments as queries where an event was left out
			g.refuse(reasonTorn)
		}
		return
	case g.state == opened && s.kind == stBegin:
		g.state = transaction
		return
	case g.state == opened && s.kind == stXAStart:
		g.state, g.xa = transaction, true
		return
	case g.state == opened && g.flavor == mysql:
		g.state = single
	}
	switch s.kind {
	case stCommit:
		g.end()
		return
	case stRollback:
		g.rolledBack()
		return
	case stXAFinish:
		g.end()
		return
	}
	g.define(s)
	if g.state == single {
		g.end()
	} else {
		g.enter()
	}
}

// define gives the effects of a statement on tables.
func (g *group) define(s statement) {
	switch s.kind {
	case stAlter:
		if g.world.captured(s.tables[0]) {
			g.out = append(g.out, effect{do: doDefine, table: s.tables[0], alter: s.alter})
		}
	case stCreate:
		if t := s.tables[0]; s.perhaps || !g.world.captured(t) {
			g.appear(t)
		} else if g.world.known(t) { // it went where the log does not show it
			g.anew(t)
		}
	case stReplace:
		g.each(s.tables, doPark, reasonReplaced)
		g.appear(s.tables[0])
	case stSwap:
		g.each(s.tables, doPark, reasonSwapped)
		if s.made.Name != "" {
			g.appear(s.made)
		}
	case stDrop:
		g.each(s.tables, doPark, reasonDropped)
	case stDropDatabase:
		g.each(g.world.inDatabase(s.schema), doPark, reasonDropped)
	case stTruncate:
		g.each(s.tables, doPark, reasonTruncated)
	case stRename:
		g.rename(s)
	case stTrigger:
		g.effect(doTrigger, s.tables[0])
	case stView:
		g.effect(doView, s.tables[0])
	case stDML:
		g.dml(s)
	case stUnknown:
		g.each(g.world.all(), doPark, reasonUnknown)
	}
}

// each gives the effect for those of the tables that are captured.
func (g *group) each(tables []ingest.TableName, do effectKind, r reason) {
	for _, t := range tables {
		if g.world.captured(t) {
			g.out = append(g.out, effect{do: do, table: t, reason: r})
		}
	}
}

func (g *group) appear(t ingest.TableName) {
	if g.world.wanted(t) && !g.world.captured(t) {
		g.effect(doAppear, t)
	}
}

// rename handles the pairs of a RENAME TABLE, which are carried out in turn: what counts is which table has a name in the end.
// Nothing tells what rows a table has that takes a captured name: an online schema change may have left some out (INSERT
// IGNORE), given them other values (a column that went and came), or copied a part of them on purpose. So it is loaded anew. Only
// a table that has its own name back is the same.
func (g *group) rename(s statement) {
	holds, names := renamed(s.tables)
	for i := 0; i+1 < len(s.tables); i += 2 {
		for _, child := range g.world.below(s.tables[i]) { // its foreign keys lead elsewhere now
			g.effect(doDefine, child)
		}
	}
	for _, n := range names {
		from, captured := holds[n], g.world.captured(n)
		view := from.Name != "" && g.world.view(from)
		if view {
			g.effect(doView, n)
		}
		if from.Name != "" && from != n && g.world.hasTriggers(from) { // they go with their table
			g.effect(doTrigger, n)
		}
		switch {
		case captured && from == n && !s.perhaps:
			g.effect(doDefine, n)
		case captured && (from.Name == "" || view || s.perhaps):
			g.park(n, reasonRenamed)
		case captured:
			g.anew(n)
		case from.Name != "" && !view && !(workOf(n, from) && slices.Contains(names, from)):
			g.appear(n)
		}
	}
}

// renamed carries the pairs out: which table, by its name before, has each name afterwards, none where it is empty. names are
// those that occur, in order.
func renamed(pairs []ingest.TableName) (holds map[ingest.TableName]ingest.TableName, names []ingest.TableName) {
	holds = map[ingest.TableName]ingest.TableName{}
	for i := 0; i+1 < len(pairs); i += 2 {
		from, to := pairs[i], pairs[i+1]
		for _, n := range []ingest.TableName{from, to} {
			if !slices.Contains(names, n) {
				names = append(names, n)
			}
		}
		moved, known := holds[from]
		if !known {
			moved = from
		}
		holds[from] = ingest.TableName{}
		holds[to] = moved
	}
	return holds, names
}

// anew has a table loaded anew that has the content of another.
func (g *group) anew(t ingest.TableName) {
	g.out = append(g.out, effect{do: doAnew, table: t, reason: reasonExchanged})
}

// workOf reports whether w is a table that an online schema change of t works on.
func workOf(w, t ingest.TableName) bool {
	return w.Schema == t.Schema && workTable(w.Name) && len(w.Name) > len(t.Name)+1 && w.Name[1:len(t.Name)+1] == t.Name &&
		len(w.Name) == len(t.Name)+len("__gho")
}

// dml handles a change that was logged as text: its rows are not in the log. A table is named when the statement changes
// one table; triggers, views and joins can hide others, in other databases too, and then every captured table is in doubt.
func (g *group) dml(s statement) {
	g.each(s.tables, doPark, reasonStatement)
	reached := g.world.all
	if len(s.tables) == 1 && !g.world.hasTriggers(s.tables[0]) && !g.world.view(s.tables[0]) {
		reached = func() []ingest.TableName { return g.world.below(s.tables[0]) }
	}
	others := slices.DeleteFunc(reached(), func(t ingest.TableName) bool { return slices.Contains(s.tables, t) })
	g.each(others, doPark, reasonReached)
}
