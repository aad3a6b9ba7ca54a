package config

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
)

const redacted = "***"

// Secret is a value that never shows itself: every way of printing it gives ***. Reveal is the only way to the text.
type Secret struct{ text string }

// NewSecret wraps a text.
func NewSecret(text string) Secret { return Secret{text} }

// Reveal is the text itself, for the one call that needs it.
func (s Secret) Reveal() string { return s.text }

// IsZero reports whether there is no text.
func (s Secret) IsZero() bool { return s.text == "" }

// String hides the text.
func (Secret) String() string { return redacted }

// GoString hides the text from %#v.
func (Secret) GoString() string { return redacted }

// LogValue hides the text from slog.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON hides the text from encoders.
func (Secret) MarshalJSON() ([]byte, error) { return json.Marshal(redacted) }

// UnmarshalText sets the text.
func (s *Secret) UnmarshalText(b []byte) error {
	s.text = string(b)
	return nil
}

// URL is an address that may carry a password or a key: printing it shows the place without them.
type URL struct{ text string }

// NewURL wraps an address.
func NewURL(text string) URL { return URL{text} }

// Reveal is the whole address, for the one call that needs it.
func (u URL) Reveal() string { return u.text }

// IsZero reports whether there is no address.
func (u URL) IsZero() bool { return u.text == "" }

// Scheme is the part before the first colon, empty for a plain path.
func (u URL) Scheme() string {
	scheme, _, ok := strings.Cut(u.text, ":")
	if !ok || strings.ContainsAny(scheme, "/.") {
		return ""
	}
	return scheme
}

// String is the address without user, password and parameters that are not known to be harmless.
func (u URL) String() string {
	if !strings.Contains(u.text, "://") {
		path, _, _ := strings.Cut(u.text, "?")
		return path
	}
	p, err := url.Parse(u.text)
	if err != nil {
		return u.Scheme() + "://" + redacted
	}
	out := url.URL{Scheme: p.Scheme, Host: p.Host, Path: p.Path}
	if region := p.Query().Get("region"); region != "" {
		out.RawQuery = url.Values{"region": {region}}.Encode()
	}
	return out.String()
}

// GoString hides what String hides.
func (u URL) GoString() string { return strconv.Quote(u.String()) }

// LogValue hides what String hides.
func (u URL) LogValue() slog.Value { return slog.StringValue(u.String()) }

// MarshalJSON hides what String hides.
func (u URL) MarshalJSON() ([]byte, error) { return json.Marshal(u.String()) }

// UnmarshalText sets the address.
func (u *URL) UnmarshalText(b []byte) error {
	u.text = string(b)
	return nil
}

// Size is a number of bytes, written as 512MB, 2GiB or a plain number.
type Size int64

var sizeUnits = []struct {
	suffix string
	bytes  float64
}{
	{"kib", 1 << 10}, {"mib", 1 << 20}, {"gib", 1 << 30}, {"tib", 1 << 40},
	{"kb", 1e3}, {"mb", 1e6}, {"gb", 1e9}, {"tb", 1e12}, {"b", 1}, {"", 1},
}

// UnmarshalText reads a size.
func (s *Size) UnmarshalText(b []byte) error {
	text := strings.ToLower(strings.TrimSpace(string(b)))
	for _, u := range sizeUnits {
		number, ok := strings.CutSuffix(text, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || !(n >= 0) || n*u.bytes >= 1<<62 {
			break
		}
		*s = Size(n * u.bytes)
		return nil
	}
	return fmt.Errorf("must be a size like 512MB or 2GiB")
}

// String is the size in the largest binary unit that divides it.
func (s Size) String() string {
	for _, u := range []struct {
		suffix string
		bytes  Size
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if s >= u.bytes && s%u.bytes == 0 {
			return fmt.Sprintf("%d%s", s/u.bytes, u.suffix)
		}
	}
	return strconv.FormatInt(int64(s), 10)
}
