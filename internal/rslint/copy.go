package rslint

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// argument kinds of the options of COPY and UNLOAD.
type argument uint8

const (
	none         argument = iota
	text                  // [AS] 'x'
	maybeText             // [AS] 'x' or nothing
	wordOrText            // [AS] x or 'x'
	count                 // [AS] n
	onOff                 // ON, OFF, TRUE, FALSE or nothing
	presetOrSo            // ... or PRESET
	maybeVerbose          // VERBOSE or nothing
	maybeAuto             // AUTO or nothing
	size                  // [AS] n [MB|GB]
)

var copyOptions = map[string]argument{
	"manifest": none, "gzip": none, "bzip2": none, "lzop": none, "zstd": none, "encrypted": none, "master_symmetric_key": text, "region": text, "ssh": none, "readratio": count,
	"acceptanydate": none, "acceptinvchars": maybeText, "blanksasnull": none, "dateformat": wordOrText, "emptyasnull": none, "encoding": wordOrText, "escape": none, "explicit_ids": none,
	"fillrecord": none, "ignoreblanklines": none, "ignoreheader": count, "null": text, "removequotes": none, "roundec": none, "timeformat": wordOrText, "trimblanks": none, "truncatecolumns": none,
	"comprows": count, "compupdate": presetOrSo, "statupdate": onOff, "maxerror": count, "noload": none, "serializetojson": none, "ignoreallerrors": none,
	"delimiter": text, "quote": text, "fixedwidth": text,
}

// columnarOptions are all that COPY takes with Parquet and ORC.
var columnarOptions = set(`manifest acceptinvchars fillrecord statupdate explicit_ids serializetojson`)

// columnarRemedies say more than "remove it".
var columnarRemedies = map[string]string{
	"region":          "the bucket of Parquet files has to be in the warehouse's region: remove REGION",
	"truncatecolumns": "make the column wide enough, or cut the text before it is written",
	"maxerror":        "remove it: COPY of Parquet loads all or nothing",
}

var unloadOptions = map[string]argument{
	"manifest": maybeVerbose, "header": none, "delimiter": text, "fixedwidth": text, "encrypted": maybeAuto, "bzip2": none, "gzip": none, "zstd": none, "addquotes": none, "null": text, "escape": none,
	"allowoverwrite": none, "cleanpath": none, "parallel": onOff, "maxfilesize": size, "rowgroupsize": size, "region": text, "extension": text, "kms_key_id": text, "master_symmetric_key": text,
}

// textOptions of UNLOAD are about text files.
var textOptions = set(`delimiter fixedwidth addquotes escape null header gzip bzip2 zstd`)

// transfer is what COPY and UNLOAD have in common: who signs, the format, the options.
type transfer struct {
	verb    string
	options map[string]argument
	rule    Rule
	role    bool
	keys    int // CREDENTIALS or ACCESS_KEY_ID and SECRET_ACCESS_KEY
	format  string
	formatT token
	seen    map[string]token
}

// option reads one option, if there is one.
func (p *parser) option(x *transfer) bool {
	t := p.tok()
	if t.kind != word {
		return false
	}
	switch t.text {
	case "iam_role", "credentials", "access_key_id", "secret_access_key", "session_token", "token", "with":
		return p.credential(x)
	case "format", "csv", "parquet", "orc", "json", "avro", "shapefile":
		p.fileFormat(x)
		return true
	}
	kind, known := x.options[t.text]
	if !known {
		p.failAs(x.rule, t, x.verb+" with "+t.name(), "remove it")
	}
	p.next()
	if _, twice := x.seen[t.text]; twice {
		p.report(x.rule, t, t.name()+" for the second time", "write it once")
	}
	x.seen[t.text] = t
	p.optionArgument(t, kind)
	return true
}

