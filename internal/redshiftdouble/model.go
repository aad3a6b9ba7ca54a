package redshiftdouble

import (
	"context"
	"encoding/json"
	"fmt"
)

// model is what PostgreSQL's catalogue has no place for. It is kept as JSON in the comment on the table's row type (invariant 5).
type model struct {
	DistStyle string            `json:"diststyle,omitempty"` // AUTO, EVEN, KEY, ALL
	DistKey   string            `json:"distkey,omitempty"`
	SortStyle string            `json:"sortstyle,omitempty"` // COMPOUND, INTERLEAVED, AUTO
	SortKeys  []string          `json:"sortkeys,omitempty"`
	Encodings map[string]string `json:"encodings,omitempty"` // by column
	Bytes     map[string]int    `json:"bytes,omitempty"`     // declared length of varbyte columns
	Keys      []constraint      `json:"keys,omitempty"`      // recorded, not enforced
	Identity  []string          `json:"identity,omitempty"`
	NoBackup  bool              `json:"nobackup,omitempty"`
}

// constraint is a PRIMARY KEY, UNIQUE or FOREIGN KEY, which the planner trusts and nobody checks.
type constraint struct {
	Name    string   `json:"name,omitempty"`
	Kind    string   `json:"kind"` // PRIMARY KEY, UNIQUE, FOREIGN KEY
	Columns []string `json:"columns"`
	Table   string   `json:"table,omitempty"`
}

func newModel() *model {
	return &model{DistStyle: "AUTO", SortStyle: "AUTO", Encodings: map[string]string{}, Bytes: map[string]int{}}
}

// save writes the model in the client's transaction.
func (s *session) saveModel(ctx context.Context, table string, m *model) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return s.silently(ctx, fmt.Sprintf("COMMENT ON TYPE %s IS %s", table, literal(string(b))))
}

// loadModel reads the model of a table; a table that has none was made without columns of note.
func (s *session) loadModel(ctx context.Context, table string) (*model, error) {
	m := newModel()
	v, err := s.value(ctx, fmt.Sprintf("SELECT obj_description(reltype, 'pg_type') FROM pg_class WHERE oid = %s::regclass", literal(table)))
	if err != nil || v == "" {
		return m, err
	}
	return m, json.Unmarshal([]byte(v), m)
}

// tableColumn is a column as PostgreSQL's catalogue has it.
type tableColumn struct {
	name     string
	pg       string // the type's name: varchar, numeric, super, ...
	modifier int    // of the type
	notNull  bool
	identity bool
	fallback bool // has a default
}

const columnsQuery = `SELECT a.attname, t.typname, a.atttypmod, a.attnotnull::int, (a.attidentity <> '')::int, a.atthasdef::int
	FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`

// tableColumns are the columns of a table in order.
func (s *session) tableColumns(ctx context.Context, table string) ([]tableColumn, error) {
	rows, err := s.values(ctx, fmt.Sprintf(columnsQuery, literal(table)))
	if err != nil {
		return nil, err
	}
	out := make([]tableColumn, 0, len(rows))
	for _, r := range rows {
		c := tableColumn{name: s.server.names.original(r[0]), pg: r[1], notNull: r[3] == "1", identity: r[4] == "1", fallback: r[5] == "1"}
		if _, err := fmt.Sscan(r[2], &c.modifier); err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// dataType is the column's type in Redshift's words.
func (c tableColumn) dataType(m *model) dataType {
	switch c.pg {
	case "int2":
		return dataType{name: "smallint"}
	case "int4":
		return dataType{name: "integer"}
	case "int8":
		return dataType{name: "bigint"}
	case "float4":
		return dataType{name: "real"}
	case "float8":
		return dataType{name: "double precision"}
	case "bool":
		return dataType{name: "boolean"}
	case "numeric":
		if c.modifier < 4 {
			return dataType{name: "numeric", precision: 38, scale: 37}
		}
		return dataType{name: "numeric", precision: (c.modifier - 4) >> 16, scale: (c.modifier - 4) & 0x7ff}
	case "varchar", "text":
		if c.modifier < 4 {
			return dataType{name: "character varying", length: maxVarchar}
		}
		return dataType{name: "character varying", length: c.modifier - 4}
	case "bpchar":
		return dataType{name: "character", length: c.modifier - 4}
	case "timestamp":
		return dataType{name: "timestamp without time zone"}
	case "timestamptz":
		return dataType{name: "timestamp with time zone"}
	case "time":
		return dataType{name: "time without time zone"}
	case "timetz":
		return dataType{name: "time with time zone"}
	case "varbyte":
		n := m.Bytes[c.name]
		if n == 0 {
			n = 64000
		}
		return dataType{name: "binary varying", length: n}
	}
	return dataType{name: c.pg} // date, super
}
