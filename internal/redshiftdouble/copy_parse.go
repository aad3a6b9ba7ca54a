package redshiftdouble

import (
	"slices"
	"strings"
)

// copyCommand is COPY ... FROM S3 FORMAT AS PARQUET.
type copyCommand struct {
	table       relation
	columns     []string
	from        string
	manifest    bool
	serialize   bool // SERIALIZETOJSON
	fill        bool // FILLRECORD
	explicitIDs bool
	replacement string // ACCEPTINVCHARS; empty: invalid UTF-8 is an error

	format      string
	credentials []string // words that gave some
	seen        []string
}

// copyOptions that Redshift has for other formats. With Parquet they are refused by name.
var copyOptions = strings.Fields(`region maxerror truncatecolumns blanksasnull emptyasnull null timeformat dateformat compupdate gzip bzip2 lzop zstd
	delimiter fixedwidth escape removequotes quote ignoreheader ignoreblanklines acceptanydate encoding encrypted explicit_null fillrecord_ noload
	comprows roundec trimblanks readratio master_symmetric_key ssh job`)

// copyFormats are those that the double cannot load.
var copyFormats = strings.Fields("csv json avro orc shapefile rcfile sequencefile text textfile")

// planCopy reads a COPY; what PostgreSQL calls COPY is something else and refused.
func (s *session) planCopy(ts []token) (*plan, error) {
	p := &parser{s: s, ts: ts, i: 1}
	c := &copyCommand{}
	var err error
	if c.table, err = p.relation(); err != nil {
		return nil, err
	}
	if p.peek("(") {
		if c.columns, err = p.columns(); err != nil {
			return nil, err
		}
	}
	if err := p.expect("from"); err != nil {
		return nil, err
	}
	if c.from, err = p.stringValue(); err != nil {
		return nil, err
	}
	for p.more() {
		if err := c.option(p); err != nil {
			return nil, err
		}
	}
	if err := c.complete(); err != nil {
		return nil, err
	}
	return &plan{verb: "copy", writes: []string{c.table.pg}, do: s.copyAction(c)}, nil
}

func (c *copyCommand) option(p *parser) (err error) {
	start := p.ts[p.i]
	if start.kind == word {
		if slices.Contains(c.seen, start.val) && start.val != "format" {
			return refuse("42601", "conflicting or redundant options")
		}
		c.seen = append(c.seen, start.val)
	}
	switch {
	case p.accept("iam_role"):
		if !p.accept("default") {
			_, err = p.roles()
		}
		c.credentials = append(c.credentials, "iam_role")
	case p.peek("credentials", "access_key_id", "secret_access_key", "session_token"):
		p.i++
		if p.accept("as") && !start.is("credentials") {
			return p.unexpected()
		}
		_, err = p.stringValue()
		c.credentials = append(c.credentials, start.val)
	case p.accept("format"):
		_ = p.accept("as")
		return c.setFormat(p)
	case p.peek(append([]string{"parquet"}, copyFormats...)...):
		return c.setFormat(p)
	case p.accept("manifest"):
		c.manifest = true
	case p.accept("serializetojson"):
		c.serialize = true
	case p.accept("fillrecord"):
		c.fill = true
	case p.accept("explicit_ids"):
		c.explicitIDs = true
	case p.accept("statupdate"):
		if p.peek("on", "off", "true", "false") {
			p.i++
		}
	case p.accept("acceptinvchars"):
		return c.invalidChars(p)
	case p.peek(copyOptions...):
		return c.foreignOption(p)
	default:
		return p.unexpected()
	}
	return err
}

func (c *copyCommand) setFormat(p *parser) error {
	if c.format != "" || !p.more() {
		return p.unexpected()
	}
	c.format = p.ts[p.i].val
	p.i++
	switch {
	case c.format == "parquet":
		return nil
	case slices.Contains(copyFormats, c.format):
		return unsupported("COPY FORMAT %s: the double loads Parquet", strings.ToUpper(c.format))
	}
	return nearby(c.format)
}

func (c *copyCommand) invalidChars(p *parser) error {
	c.replacement = "?"
	if !p.accept("as") && (!p.more() || p.ts[p.i].kind != text) {
		return nil
	}
	r, err := p.stringValue()
	if err != nil {
		return err
	}
	if len(r) != 1 {
		return refuse("42601", "ACCEPTINVCHARS replacement character must be a single ASCII character")
	}
	c.replacement = r
	return nil
}

// foreignOption passes over an option of another format, to refuse it when the format is known.
func (c *copyCommand) foreignOption(p *parser) error {
	name := strings.ToUpper(p.ts[p.i].val)
	for _, t := range p.ts {
		if t.is("parquet") {
			return refuse("0A000", "%s argument is not supported for PARQUET based COPY", name)
		}
	}
	return unsupported("COPY of text (delimited files): the double loads Parquet")
}

// roles reads 'arn' or 'arn,arn': chained roles have no blanks between them.
func (p *parser) roles() (string, error) {
	v, err := p.stringValue()
	if err != nil {
		return "", err
	}
	for role := range strings.SplitSeq(v, ",") {
		if !strings.HasPrefix(role, "arn:aws") {
			return "", refuse("XX000", "Invalid IAM role: %q is not an ARN", role)
		}
	}
	return v, nil
}

func (c *copyCommand) complete() error {
	if !strings.HasPrefix(c.from, "s3://") {
		return refuse("XX000", "LOAD source is not supported. (Hint: only S3 or DynamoDB or EMR based load is allowed)")
	}
	if err := checkCredentials(c.credentials); err != nil {
		return err
	}
	if c.format == "" {
		return unsupported("COPY of text (delimited files): the double loads Parquet")
	}
	return nil
}

func checkCredentials(given []string) error {
	has := func(w string) bool { return slices.Contains(given, w) }
	switch {
	case len(given) == 0:
		return refuse("XX000", "CREDENTIALS argument is required but not found")
	case has("iam_role") && len(given) > 1, has("credentials") && len(given) > 1:
		return refuse("42601", "conflicting or redundant options: IAM_ROLE, CREDENTIALS and ACCESS_KEY_ID exclude each other")
	case has("access_key_id") != has("secret_access_key"):
		return refuse("XX000", "Invalid credentials: ACCESS_KEY_ID and SECRET_ACCESS_KEY go together")
	}
	return nil
}
