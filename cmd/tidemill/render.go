package main

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tidemill/tidemill/console"
)

// renderStatus draws the status as lines of at most width columns. It is pure: what it shows is in s, and now.
func renderStatus(s console.Status, width int, now time.Time, self program) []string {
	lines := []string{fmt.Sprintf("tidemill · project %s · windows of %s · up %s", s.Project, s.Window, rough(now.Sub(s.Started)))}
	if s.Config.Error != "" {
		lines = append(lines, "", "the configuration has changed and cannot run; the old one goes on:")
		for l := range strings.SplitSeq(s.Config.Error, "\n") {
			lines = append(lines, "  "+l)
		}
	}
	names := columnWidth(s)
	for _, p := range s.Pipelines {
		lines = append(lines, "", pipelineLine(p, names, now))
		lines = append(lines, problemLines(p.State, p.Error)...)
		for _, t := range p.Tables {
			lines = append(lines, pipelineTable(p, t, names, now))
		}
	}
	for _, src := range s.Sources {
		lines = append(lines, "", sourceLine(src, names, now))
		lines = append(lines, problemLines(src.State, src.Error)...)
		for _, t := range src.Tables {
			if l := sourceTable(t, names); l != "" {
				lines = append(lines, l)
			}
		}
	}
	if j := s.Jobs; j != nil {
		lines = append(lines, "", jobsLine(*j, names))
		lines = append(lines, problemLines(j.State, j.Error)...)
	}
	for i := range lines {
		lines[i] = cut(self.asCalled(lines[i]), width)
	}
	return lines
}

// columnWidth is the width of the names' column.
func columnWidth(s console.Status) int {
	w := 16
	for _, p := range s.Pipelines {
		for _, t := range p.Tables {
			w = max(w, utf8.RuneCountInString(t.Name)+2)
		}
	}
	for _, src := range s.Sources {
		for _, t := range src.Tables {
			w = max(w, utf8.RuneCountInString(t.Name)+2)
		}
	}
	return min(w, 48)
}

func pipelineLine(p console.PipelineStatus, names int, now time.Time) string {
	l := pad("pipeline "+p.Name, names) + "  "
	switch {
	case p.WindowEnd.IsZero():
		l += "no window published yet"
	default:
		l += fmt.Sprintf("window %s  %s rows  lag %s", windowText(p), thousands(p.Rows), rough(p.Lag(now)))
	}
	if p.State != console.Running {
		l += "  [" + string(p.State) + "]"
	}
	if p.Waiting != "" {
		l += "  waiting for " + p.Waiting
	}
	return l
}

func windowText(p console.PipelineStatus) string {
	text := p.Window.UTC().Format("15:04:05") + "–" + p.WindowEnd.UTC().Format("15:04:05")
	if !p.Final || p.Slice > 0 {
		text += fmt.Sprintf(" slice %d", p.Slice)
	}
	return text
}

func pipelineTable(p console.PipelineStatus, t console.PipelineTable, names int, now time.Time) string {
	if t.Parked != "" {
		return pad("  "+t.Name, names) + "  stands still: " + t.Parked
	}
	if p.WindowEnd.IsZero() {
		return "  " + t.Name
	}
	l := pad("  "+t.Name, names) + fmt.Sprintf("  %s  %9s upserts  %7s deletes  lag %s",
		p.WindowEnd.UTC().Format("15:04:05"), thousands(t.Upserts), thousands(t.Deletes), rough(p.Lag(now)))
	if t.Quarantined > 0 {
		l += fmt.Sprintf("  %s in quarantine", thousands(t.Quarantined))
	}
	return l
}

// jobsLine says what needs a person first.
func jobsLine(j console.JobsStatus, names int) string {
	l := pad("jobs", names) + "  " + count(j.Jobs, "job")
	for _, x := range []struct {
		n    int
		word string
	}{{j.Failed, "failed"}, {j.Late, "late"}, {j.Running, "running"}, {j.Stale, "stale"}, {j.Waiting, "waiting"}} {
		if x.n > 0 {
			l += fmt.Sprintf("  %d %s", x.n, x.word)
		}
	}
	if j.State != console.Running {
		l += "  [" + string(j.State) + "]"
	}
	return l
}

func sourceLine(s console.SourceStatus, names int, now time.Time) string {
	l := pad("source "+s.Name, names) + "  " + string(s.State)
	if !s.AsOf.IsZero() {
		l += fmt.Sprintf("  read up to %s (%s ago)", s.AsOf.UTC().Format("15:04:05"), rough(max(0, now.Sub(s.AsOf))))
	}
	return l + fmt.Sprintf("  %s rows", thousands(s.Rows))
}

// problemLines says why a unit does not run. The other states need no words.
func problemLines(state console.State, problem string) []string {
	if problem == "" || state != console.Failed && state != console.Retrying {
		return nil
	}
	var lines []string
	for l := range strings.SplitSeq(problem, "\n") {
		lines = append(lines, "  ! "+l)
	}
	return lines
}

// sourceTable shows a table that is still loading or stands still; a table that just streams needs no line.
func sourceTable(t console.SourceTable, names int) string {
	switch {
	case t.Parked != "":
		return pad("  "+t.Name, names) + "  stands still: " + t.Parked
	case t.Loaded:
		return ""
	case t.Estimate > 0:
		return pad("  "+t.Name, names) + fmt.Sprintf("  first load %s %3d %%  %s of about %s rows", bar(t.Rows, t.Estimate, 24),
			percent(t.Rows, t.Estimate), thousands(t.Rows), thousands(t.Estimate))
	}
	return pad("  "+t.Name, names) + fmt.Sprintf("  first load  %s rows", thousands(t.Rows))
}

// percent never says 100 before the end: the total is a guess.
func percent(n, of int64) int64 { return min(99, n*100/max(of, 1)) }

func bar(n, of int64, width int) string {
	full := int(percent(n, of)) * width / 100
	return "[" + strings.Repeat("#", full) + strings.Repeat(".", width-full) + "]"
}

// rough is a duration as a person would say it.
func rough(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < 10*time.Minute:
		return d.Truncate(time.Second).String()
	case d < 48*time.Hour:
		return strings.TrimSuffix(d.Truncate(time.Minute).String(), "0s")
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

func thousands(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(s)))
}

// cut shortens a line to the terminal: a line that wraps would break the redraw in place.
func cut(s string, width int) string {
	if r := []rune(s); width > 1 && len(r) > width {
		return string(r[:width-1]) + "…"
	}
	return s
}
