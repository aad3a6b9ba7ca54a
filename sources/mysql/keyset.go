package mysql

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/sources/mysql/rows"
)

// keyset is how a table is read in chunks: in the order of its primary key as the server sorts it, each chunk behind the
// last key of the one before. The server does all comparing; its order is not ours (collations).
type keyset struct {
	table   ingest.TableName
	list    string
	columns []keyColumn // empty: the key cannot be compared with a literal, the table is read in one go
}

type keyColumn struct {
	name    string
	at      int // in the select list
	literal func(raw []byte) string
}

// cursor is the resume point inside a table, as it is checkpointed.
type cursor struct {
	Key   []string `json:"key"`
	After [][]byte `json:"after"`
}

func newKeyset(schema *ingest.Schema, c *rows.Catalogue, list []string) keyset {
	k := keyset{table: schema.Table, list: strings.Join(list, ", ")}
	for _, name := range c.Key {
		at := schema.Column(name)
		literal := literalFor(c.Columns[slices.IndexFunc(c.Columns, func(c rows.CatalogueColumn) bool { return c.Name == name })])
		if literal == nil {
			k.columns = nil
			return k
		}
		k.columns = append(k.columns, keyColumn{name, at, literal})
	}
	return k
}

// literalFor returns how a value of the column, as it was selected, is written in a comparison, or nil when the server
// would compare it otherwise than it sorts: ENUM and SET sort by number, FLOAT and DOUBLE lose digits, TEXT keys are prefixes.
func literalFor(c rows.CatalogueColumn) func([]byte) string {
	switch strings.ToLower(c.DataType) {
	case "tinyint", "smallint", "mediumint", "int", "integer", "bigint", "decimal", "numeric", "year":
		return func(raw []byte) string { return string(raw) }
	case "date", "datetime", "timestamp", "time":
		return func(raw []byte) string { return "'" + string(raw) + "'" }
	case "char", "varchar":
		return func(raw []byte) string { return "_" + c.Charset + " X'" + hex.EncodeToString(raw) + "'" }
	case "binary", "varbinary":
		return func(raw []byte) string { return "X'" + hex.EncodeToString(raw) + "'" }
	case "uuid", "inet6", "inet4":
		return func(raw []byte) string {
			return "CAST(X'" + hex.EncodeToString(raw) + "' AS " + strings.ToUpper(c.DataType) + ")"
		}
	}
	return nil
}

func (k *keyset) names() []string {
	out := make([]string, len(k.columns))
	for i, c := range k.columns {
		out[i] = c.name
	}
	return out
}

// query selects the next chunk. The comparison is written out as ranges of the primary key, which both servers seek by;
// they do not for a row constructor.
func (k *keyset) query(after [][]byte, limit int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "SELECT %s FROM %s.%s", k.list, quoteName(k.table.Schema), quoteName(k.table.Name))
	if len(k.columns) == 0 {
		return b.String()
	}
	b.WriteString(" FORCE INDEX (PRIMARY)")
	if after != nil {
		b.WriteString(" WHERE ")
		for i := range k.columns {
			if i > 0 {
				b.WriteString(" OR ")
			}
			for j := range i {
				fmt.Fprintf(&b, "%s = %s AND ", quoteName(k.columns[j].name), k.columns[j].literal(after[j]))
			}
			fmt.Fprintf(&b, "%s > %s", quoteName(k.columns[i].name), k.columns[i].literal(after[i]))
		}
	}
	b.WriteString(" ORDER BY ")
	for i, c := range k.columns {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(quoteName(c.name))
	}
	fmt.Fprintf(&b, " LIMIT %d", limit)
	return b.String()
}

// last copies the key of a row packet.
func (k *keyset) last(packet []byte, into [][]byte) ([][]byte, error) {
	into = slices.Grow(into[:0], len(k.columns))[:len(k.columns)]
	for at := 0; len(packet) > 0; at++ {
		value, rest, ok := lengthEncodedText(packet)
		if !ok {
			return nil, fmt.Errorf("reading the key of a row: %w", errCutOff)
		}
		for i, c := range k.columns {
			if c.at == at {
				into[i] = append(into[i][:0], value...)
			}
		}
		packet = rest
	}
	return into, nil
}

// encode makes the resume point; without an order there is none.
func (k *keyset) encode(after [][]byte) ([]byte, error) {
	if len(k.columns) == 0 {
		return nil, nil
	}
	return json.Marshal(cursor{Key: k.names(), After: after})
}

// decode reads a resume point. One that was made for another key counts as none: the load starts over.
func (k *keyset) decode(b []byte) [][]byte {
	var c cursor
	if len(b) == 0 || json.Unmarshal(b, &c) != nil || !slices.Equal(c.Key, k.names()) || len(c.After) != len(c.Key) {
		return nil
	}
	return c.After
}
