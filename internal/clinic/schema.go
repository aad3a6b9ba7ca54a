package clinic

import (
	"context"
	"database/sql"
	_ "embed"
	"fmt"
	"strings"
)

//go:embed consult.sql
var consultSQL string

//go:embed pharmacy.sql
var pharmacySQL string

// Schema returns the statements that make both databases; names are qualified, so no default database is needed.
func Schema() (consult, pharmacy []string) {
	return statements(consultSQL), statements(pharmacySQL)
}

// statements splits at semicolons that end a line; the schema holds no other.
func statements(text string) []string {
	var out []string
	for _, s := range strings.Split(text, ";\n") {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// Create makes databases and tables where they are missing.
func Create(ctx context.Context, consult, pharmacy *sql.DB) error {
	c, p := Schema()
	if err := execAll(ctx, consult, c); err != nil {
		return fmt.Errorf("creating the consult schema: %w", err)
	}
	if err := execAll(ctx, pharmacy, p); err != nil {
		return fmt.Errorf("creating the pharmacy schema: %w", err)
	}
	return nil
}

func execAll(ctx context.Context, db *sql.DB, all []string) error {
	for _, s := range all {
		if _, err := db.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("%s ...: %w", strings.SplitN(s, "\n", 2)[0], err)
		}
	}
	return nil
}

// GrantReader makes the account that tidemill reads a source with, holding exactly what it needs: the binlog, its
// position, and SELECT on the one database. REPLICATION CLIENT is what MariaDB now calls BINLOG MONITOR.
func GrantReader(ctx context.Context, db *sql.DB, user, password, database string) error {
	quote := func(s string) string { return "'" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(s) + "'" }
	account := quote(user) + "@'%'"
	err := execAll(ctx, db, []string{
		"create user if not exists " + account + "\nidentified by " + quote(password),
		"alter user " + account + "\nidentified by " + quote(password),
		"grant replication slave, replication client on *.* to " + account,
		"grant select on `" + strings.ReplaceAll(database, "`", "``") + "`.* to " + account,
	})
	if err != nil {
		return fmt.Errorf("making the account %s: %w", user, err)
	}
	return nil
}

// Balances are queries that count broken invariants of the pharmacy: each must return 0 in every consistent cut. The
// schema is where its tables are: pharmacy in the source, raw_pharmacy in the demo's warehouse. They are plain
// enough for MariaDB, MySQL, DuckDB and PostgreSQL.
func Balances(schema string) map[string]string {
	return map[string]string{
		"orders whose amount is not the sum of their items": fmt.Sprintf(
			`select count(*) from %[1]s.orders o left join (select order_id, sum(quantity * unit_price) as total from %[1]s.order_items group by order_id) i on i.order_id = o.order_id where o.amount <> coalesce(i.total, 0)`, schema),
		"orders whose paid is not the sum of their payments": fmt.Sprintf(
			`select count(*) from %[1]s.orders o left join (select order_id, sum(amount) as total from %[1]s.payments group by order_id) p on p.order_id = o.order_id where o.paid <> coalesce(p.total, 0)`, schema),
		"items without an order": fmt.Sprintf(
			`select count(*) from %[1]s.order_items i left join %[1]s.orders o on o.order_id = i.order_id where o.order_id is null`, schema),
		"payments without an order": fmt.Sprintf(
			`select count(*) from %[1]s.payments p left join %[1]s.orders o on o.order_id = p.order_id where o.order_id is null`, schema),
	}
}