func (p *parser) optionArgument(t token, kind argument) {
	switch kind {
	case none:
		return
	case onOff, presetOrSo:
		if p.isAny("on", "off", "true", "false") || kind == presetOrSo && p.is("preset") {
			p.next()
		}
		return
	case maybeVerbose:
		p.take("verbose")
		return
	case maybeAuto:
		p.take("auto")
		return
	}
	p.take("as")
	switch kind {
	case text:
		p.wantString("the value of " + t.name())
	case maybeText:
		p.takeString()
	case wordOrText:
		if !p.takeString() {
			p.label("the value of " + t.name())
		}
	case count:
		p.wantNumber()
	case size:
		p.fileSize(t)
	}
}

// fileSize reads n [MB|GB] and compares it with the bounds of the guide.
func (p *parser) fileSize(t token) {
	n := p.wantNumber()
	mb, err := strconv.ParseFloat(n.text, 64)
	if p.take("gb") {
		mb *= 1024
	} else {
		p.take("mb")
	}
	if n.kind != number || err != nil {
		return
	}
	switch {
	case t.text == "rowgroupsize" && (mb < 32 || mb > 128):
		p.report(ruleUnload, n, "a ROWGROUPSIZE out of range", "between 32 MB and 128 MB")
	case t.text == "maxfilesize" && (mb < 5 || mb > 6.2*1024):
		p.report(ruleUnload, n, "a MAXFILESIZE out of range", "between 5 MB and 6.2 GB")
	}
}

var roleARN = regexp.MustCompile(`^arn:aws[a-z-]*:iam::[0-9]+:role/[\w+=,.@/-]+(,arn:aws[a-z-]*:iam::[0-9]+:role/[\w+=,.@/-]+)*$`)

func (p *parser) credential(x *transfer) bool {
	t := p.next()
	switch t.text {
	case "with":
		if !p.is("credentials") {
			p.failAs(x.rule, t, x.verb+" with WITH", "write the options one after another")
		}
		return true
	case "iam_role":
		if x.role {
			p.report(ruleCredentials, t, "IAM_ROLE for the second time", "write it once")
		}
		x.role = true
		if p.take("default") {
			return true
		}
		if v := p.next(); v.kind != str && v.kind != template || v.kind == str && !roleARN.MatchString(v.text) {
			p.say(ruleRole, t, "the IAM_ROLE")
		}
	case "credentials":
		p.take("as")
		p.wantString("the credentials")
		x.keys += 2
	default:
		p.take("as")
		p.wantString("a part of the credentials")
		if t.text == "access_key_id" || t.text == "secret_access_key" {
			x.keys++
		}
	}
	return true
}

func (p *parser) fileFormat(x *transfer) {
	if p.take("format") {
		p.take("as")
	}
	t := p.tok()
	if x.format != "" {
		p.report(x.rule, t, "a second format", "write one FORMAT")
	}
	x.format, x.formatT = t.text, t
	formats := "csv parquet json"
	if x.verb == "COPY" {
		formats = "csv parquet json orc avro shapefile delimiter fixedwidth"
	}
	if t.kind != word || !set(formats)[t.text] {
		p.failAs(x.rule, t, "the format "+t.name(), "one of "+strings.ToUpper(formats))
	}
	p.next()
	switch {
	case t.text == "delimiter" || t.text == "fixedwidth":
		p.take("as")
		p.wantString("the value of " + t.name())
	case (t.text == "json" || t.text == "avro") && x.verb == "COPY":
		p.take("as")
		p.wantString("auto, or the path of a JSONPaths file,")
	case t.text == "shapefile":
		if p.take("simplify") {
			p.take("auto")
			if p.tok().kind == number {
				p.next()
			}
		}
	}
}

// credentialsOnce wants exactly one way to sign.
func (p *parser) credentialsOnce(x *transfer, t token) {
	switch {
	case x.role && x.keys > 0:
		p.say(ruleCredentials, t, x.verb+" with IAM_ROLE and keys")
	case !x.role && x.keys == 0:
		p.say(ruleCredentials, t, x.verb+" without credentials")
	case !x.role && x.keys == 1:
		p.say(ruleCredentials, t, x.verb+" with half a pair of keys")
	}
}

