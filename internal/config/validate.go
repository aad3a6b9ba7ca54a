package config

import (
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // a bare machine may have no zone files; a zone name must mean the same everywhere

	"github.com/tidemill/tidemill/internal/grid"
)

var namePattern = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// NameProblem says what is wrong with a name, empty when nothing is. 40 characters leave room in identifiers of 63 and
// 127 bytes for what tidemill adds.
func NameProblem(name string) string {
	switch {
	case name == "":
		return "is missing"
	case !namePattern.MatchString(name):
		return "must be lower-case letters, digits and _, beginning with a letter"
	case len(name) > 40:
		return "must not be longer than 40 characters"
	}
	return ""
}

// Validate checks what the project file says by itself.
func (p *Project) Validate(report func(path, message string)) {
	if problem := NameProblem(p.Name); problem != "" {
		report("project", problem)
	}
	if _, err := grid.New(p.Window); err != nil {
		report("window", "must divide a day into equal windows of whole seconds, like 10s, 15m or 1h")
	}
	if _, err := time.LoadLocation(p.Timezone); err != nil || p.Timezone == "" || p.Timezone == "Local" {
		report("timezone", "is no IANA time zone, like Asia/Jakarta")
	}
	if p.Memory < 1<<20 {
		report("memory", "must be at least 1MiB")
	}
	if _, port, err := net.SplitHostPort(p.Listen); err != nil || port == "" {
		report("listen", "must be host:port, like 127.0.0.1:7171")
	}
	if p.Store.IsZero() {
		report("store", "is missing")
	}
	if s := p.Warehouse.Scheme(); s == "" {
		report("warehouse", "must be an address, like duckdb:./data/warehouse.db or postgres://user@host/database")
	}
	if p.Catalog != (Catalog{}) && p.Catalog.Glue == "" {
		report("catalog.glue", "is missing: the database of the Glue catalog")
	}
	if p.Catalog.Glue != "" && p.Store.Scheme() != "s3" {
		report("catalog", "needs the lake in S3: set store to s3://bucket/prefix?region=...")
	}
	p.Log.validate(report)
	p.Alerts.validate(report)
	for name, n := range p.Pools {
		if n < 1 {
			report(Path("pools", name), "must be at least 1")
		}
	}
}

func (g Log) validate(report func(path, message string)) {
	cluster := len(g.Brokers) > 0
	if cluster && g.Embedded != "" {
		report("log", "has both embedded and brokers: the log lives in one place, remove one")
	}
	for i, b := range g.Brokers {
		if _, port, err := net.SplitHostPort(b); err != nil || port == "" {
			report(Path("log", "brokers", i), "must be host:port")
		}
	}
	if !cluster && (g.TLS != nil || g.SASL != nil || g.Prefix != "") {
		report("log", "tls, sasl and prefix are about a cluster: add brokers")
	}
	if g.Partitions < 1 || g.Partitions > 1024 {
		report("log.partitions", "must be between 1 and 1024")
	}
	if g.Replication < 1 || g.Replication > 9 {
		report("log.replication", "must be between 1 and 9")
	}
	if g.Session < time.Second || g.Session > 5*time.Minute {
		report("log.session", "must be between 1s and 5m")
	}
	if g.TLS != nil && (g.TLS.Cert == "") != (g.TLS.Key == "") {
		report("log.tls", "cert and key go together")
	}
	if g.SASL != nil {
		mechanisms := []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}
		if !slices.Contains(mechanisms, g.SASL.Mechanism) {
			report("log.sasl.mechanism", "must be one of "+strings.Join(mechanisms, ", ")+DidYouMean(g.SASL.Mechanism, mechanisms))
		}
		if g.SASL.User == "" {
			report("log.sasl.user", "is missing")
		}
	}
	if g.Prefix != "" && !regexp.MustCompile(`^[a-zA-Z0-9_-]+[.]?$`).MatchString(g.Prefix) {
		report("log.prefix", "must be letters, digits, _ and -, optionally ending with a dot")
	}
}

