package elt

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/tidemill/tidemill/internal/config"
)

var tablePattern = regexp.MustCompile(`^[a-z_][a-z0-9_]*\.[a-z_][a-z0-9_]*$`)

// reserved are schemas that no job may write to.
var reserved = []string{"tidemill", "pg_catalog", "information_schema", "pg_toast", "temp", "main"}

// validate checks what a spec says by itself.
func (s *Spec) validate(report func(path, message string)) {
	oneOf := func(path, value string, allowed ...string) {
		if !slices.Contains(allowed, value) {
			report(path, "must be "+strings.Join(allowed[:len(allowed)-1], ", ")+" or "+allowed[len(allowed)-1]+config.DidYouMean(value, allowed))
		}
	}
	if s.Owner == "" {
		report("owner", "is missing: say who answers for the job")
	}
	oneOf("run.catchup", s.Run.Catchup, "all", "latest", "none")
	oneOf("run.overlap", s.Run.Overlap, "queue", "skip")
	oneOf("late.on_restate", s.Late.OnRestate, "rerun", "mark", "ignore")
	if s.Late.Lookback < 0 || s.Late.Lookback > 1000 {
		report("late.lookback", "must be between 0 and 1000")
	}
	if s.Retry.Attempts < 1 || s.Retry.Attempts > 100 {
		report("retry.attempts", "must be between 1 and 100")
	}
	for i, class := range s.Retry.On {
		oneOf(config.Path("retry", "on", i), class, Transient, Conflict)
	}
	for i, kind := range s.Alerts.Silence {
		oneOf(config.Path("alerts", "silence", i), kind, string(AlertFail), string(AlertLate), string(AlertWarn))
	}
	if s.Limits.Timeout <= 0 {
		report("limits.timeout", "must be longer than 0")
	}
	if s.Limits.Weight < 1 {
		report("limits.weight", "must be at least 1")
	}
	for i, in := range s.Inputs {
		in.validate(func(key, message string) { report(config.Path("inputs", i, key), message) })
	}
	s.output(report, oneOf)
	s.SLA.validate(report)
}

func (in Input) validate(report func(key, message string)) {
	if in.Table == "" {
		report("table", "is missing")
	}
	needs := []string{Complete, Final, Latest}
	n := in.Need
	switch {
	case n.Coverage > 0 && n.Is == "", n.Is == Coverage && n.Coverage > 0:
		if n.Then != "" && n.Then != "provisional" && n.Then != "fail" {
			report("need", "then must be provisional or fail"+config.DidYouMean(n.Then, []string{"provisional", "fail"}))
		}
		if n.Then != "" && n.GiveUp.IsZero() {
			report("need", "then says what happens at give_up, which is missing")
		}
	case n.Is == Coverage:
		report("need", "coverage wants a percentage: need: {coverage: 95%}")
	case !n.GiveUp.IsZero() || n.Then != "":
		report("need", "give_up and then belong to coverage: need: {coverage: 100%, give_up: \"05:00\", then: provisional}")
	case n.Is != "" && !slices.Contains(needs, n.Is):
		report("need", "must be complete, final, latest or {coverage: 95%}"+config.DidYouMean(n.Is, needs))
	}
	if in.MaxAge.Duration > 0 && n.Is != Latest {
		report("max_age", "belongs to need: latest")
	}
	if n.Is == Latest && in.Slice != (Slice{}) {
		report("slice", "means nothing with need: latest")
	}
}

func (s *Spec) output(report func(path, message string), oneOf func(path, value string, allowed ...string)) {
	o := s.Output
	if s.SQL == "" {
		if o.Table != "" {
			report("output.table", "is written by no SELECT: name the file with it under sql")
		}
		if o.TimeColumn == "" && len(s.Checks) > 0 {
			report("output.time_column", "is missing: a job that only checks needs the column of its input that tells the interval")
		}
		return
	}
	oneOf("output.mode", o.Mode, ReplaceInterval, Merge, ReplaceAll, AppendOnce)
	oneOf("output.via", o.Via, ViaInsert, ViaParquet, ViaUnload)
	oneOf("output.schema_change", o.SchemaChange, "freeze", "add_columns")
	switch schema, _, _ := strings.Cut(o.Table, "."); {
	case o.Table == "":
		report("output.table", "is missing: name it schema.table")
	case !tablePattern.MatchString(o.Table):
		report("output.table", "must be schema.table, each of lower-case letters, digits and _")
	case slices.Contains(reserved, schema):
		report("output.table", fmt.Sprintf("the schema %s is reserved: choose another", schema))
	}
	if o.Mode == ReplaceInterval && o.TimeColumn == "" {
		report("output.time_column", "is missing: replace_interval must know which rows are of the interval")
	}
	if o.Mode == Merge && len(o.Key) == 0 {
		report("output.key", "is missing: merge must know which rows are the same")
	}
	if o.Mode != Merge && len(o.Key) > 0 {
		report("output.key", "belongs to mode: merge")
	}
	if o.Mode != ReplaceInterval && o.TimeColumn != "" {
		report("output.time_column", "belongs to mode: replace_interval")
	}
}

func (s SLA) validate(report func(path, message string)) {
	switch {
	case s.WarnBy.IsZero():
	case s.ReadyBy.IsZero():
		report("sla.warn_by", "warns of ready_by, which is missing")
	case s.WarnBy.delay != s.ReadyBy.delay:
		report("sla.warn_by", "must be written as ready_by is: both as a time of day, or both as a delay")
	case s.WarnBy.at >= s.ReadyBy.at:
		report("sla.warn_by", "must be before ready_by")
	}
}

// mentions finds schema.table in SQL code, in any case and quoted or not. A table with * stands for any of the schema.
func mentions(code, schema, table string) string {
	name := regexp.QuoteMeta(table)
	name = strings.ReplaceAll(name, `\*`, `[A-Za-z0-9_]*`)
	re := regexp.MustCompile(`(?i)(?:^|[^A-Za-z0-9_."])"?` + regexp.QuoteMeta(schema) + `"?\s*\.\s*"?(` + name + `)"?(?:[^A-Za-z0-9_"]|$)`)
	m := re.FindStringSubmatch(code)
	if m == nil {
		return ""
	}
	return schema + "." + strings.ToLower(m[1])
}