// copy reads COPY.
func (p *parser) copy() {
	t := p.next()
	if p.isOp("(") {
		p.failAs(ruleCopyLocal, t, "COPY of a query", "UNLOAD ('SELECT ...') TO 's3://...'")
	}
	p.qualified("a table")
	if p.isOp("(") {
		p.columns()
	}
	if p.is("to") {
		p.failAs(ruleCopyLocal, p.tok(), "COPY TO", "UNLOAD ('SELECT ...') TO 's3://...'")
	}
	p.want("from")
	from := p.tok()
	if from.kind != str && from.kind != template {
		p.failAs(ruleCopyLocal, from, "COPY FROM "+from.name(), "")
	}
	if from.kind == str && !strings.HasPrefix(from.text, "s3://") && !strings.HasPrefix(from.text, "dynamodb://") && !strings.HasPrefix(from.text, "emr://") {
		p.say(ruleCopyLocal, from, "COPY from another place")
	}
	p.next()
	x := &transfer{verb: "COPY", options: copyOptions, rule: ruleCopyOption, seen: map[string]token{}}
	for p.option(x) {
		if p.take("job create") {
			p.skipRest()
		}
	}
	p.credentialsOnce(x, t)
	p.checkCopy(x, from)
}

func (p *parser) checkCopy(x *transfer, from token) {
	if x.format == "parquet" || x.format == "orc" {
		for name, t := range x.seen {
			if !columnarOptions[name] {
				remedy := columnarRemedies[name]
				if remedy == "" {
					remedy = "remove it"
				}
				p.report(ruleCopyOption, t, fmt.Sprintf("%s with %s files", t.name(), strings.ToUpper(x.format)), remedy)
			}
		}
	} else if t, ok := x.seen["serializetojson"]; ok {
		p.report(ruleCopyOption, t, "SERIALIZETOJSON without columnar files", "remove it")
	}
	_, manifest := x.seen["manifest"]
	switch {
	case from.kind != str || !strings.HasPrefix(from.text, "s3://"):
	case !manifest:
		p.say(ruleCopyPrefix, from, "COPY of a prefix")
	case strings.HasSuffix(from.text, "/"):
		p.report(ruleCopyOption, from, "a MANIFEST that is a folder", "name the manifest's file")
	}
}

// unload reads UNLOAD.
func (p *parser) unload() {
	t := p.next()
	var query token
	p.parens(func() { query = p.wantString("the query") })
	p.want("to")
	to := p.wantString("the place")
	if to.kind == str && !strings.HasPrefix(to.text, "s3://") {
		p.report(ruleUnload, to, "UNLOAD to another place", "UNLOAD writes to 's3://...'")
	}
	x := &transfer{verb: "UNLOAD", options: unloadOptions, rule: ruleUnload, seen: map[string]token{}}
	for p.tok().kind != end {
		if p.take("partition by") {
			p.columns()
			p.take("include")
			continue
		}
		if !p.option(x) {
			break
		}
	}
	p.credentialsOnce(x, t)
	p.checkUnload(x)
	if query.kind == str {
		p.inner(query)
	}
}

func (p *parser) checkUnload(x *transfer) {
	for name, t := range x.seen {
		if x.format == "parquet" && textOptions[name] {
			p.report(ruleUnload, t, t.name()+" with PARQUET", "remove it")
		}
		if name == "rowgroupsize" && x.format != "parquet" {
			p.report(ruleUnload, t, "ROWGROUPSIZE without PARQUET", "add FORMAT PARQUET")
		}
	}
	if t, ok := x.seen["cleanpath"]; ok {
		if _, both := x.seen["allowoverwrite"]; both {
			p.report(ruleUnload, t, "CLEANPATH and ALLOWOVERWRITE", "choose one")
		}
	}
}

