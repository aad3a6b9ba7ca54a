package elt

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/tidemill/tidemill/internal/grid"
)

// Offset is a distance on the zone's clock, with the text it was made of.
type Offset struct {
	grid.Shift
	text string
}

// UnmarshalText reads 0, -1d, -2h.
func (o *Offset) UnmarshalText(b []byte) (err error) {
	o.Shift, err = grid.ParseShift(string(b))
	o.text = string(b)
	return err
}

// MarshalText is the offset as it was written.
func (o Offset) MarshalText() ([]byte, error) {
	if o.text == "" {
		return []byte("0"), nil
	}
	return []byte(o.text), nil
}

// Due is a time of day in the job's zone at or after the interval's end, or a delay after it.
type Due struct {
	set   bool
	delay bool
	at    time.Duration
	text  string
}

var clockPattern = regexp.MustCompile(`^([01]\d|2[0-3]):([0-5]\d)$`)

// UnmarshalText reads 06:00 or +20m.
func (d *Due) UnmarshalText(b []byte) error {
	text := string(b)
	if m := clockPattern.FindStringSubmatch(text); m != nil {
		h, _ := strconv.Atoi(m[1]) // the pattern has digits
		n, _ := strconv.Atoi(m[2])
		*d = Due{set: true, at: time.Duration(h)*time.Hour + time.Duration(n)*time.Minute, text: text}
		return nil
	}
	if rest, ok := strings.CutPrefix(text, "+"); ok {
		if t, err := time.ParseDuration(rest); err == nil && t >= 0 {
			*d = Due{set: true, delay: true, at: t, text: text}
			return nil
		}
	}
	return fmt.Errorf("must be a time of day like \"06:00\" or a delay after the interval's end like +20m")
}

// MarshalText is the time as it was written.
func (d Due) MarshalText() ([]byte, error) { return []byte(d.text), nil }

// IsZero reports whether nothing is due.
func (d Due) IsZero() bool { return !d.set }

// Of is the instant for an interval; zero when nothing is due.
func (d Due) Of(w grid.Window, zone *time.Location) time.Time {
	switch {
	case !d.set:
		return time.Time{}
	case d.delay:
		return w.End.Add(d.at)
	}
	return grid.Clock(w.End, zone, d.at)
}

// Span is a length of time that may be given in days or weeks.
type Span struct {
	Duration time.Duration
	text     string
}

// UnmarshalText reads 2h, 30d or 2w.
func (s *Span) UnmarshalText(b []byte) error {
	text := string(b)
	for suffix, unit := range map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour} {
		if n, ok := strings.CutSuffix(text, suffix); ok {
			if days, err := strconv.Atoi(n); err == nil && days >= 0 && days < 100000 {
				*s = Span{time.Duration(days) * unit, text}
				return nil
			}
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return fmt.Errorf("must be a length of time like 2h, 30d or 2w")
	}
	*s = Span{d, text}
	return nil
}

// MarshalText is the span as it was written.
func (s Span) MarshalText() ([]byte, error) { return []byte(s.text), nil }

// Percent is a part of a whole.
type Percent float64

// UnmarshalText reads 30%.
func (p *Percent) UnmarshalText(b []byte) error {
	n, ok := strings.CutSuffix(string(b), "%")
	f, err := strconv.ParseFloat(strings.TrimSpace(n), 64)
	if !ok || err != nil || !(f >= 0 && f <= 100) {
		return fmt.Errorf("must be a percentage like 30%%")
	}
	*p = Percent(f)
	return nil
}

// MarshalText is the percentage.
func (p Percent) MarshalText() ([]byte, error) {
	return []byte(strconv.FormatFloat(float64(p), 'g', -1, 64) + "%"), nil
}

// Backoff is the first and the longest wait between attempts.
type Backoff struct{ First, Longest time.Duration }

// UnmarshalText reads 30s..10m.
func (r *Backoff) UnmarshalText(b []byte) error {
	lo, hi, ok := strings.Cut(string(b), "..")
	first, err1 := time.ParseDuration(lo)
	longest, err2 := time.ParseDuration(hi)
	if !ok || err1 != nil || err2 != nil || first <= 0 || longest < first {
		return fmt.Errorf("must be two lengths of time like 30s..10m")
	}
	*r = Backoff{first, longest}
	return nil
}

// MarshalText is the pair.
func (r Backoff) MarshalText() ([]byte, error) {
	return []byte(short(r.First) + ".." + short(r.Longest)), nil
}

// After is the wait after a number of failed attempts.
func (r Backoff) After(failed int) time.Duration {
	d := r.First
	for i := 1; i < failed && d < r.Longest; i++ {
		d *= 2
	}
	return min(d, r.Longest)
}

// short writes 10m and not 10m0s.
func short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// Count is a number of rows that may be given as 500k or 500M.
type Count int64

// UnmarshalText reads 1000, 500k, 500M or 2G.
func (c *Count) UnmarshalText(b []byte) error {
	text, unit := string(b), int64(1)
	for suffix, u := range map[string]int64{"k": 1e3, "M": 1e6, "G": 1e9} {
		if n, ok := strings.CutSuffix(text, suffix); ok {
			text, unit = n, u
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > 1e9 {
		return fmt.Errorf("must be a number of rows like 1000, 500k or 500M")
	}
	*c = Count(n * unit)
	return nil
}

// Runtime bounds how long a run may take, as a length or as a multiple of the median of earlier runs.
type Runtime struct {
	Fixed  time.Duration
	Factor float64
	text   string
}

var factorPattern = regexp.MustCompile(`^(\d+(?:\.\d+)?)x median$`)

// UnmarshalText reads 40m or 3x median.
func (r *Runtime) UnmarshalText(b []byte) error {
	text := string(b)
	if m := factorPattern.FindStringSubmatch(text); m != nil {
		f, err := strconv.ParseFloat(m[1], 64)
		if err == nil && f >= 1 {
			*r = Runtime{Factor: f, text: text}
			return nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return fmt.Errorf("must be a length of time like 40m, or a multiple like 3x median")
	}
	*r = Runtime{Fixed: d, text: text}
	return nil
}

// MarshalText is the bound as it was written.
func (r Runtime) MarshalText() ([]byte, error) { return []byte(r.text), nil }

// Of is the bound, given how long earlier runs took. Zero: none; a median of fewer than three runs says nothing.
func (r Runtime) Of(earlier []time.Duration) time.Duration {
	if r.Factor == 0 {
		return r.Fixed
	}
	if len(earlier) < 3 {
		return 0
	}
	values := make([]float64, len(earlier))
	for i, d := range earlier {
		values[i] = float64(d)
	}
	return time.Duration(r.Factor * median(values))
}

// Keep is how many keys of failing rows are kept.
type Keep int

var keepPattern = regexp.MustCompile(`^(\d{1,4})(?: keys only)?$`)

// UnmarshalText reads 50 keys only; whole rows are never kept.
func (k *Keep) UnmarshalText(b []byte) error {
	m := keepPattern.FindStringSubmatch(string(b))
	if m == nil {
		return fmt.Errorf("must be a number like 50, or 50 keys only; 0 keeps none")
	}
	n, err := strconv.Atoi(m[1])
	*k = Keep(n)
	return err
}

// MarshalText is the number, in words.
func (k Keep) MarshalText() ([]byte, error) { return []byte(strconv.Itoa(int(k)) + " keys only"), nil }
