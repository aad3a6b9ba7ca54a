package redshiftdouble

import (
	"slices"
	"strings"
)

// unloadCommand is UNLOAD ('query') TO S3 FORMAT PARQUET.
type unloadCommand struct {
	query     string // for PostgreSQL
	to        string
	partition []string
	include   bool
	manifest  bool
	verbose   bool
	overwrite bool
	clean     bool
	serial    bool // PARALLEL OFF
	extension string

	format      string
	credentials []string
}

// unloadTextOptions are of text formats.
var unloadTextOptions = strings.Fields("delimiter fixedwidth addquotes escape null header gzip bzip2 zstd")

func (s *session) planUnload(ts []token) (*plan, error) {
	p := &parser{s: s, ts: ts, i: 1}
	inside, err := p.parens()
	if err != nil {
		return nil, err
	}
	if len(inside) != 1 || inside[0].kind != text {
		return nil, unexpected(inside, 0)
	}
	u := &unloadCommand{}
	if u.query, err = s.unloadQuery(inside[0].val); err != nil {
		return nil, err
	}
	if err := p.expect("to"); err != nil {
		return nil, err
	}
	if u.to, err = p.stringValue(); err != nil {
		return nil, err
	}
	for p.more() {
		if err := u.option(p); err != nil {
			return nil, err
		}
	}
	if err := u.complete(); err != nil {
		return nil, err
	}
	return &plan{verb: "unload", do: s.unloadAction(u)}, nil
}

// unloadQuery reads the query in the string: one SELECT without an outer LIMIT.
func (s *session) unloadQuery(sql string) (string, error) {
	ts, err := s.lex(sql)
	if err != nil {
		return "", err
	}
	statements := split(ts)
	if len(statements) != 1 || !statements[0][0].is("select", "with", "(") {
		return "", refuse("42601", "UNLOAD takes one SELECT")
	}
	depth := 0
	for _, t := range statements[0] {
		switch {
		case t.is("("):
			depth++
		case t.is(")"):
			depth--
		case t.is("limit", "top") && depth == 0:
			return "", refuse("0A000", "Limit clause is not supported in the outer SELECT of UNLOAD")
		}
	}
	p, err := s.planQuery(statements[0])
	if err != nil {
		return "", err
	}
	if p.verb != "select" {
		return "", refuse("42601", "UNLOAD takes one SELECT")
	}
	return p.sql, nil
}

func (u *unloadCommand) option(p *parser) (err error) {
	start := p.ts[p.i]
	switch {
	case p.accept("iam_role"):
		if !p.accept("default") {
			_, err = p.roles()
		}
		u.credentials = append(u.credentials, "iam_role")
	case p.peek("credentials", "access_key_id", "secret_access_key", "session_token"):
		p.i++
		_ = start.is("credentials") && p.accept("as")
		_, err = p.stringValue()
		u.credentials = append(u.credentials, start.val)
	case p.accept("format"):
		_ = p.accept("as")
		return u.setFormat(p)
	case p.peek("parquet", "csv", "json"):
		return u.setFormat(p)
	case p.accept("partition", "by"):
		u.partition, err = p.columns()
		u.include = p.accept("include")
	case p.accept("manifest"):
		u.manifest = true
		u.verbose = p.accept("verbose")
	case p.accept("allowoverwrite"):
		u.overwrite = true
	case p.accept("cleanpath"):
		u.clean = true
	case p.accept("parallel"):
		u.serial = p.peek("off", "false")
		if p.peek("on", "off", "true", "false") {
			p.i++
		}
	case p.accept("maxfilesize"):
		return p.size(5, 6348)
	case p.accept("rowgroupsize"):
		return p.size(32, 128)
	case p.accept("extension"):
		u.extension, err = p.stringValue()
	case p.accept("region"), p.accept("kms_key_id"):
		_ = p.accept("as")
		_, err = p.stringValue()
	case p.accept("encrypted"):
		_ = p.accept("auto")
	case p.peek(unloadTextOptions...):
		return u.textOption(p)
	default:
		return p.unexpected()
	}
	return err
}

// size reads [AS] n [MB | GB] and checks its range in MB.
func (p *parser) size(least, most float64) error {
	_ = p.accept("as")
	if !p.more() || p.ts[p.i].kind != number {
		return p.unexpected()
	}
	n, err := parseFloat(p.ts[p.i].val)
	if err != nil {
		return p.unexpected()
	}
	p.i++
	if p.accept("gb") {
		n *= 1024
	} else {
		_ = p.accept("mb")
	}
	if n < least || n > most {
		return refuse("22023", "size must be between %g MB and %g MB", least, most)
	}
	return nil
}

func (u *unloadCommand) setFormat(p *parser) error {
	switch {
	case u.format != "":
		return refuse("42601", "conflicting or redundant options")
	case p.accept("parquet"):
		u.format = "parquet"
		return nil
	case p.peek("csv", "json", "text"):
		return unsupported("UNLOAD FORMAT %s: the double writes Parquet", strings.ToUpper(p.ts[p.i].val))
	}
	return p.unexpected()
}

func (u *unloadCommand) textOption(p *parser) error {
	name := strings.ToUpper(p.ts[p.i].val)
	if u.format == "parquet" || slices.ContainsFunc(p.ts, func(t token) bool { return t.is("parquet") }) {
		return refuse("0A000", "%s is not supported for UNLOAD to PARQUET", name)
	}
	return unsupported("UNLOAD to text: the double writes Parquet")
}

func (u *unloadCommand) complete() error {
	if !strings.HasPrefix(u.to, "s3://") {
		return refuse("XX000", "UNLOAD destination is not supported. (Hint: only S3 based unload is allowed)")
	}
	if err := checkCredentials(u.credentials); err != nil {
		return err
	}
	switch {
	case u.clean && u.overwrite:
		return refuse("42601", "CLEANPATH and ALLOWOVERWRITE exclude each other")
	case u.format == "":
		return unsupported("UNLOAD to text: the double writes Parquet")
	}
	return nil
}