// inner judges the query of an UNLOAD. Its places are those of the literal, and are told in words.
func (p *parser) inner(query token) {
	c := &checker{}
	l := &lexer{src: query.text, line: 1, col: 1, report: func(r Rule, t token, what string) { c.report(r, t, what, "") }}
	q := &parser{checker: c, tokens: l.run()}
	func() {
		defer func() {
			if r := recover(); r != nil && r != (bail{}) {
				panic(r)
			}
		}()
		q.query()
		if q.tok().kind != end {
			q.fail("%s is too much here", q.tok().name())
		}
		if q.limit != nil {
			q.say(ruleUnloadLimit, *q.limit, "LIMIT in the query")
		}
	}()
	for _, f := range c.found {
		f.What = fmt.Sprintf("in the query, at %d:%d, %s", f.Line, f.Col, f.What)
		f.Line, f.Col = query.line, query.col
		p.found = append(p.found, f)
	}
}

// merge reads MERGE in the form that Redshift has.
func (p *parser) merge() {
	p.want("merge into")
	target := p.qualified("a table")
	if !p.is("using") {
		p.failAs(ruleMerge, p.tok(), "an alias of the target", "name columns by the target's full name")
	}
	p.want("using")
	if p.isOp("(") {
		p.failAs(ruleMerge, p.tok(), "a source that is no table", "CREATE TEMP TABLE ... AS it first")
	}
	source := p.qualified("a table")
	if source.name == target.name && source.parts == target.parts {
		p.say(ruleMerge, source.token, "a source that is the target")
	}
	p.tableAlias()
	p.want("on")
	p.equalities()
	if p.take("remove duplicates") {
		return
	}
	p.mergeClauses()
}

// equalities reads the condition and refuses what is no equality.
func (p *parser) equalities() {
	at := p.at
	p.expr()
	for _, t := range p.tokens[at:p.at] {
		switch t.text {
		case "<", ">", "<=", ">=", "<>", "!=", "or", "like", "ilike", "between", "in", "not", "is", "~":
			if t.kind == op || t.kind == word {
				p.say(ruleMerge, t, t.name()+" in the condition")
			}
		}
	}
}

func (p *parser) mergeClauses() {
	var matched, not bool
	for p.is("when") {
		t := p.next()
		absent := p.take("not")
		p.want("matched")
		if p.is("and") || p.is("by") {
			p.failAs(ruleMerge, p.tok(), "WHEN ... "+p.tok().name(), "")
		}
		p.want("then")
		if absent && not || !absent && matched {
			p.say(ruleMerge, t, "a second WHEN of its kind")
		}
		if absent {
			not = true
			p.mergeInsert()
		} else {
			matched = true
			p.mergeMatched()
		}
	}
	if !matched || !not {
		p.failAs(ruleMerge, p.tok(), "a MERGE without both WHEN MATCHED and WHEN NOT MATCHED", "")
	}
}

func (p *parser) mergeMatched() {
	if p.take("delete") {
		return
	}
	if !p.is("update") {
		p.failAs(ruleMerge, p.tok(), "THEN "+p.tok().name(), "")
	}
	p.want("update set")
	var columns []token
	p.list(func() {
		columns = append(columns, p.ident("a column"))
		if p.isOp(".") {
			p.failAs(ruleSetColumn, columns[len(columns)-1], "a qualified column in SET", "")
		}
		p.wantOp("=")
		p.valueOrDefault()
	})
	p.distinct(columns)
}

func (p *parser) mergeInsert() {
	if !p.is("insert") {
		p.failAs(ruleMerge, p.tok(), "THEN "+p.tok().name(), "")
	}
	p.next()
	if p.isOp("(") {
		p.columns()
	}
	p.want("values")
	p.parens(func() { p.list(p.valueOrDefault) })
}
