package dynamodb

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/sources/dynamodb/item"
	"github.com/tidemill/tidemill/sources/dynamodb/shard"
)

// state is what the source settles (ingest.Emitter.Settle): how far the shards were emitted before round Round, and which
// records that round holds, in this order.
type state struct {
	Round   int64         `json:"round"`
	Stream  string        `json:"stream"` // ARN
	Table   string        `json:"table"`  // id: one that was made anew has another
	Shards  []shard.Shard `json:"shards"`
	Plan    []planned     `json:"plan,omitempty"`
	Columns []item.Column `json:"columns"`
	Profile item.Profile  `json:"profile"`
	Repair  *repair       `json:"repair,omitempty"`
	// Begun: the load of this generation has begun. When ingest knows of none any more, the table is to be loaded anew.
	Begun bool `json:"begun,omitempty"`
}

// repair is the mending of an outage that was longer than the stream's memory: increments bring what the stream has lost, and
// everything up to Until is in the window that was open when the source stopped, so that no window shows half of it.
type repair struct {
	From   int64 `json:"from"`   // what was written from here on may be missing, in seconds since 1970
	To     int64 `json:"to"`     // end of the last increment
	Until  int64 `json:"until"`  // from here on the stream is whole: the edges of increments are blurred by a minute
	Window int64 `json:"window"` // last second of the window
}

// planned is a run of one shard's records.
type planned struct {
	Shard string `json:"s"`
	First string `json:"f"` // sequence numbers, both inclusive
	Last  string `json:"l"`
	Rows  int    `json:"n"`
}

// position is where the stream stands: rounds that are done, and how many records of the next. Its text is ingest.Position:
// "start.rounds" or "start.rounds+records". The shards' sequence numbers are in the state beside it: 684 of them in the header
// of every batch would be more than most batches. start is when the source began, in seconds since 1970; it keeps two
// histories apart.
type position struct {
	start, round int64
	rows         int
}

func (p position) text() ingest.Position {
	b := strconv.AppendInt(make([]byte, 0, 40), p.start, 10)
	b = strconv.AppendInt(append(b, '.'), p.round, 10)
	if p.rows > 0 {
		b = strconv.AppendInt(append(b, '+'), int64(p.rows), 10)
	}
	return ingest.Position(b)
}

func parsePosition(text ingest.Position) (p position, err error) {
	start, rest, ok := strings.Cut(string(text), ".")
	round, rows, inside := strings.Cut(rest, "+")
	if p.start, err = strconv.ParseInt(start, 10, 64); err == nil {
		p.round, err = strconv.ParseInt(round, 10, 64)
	}
	if err == nil && inside {
		p.rows, err = strconv.Atoi(rows)
	}
	if err != nil || !ok || inside && p.rows < 1 || p.text() != text {
		return p, fmt.Errorf("reading position %q: it is not one of a DynamoDB source", text)
	}
	return p, nil
}

func parseState(text json.RawMessage) (st state, err error) {
	if err = json.Unmarshal(text, &st); err != nil {
		return st, fmt.Errorf("reading the state of the source: %w", err)
	}
	return st, nil
}
