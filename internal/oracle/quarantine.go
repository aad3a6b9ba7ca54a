package oracle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// quarantined is what the receipts checked so far say of a row that is not in its table.
type quarantined struct{ column, fault string }

// quarantine folds the parts of a receipt's quarantine: what a publish lets out must be in, and every entry is of a row
// that its table would hold (compare sees to that).
func (c *Checker) quarantine(r Receipt) error {
	if c.bad == nil {
		c.bad = map[string]map[string]quarantined{}
	}
	for _, t := range r.Tables {
		if t.Replace {
			delete(c.bad, t.Name)
		}
	}
	for _, path := range r.Quarantine {
		cols, ops, err := ReadPart(path)
		if err != nil {
			return err
		}
		if want := "table_schema table_name row_key column_name fault row_image"; strings.Join(cols, " ") != want {
			return fmt.Errorf("the quarantine has the columns %v, want %s", cols, want)
		}
		for _, op := range ops {
			table := op.Row[0].Text + "." + op.Row[1].Text
			key, err := keyOfJSON(op.Row[2].Text)
			if err != nil {
				return fmt.Errorf("%s: %w", table, err)
			}
			if c.bad[table] == nil {
				c.bad[table] = map[string]quarantined{}
			}
			if _, in := c.bad[table][key]; op.Delete && !in {
				return fmt.Errorf("%s: %s is let out of quarantine and was not in it", table, key)
			}
			if op.Delete {
				delete(c.bad[table], key)
				continue
			}
			if !json.Valid([]byte(op.Row[5].Text)) {
				return fmt.Errorf("%s: the image of %s is not JSON", table, key)
			}
			c.bad[table][key] = quarantined{op.Row[3].Text, op.Row[4].Text}
		}
	}
	return nil
}

// tablesOf lists the tables of which a quarantine says something.
func tablesOf(paths []string) (map[string]bool, error) {
	out := map[string]bool{}
	for _, path := range paths {
		_, ops, err := ReadPart(path)
		if err != nil {
			return nil, err
		}
		for _, op := range ops {
			out[op.Row[0].Text+"."+op.Row[1].Text] = true
		}
	}
	return out, nil
}

// without takes the quarantined rows of a table out of what it should hold. Each must be there, and be bad.
func (c *Checker) without(name string, columns []string, want map[string][]Val) (map[string][]Val, error) {
	if len(c.bad[name]) == 0 {
		return want, nil
	}
	out := make(map[string][]Val, len(want))
	for k, row := range want {
		q, in := c.bad[name][k]
		if !in {
			out[k] = row
			continue
		}
		i := slices.Index(columns, q.column)
		if i < 0 || !isBad(q.fault, row[i]) {
			return nil, fmt.Errorf("%s: %s is in quarantine for %s of column %s, and is not bad", name, k, q.fault, q.column)
		}
	}
	if n := len(want) - len(out); n != len(c.bad[name]) {
		return nil, fmt.Errorf("%s: %d rows are in quarantine, of which the table would hold %d", name, len(c.bad[name]), n)
	}
	return out, nil
}

// isBad judges a value by the text of it.
func isBad(fault string, v Val) bool {
	switch fault {
	case "invalid_json":
		d := json.NewDecoder(strings.NewReader(v.Text))
		d.UseNumber()
		var doc any
		return d.Decode(&doc) != nil || d.More() || strings.Contains(v.Text, `\ud`) || strings.Contains(v.Text, `\uD`)
	case "invalid_text":
		return !utf8.ValidString(v.Text)
	case "nul_in_key":
		return strings.ContainsRune(v.Text, 0)
	case "key_too_long":
		return len(v.Text) > 1000
	case "text_too_long": // for Redshift
		return len(v.Text) > 65535
	}
	return false // what no test makes
}

// keyOfJSON is Table.keyOf of a key as the quarantine writes it.
func keyOfJSON(text string) (string, error) {
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.UseNumber()
	var values []any
	if err := d.Decode(&values); err != nil {
		return "", fmt.Errorf("a key in quarantine is no JSON array: %w", err)
	}
	row, key := make([]Val, len(values)), make([]int, len(values))
	for i, v := range values {
		key[i] = i
		switch v := v.(type) {
		case string:
			row[i].Text = v
		case json.Number:
			row[i].Text = v.String()
		case bool:
			row[i].Text = strconv.FormatBool(v)
		default:
			return "", fmt.Errorf("a key in quarantine holds a %T", v)
		}
	}
	return (&Table{Key: key}).keyOf(row), nil
}
