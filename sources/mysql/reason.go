package mysql

import (
	"strings"

	"github.com/tidemill/tidemill/ingest"
)

// reason is why a table is parked or the stream stops. The texts are for the operator and hold no values.
type reason uint8

const (
	reasonNone reason = iota
	reasonFragment
	reasonRolledBack
	reasonCascade
	reasonXA
	reasonReplaced
	reasonSwapped
	reasonDropped
	reasonTruncated
	reasonRenamed
	reasonExchanged
	reasonStatement
	reasonReached
	reasonUnknown
	reasonIncident
	reasonAnonymous
	reasonTorn
)

// reasons says what happened and what mends it; %s is the table.
var reasons = map[reason]struct{ name, what, remedy string }{
	reasonFragment:   {"fragment", "a change was logged as fragments of rows, which are not read yet", "SET GLOBAL binlog_row_event_fragment_threshold to its maximum"},
	reasonRolledBack: {"rolled back", "a transaction with rows of tables without transactions was rolled back in part", ""},
	reasonCascade:    {"cascade", "a foreign key's cascade may have changed rows that the binlog does not hold", "SET the foreign key to RESTRICT, or expect this after each change of the parent"},
	reasonXA:         {"xa", "an XA transaction changed it, whose outcome was open when its rows were logged", ""},
	reasonReplaced:   {"replaced", "CREATE OR REPLACE TABLE replaced it", ""},
	reasonSwapped:    {"swapped", "an ALTER TABLE or REPAIR TABLE may have changed rows of it without logging them (a partition, a tablespace, IGNORE, an engine, or a clause that is not known)", ""},
	reasonDropped:    {"dropped", "it was dropped", ""},
	reasonTruncated:  {"truncated", "it was truncated", ""},
	reasonRenamed:    {"renamed", "it was renamed", ""},
	reasonExchanged:  {"exchanged", "another table has taken its name, with rows that the binlog does not hold as its own: it is loaded anew by itself, now or when the log has been read up to here", ""},
	reasonStatement:  {"statement", "a session with binlog_format = STATEMENT changed it, so that its rows are not in the binlog", "have that session use ROW"},
	reasonReached: {"reached", "a session with binlog_format = STATEMENT may have changed it: by a trigger, a foreign key, a view or a statement about several tables, so that its rows are not in the binlog",
		"have that session use ROW; an account that may not see triggers must expect them everywhere: GRANT TRIGGER ON *.* to the source's account leaves only the tables that can have been changed"},
	reasonUnknown:   {"unknown", "the binlog holds a statement that is not known, which may have changed any table", "report the kind of statement that ran at the time that status shows for this table"},
	reasonIncident:  {"incident", "the server reports that it lost events of its binlog (an INCIDENT event)", ""},
	reasonAnonymous: {"anonymous", "the binlog holds a transaction without a GTID", "SET GLOBAL gtid_mode = ON"},
	reasonTorn:      {"torn", "the binlog holds a group without its end, as after a crash of the server's disk", ""},
}

func (r reason) String() string { return reasons[r].name }

// parkReason is the text that goes with a parked table.
func (c *Config) parkReason(r reason, t ingest.TableName) string {
	text := reasons[r].what
	if fix := reasons[r].remedy; fix != "" {
		text += "; " + fix
	}
	if r == reasonExchanged {
		return text + "; should that not happen, run: " + c.resyncCommand(t)
	}
	return text + "; then run: " + c.resyncCommand(t)
}

// resyncCommand brings a parked table back.
func (c *Config) resyncCommand(t ingest.TableName) string {
	return ingest.ResyncCommand(c.source + "." + t.String())
}

// withResync adds to what is wrong with a table how it comes back when that is mended.
func (c *Config) withResync(t ingest.TableName, problem string) string {
	if command := c.resyncCommand(t); !strings.Contains(problem, command) {
		return problem + "; then run: " + command
	}
	return problem
}

// resyncSource loads everything anew from the server's present position.
func (c *Config) resyncSource() string { return ingest.ResyncCommand(c.source) }
