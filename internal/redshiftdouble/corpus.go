package redshiftdouble

import (
	_ "embed"
	"fmt"
	"strings"
)

//go:embed corpus.txt
var corpusText string

// Case is a statement and what is expected of it: a line of corpus.txt.
type Case struct {
	Line      int
	Valid     bool   // on Redshift
	Proven    bool   // by a source; otherwise a real cluster has to
	Alone     bool   // outside of a transaction block
	Block     bool   // the transaction block is the point
	Code      string // what the double answers: ok, or a SQLSTATE
	Text      string // part of the double's message
	Statement string
}

// CorpusTables are the tables that the statements of the corpus are about.
var CorpusTables = []string{
	"CREATE TABLE t (id BIGINT NOT NULL, a INTEGER, b VARCHAR(20), n NUMERIC(18,2), d DATE, ts TIMESTAMP, flag BOOLEAN, doc SUPER, bin VARBYTE)",
	"CREATE TABLE s (LIKE t)",
	"CREATE TABLE keyed (id BIGINT DISTKEY, k INTEGER SORTKEY, v VARCHAR(10) DEFAULT 'x', w VARCHAR(10) ENCODE bytedict)",
	"CREATE TABLE lone (x INTEGER)",
	"CREATE VIEW v AS SELECT id, b FROM s",
	"CREATE SCHEMA mart",
	"CREATE TABLE mart.m (id BIGINT, v VARCHAR(20), k VARCHAR(10), PRIMARY KEY (k))",
	"INSERT INTO t (id, a, b) VALUES (1, 1, 'a'), (2, 2, 'b')",
	"INSERT INTO s (id, a, b) VALUES (2, 9, 'x'), (3, 9, 'y')",
}

// Corpus is the table of statements: data that a run against a real cluster can prove.
func Corpus() []Case {
	var out []Case
	for i, line := range strings.Split(corpusText, "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.SplitN(line, " | ", 4)
		if len(f) != 4 {
			f = strings.SplitN(strings.Replace(line, " | |", " |  |", 1), " | ", 4)
		}
		if len(f) != 4 {
			panic(fmt.Sprintf("corpus.txt, line %d: %d fields", i+1, len(f)))
		}
		verdict, how, _ := strings.Cut(f[0], " ")
		out = append(out, Case{
			Line: i + 1, Valid: strings.HasPrefix(verdict, "valid"), Proven: !strings.HasSuffix(verdict, "?"), Alone: how == "alone", Block: how == "block",
			Code: f[1], Text: strings.TrimSpace(f[2]), Statement: f[3],
		})
	}
	return out
}
