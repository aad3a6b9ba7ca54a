package mysql

import (
	"context"
	"strings"

	"github.com/tidemill/tidemill/ingest"
)

// triggers lists the tables with triggers, of all databases: one of an uncaptured table may change captured ones. unseen says of
// which databases the account is shown only a part: the catalogue lists a trigger to those alone who may make one. It tells
// nobody that it leaves some out, so the grants are read.
func (s *server) triggers(ctx context.Context) (with map[ingest.TableName]bool, unseen func(schema string) bool, err error) {
	with = map[ingest.TableName]bool{}
	var grants triggerGrants
	err = s.each(ctx, "reading the account's grants", "SHOW GRANTS", nil, func(scan func(...any) error) error {
		var grant string
		err := scan(&grant)
		grants.read(grant)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	const q = "SELECT event_object_schema, event_object_table FROM information_schema.triggers"
	err = s.each(ctx, "listing the triggers", q, nil, func(scan func(...any) error) error {
		var t ingest.TableName
		err := scan(&t.Schema, &t.Name)
		with[t] = true
		return err
	})
	return with, func(schema string) bool { return !grants.show(schema) }, err
}

// triggerGrants are the databases whose triggers an account may make, and so sees.
type triggerGrants struct {
	all    bool
	some   map[string]bool
	except map[string]bool // MySQL's partial revokes
}

// read takes in a line of SHOW GRANTS. What it does not understand grants nothing.
func (g *triggerGrants) read(line string) {
	privileges, on, ok := strings.Cut(line, " ON ")
	if !ok || !strings.Contains(privileges, "TRIGGER") && !strings.Contains(privileges, "ALL PRIVILEGES") {
		return
	}
	revoked := strings.HasPrefix(privileges, "REVOKE ")
	if strings.HasPrefix(on, "*.* ") {
		g.all = g.all || !revoked
		return
	}
	p := &parser{tokenizer: tokenizer{text: on}}
	p.advance()
	schema := p.tok.word
	if p.advance(); !p.tok.sign(".") {
		return
	}
	if p.advance(); !p.tok.sign("*") && !revoked {
		return // of one table
	}
	into := &g.some
	if revoked {
		into = &g.except
	}
	if *into == nil {
		*into = map[string]bool{}
	}
	(*into)[strings.NewReplacer(`\_`, "_", `\%`, "%").Replace(schema)] = true // a _ that is no wildcard; one that is matches itself
}

func (g *triggerGrants) show(schema string) bool {
	return g.some[schema] || g.all && !g.except[schema]
}