// table checks one entry of a pipeline.
func (l *loader) table(p *Pipeline, i int) {
	t := &p.Tables[i]
	report := func(key, message string) { l.add(p.Problem(Path("tables", i, key), message)) }
	entry := func(message string) { l.add(p.Problem(Path("tables", i), message)) }
	switch {
	case t.Replicate != "" && (t.SQL != "" || t.Name != ""):
		entry("is both a replica (replicate) and a view (name, sql): make two entries of it")
	case t.Replicate != "":
		l.replica(t, report)
	case t.SQL != "" || t.Name != "" || len(t.Key) > 0:
		l.view(p, i, report)
	case !l.reported(p.File, Path("tables", i)): // a misspelt key says enough
		entry("needs either replicate and into, or name, sql and key")
	}
}

func (l *loader) replica(t *Table, report func(key, message string)) {
	if parts := strings.Split(t.Replicate, "."); len(parts) != 3 || slices.Contains(parts, "") || strings.Contains(parts[0], "*") {
		report("replicate", "must be source.schema.table, where schema and table may hold *")
	}
	if p := NameProblem(t.Into); p != "" {
		report("into", p+": it is the warehouse schema of the replicas")
	}
	if len(t.Key) > 0 {
		report("key", "belongs to a view: a replica has the key of its source table")
	}
	switch t.Mode {
	case "":
		t.Mode = "upsert"
	case "upsert":
	case "append", "scd2":
		report("mode", "is not implemented in this version: only upsert is")
	default:
		report("mode", "must be upsert"+DidYouMean(t.Mode, []string{"upsert"}))
	}
}

func (l *loader) view(p *Pipeline, i int, report func(key, message string)) {
	t := &p.Tables[i]
	schema, name, ok := strings.Cut(t.Name, ".")
	switch {
	case t.Name == "":
		report("name", "is missing: name the view schema.table")
	case !ok || NameProblem(schema) != "" || NameProblem(name) != "":
		report("name", "must be schema.table, each of lower-case letters, digits and _")
	}
	if len(t.Key) == 0 {
		report("key", "is missing: name the columns that identify a row of the view")
	}
	for _, pair := range []struct{ key, value string }{{"into", t.Into}, {"mode", t.Mode}} {
		if pair.value != "" {
			report(pair.key, "belongs to a replica, not to a view")
		}
	}
	if t.SQL == "" {
		report("sql", "is missing: name the file with the view's SELECT")
		return
	}
	l.query(p, i)
}

// references checks what only the whole folder can tell.
func (l *loader) references(p *Project) {
	sources := map[string]string{}
	for _, s := range p.Sources {
		if first, ok := sources[s.Name]; ok && s.Name != "" {
			l.add(s.Node.Problem("name", "is taken: "+first+" has the same name"))
		} else {
			sources[s.Name] = s.File
		}
	}
	if len(sources) == 0 && len(p.Pipelines) > 0 && !p.SourcesUnread {
		l.add(Problem{File: "sources", Message: "the pipelines have no source to read: there is no file in this folder (write one with: tidemill new source)", Unread: true})
		p.SourcesUnread = true
	}
	pipelines, tables := map[string]string{}, map[string]string{}
	for i := range p.Pipelines {
		pl := &p.Pipelines[i]
		if !p.SourcesUnread {
			l.sourceReferences(pl, sources)
		}
		if first, ok := pipelines[pl.Name]; ok && pl.Name != "" {
			l.add(pl.Problem("name", "is taken: "+first+" has the same name"))
			continue // most likely a copy: that its tables are the same says nothing more (invariant 6)
		}
		pipelines[pl.Name] = pl.File
		l.publishedOnce(pl, tables)
	}
}

func (l *loader) sourceReferences(pl *Pipeline, sources map[string]string) {
	names := slices.Sorted(maps.Keys(sources))
	for i, t := range pl.Tables {
		source, _, _ := strings.Cut(t.Replicate, ".")
		if _, ok := sources[source]; t.IsReplica() && !ok && !strings.Contains(source, "*") {
			l.add(pl.Problem(Path("tables", i, "replicate"), fmt.Sprintf("there is no source %q%s", source, DidYouMean(source, names))))
		}
	}
}

func (l *loader) publishedOnce(pl *Pipeline, tables map[string]string) {
	for i, t := range pl.Tables {
		out := t.Name
		if t.IsReplica() {
			out = t.Into + "." + t.Replicate
		}
		at := "name"
		if t.IsReplica() {
			at = "replicate"
		}
		if first, ok := tables[out]; ok && out != "" {
			l.add(pl.Problem(Path("tables", i, at), "is published twice: also in "+first))
		}
		tables[out] = pl.File
	}
}
