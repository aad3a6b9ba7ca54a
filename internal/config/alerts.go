package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/mail"
	"net/url"
	"slices"
	"strings"
)

// Alerts are the channels that alerts may go to, by kind and name: slack.data is addressed as slack:data.
type Alerts struct {
	Slack     map[string]Slack     `yaml:"slack" jsonschema:"description=Slack incoming webhooks by name"`
	Mail      map[string]Mail      `yaml:"mail" jsonschema:"description=Mail recipients by name"`
	PagerDuty map[string]PagerDuty `yaml:"pagerduty" jsonschema:"description=PagerDuty services by name"`
	Webhook   map[string]Webhook   `yaml:"webhook" jsonschema:"description=Other HTTP receivers by name"`
	// Owners are where alerts of an owner's jobs go when a job does not say: owner -> channels.
	Owners map[string][]string `yaml:"owners" jsonschema:"description=Default channels by owner, like data-reporting: [slack:data]"`
	// Console is where a person finds the console, for the links in alerts.
	Console string `yaml:"console" jsonschema:"description=Address of the console for links in alerts"`
	// Alive is asked every minute while jobs are looked after: a dead-man's switch elsewhere notices when that stops.
	Alive Secret `yaml:"alive" jsonschema:"description=URL of a dead-man's switch that is asked every minute while jobs are looked after"`
}

// Slack is an incoming webhook. Its address is its secret.
type Slack struct {
	URL Secret `yaml:"url" jsonschema:"required"`
}

// Mail is a group of recipients and the server that takes mail for them.
type Mail struct {
	To       []string `yaml:"to" jsonschema:"required,minItems=1"`
	From     string   `yaml:"from" jsonschema:"required"`
	Server   string   `yaml:"server" jsonschema:"required,description=host:port of the SMTP server"`
	TLS      string   `yaml:"tls" jsonschema:"enum=starttls,enum=implicit,enum=none,description=Default starttls; none is for a relay on this machine"`
	User     string   `yaml:"user"`
	Password Secret   `yaml:"password"`
}

// PagerDuty is a service with an Events API v2 integration.
type PagerDuty struct {
	Key Secret `yaml:"key" jsonschema:"required,description=Integration key"`
	URL URL    `yaml:"url" jsonschema:"description=Default https://events.pagerduty.com/v2/enqueue"`
}

// Webhook is any receiver of JSON.
type Webhook struct {
	URL Secret `yaml:"url" jsonschema:"required"`
	// Secret signs the body: header Tidemill-Signature: sha256=HMAC.
	Secret Secret `yaml:"secret"`
}

// Fingerprint tells two configurations apart, secrets included; it holds none of them.
func (a Alerts) Fingerprint() string {
	h := sha256.New()
	for _, name := range keys(a.Slack) {
		fmt.Fprintf(h, "slack %q %q\n", name, a.Slack[name].URL.Reveal())
	}
	for _, name := range keys(a.Mail) {
		m := a.Mail[name]
		fmt.Fprintf(h, "mail %q %q %q %q %q %q %q\n", name, m.To, m.From, m.Server, m.TLS, m.User, m.Password.Reveal())
	}
	for _, name := range keys(a.PagerDuty) {
		fmt.Fprintf(h, "pagerduty %q %q %q\n", name, a.PagerDuty[name].Key.Reveal(), a.PagerDuty[name].URL.Reveal())
	}
	for _, name := range keys(a.Webhook) {
		fmt.Fprintf(h, "webhook %q %q %q\n", name, a.Webhook[name].URL.Reveal(), a.Webhook[name].Secret.Reveal())
	}
	fmt.Fprintf(h, "%q %q\n", a.Console, a.Alive.Reveal())
	return hex.EncodeToString(h.Sum(nil))
}

// Channels lists the addresses of all channels.
func (a Alerts) Channels() []string {
	var out []string
	for kind, names := range map[string][]string{
		"slack": keys(a.Slack), "mail": keys(a.Mail), "pagerduty": keys(a.PagerDuty), "webhook": keys(a.Webhook),
	} {
		for _, n := range names {
			out = append(out, kind+":"+n)
		}
	}
	slices.Sort(out)
	return out
}

func keys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// ChannelProblem says what is wrong with the address of a channel, empty when nothing is.
func (a Alerts) ChannelProblem(address string) string {
	all := a.Channels()
	if slices.Contains(all, address) {
		return ""
	}
	if len(all) == 0 {
		return fmt.Sprintf("there is no channel %q: tidemill.yaml has none under alerts", address)
	}
	return fmt.Sprintf("there is no channel %q%s; known: %s", address, DidYouMean(address, all), strings.Join(all, ", "))
}

func (a Alerts) validate(report func(path, message string)) {
	web := func(u interface {
		IsZero() bool
		Reveal() string
	}, at string, needed bool) {
		if u.IsZero() && !needed {
			return
		}
		p, err := url.Parse(u.Reveal())
		if err != nil || p.Scheme != "https" && p.Scheme != "http" || p.Host == "" {
			report(at, "must be a URL like https://host/path")
		}
	}
	for name, c := range a.Slack {
		web(c.URL, Path("alerts", "slack", name, "url"), true)
	}
	for name, c := range a.Webhook {
		web(c.URL, Path("alerts", "webhook", name, "url"), true)
	}
	for name, c := range a.PagerDuty {
		web(c.URL, Path("alerts", "pagerduty", name, "url"), false)
		if c.Key.IsZero() {
			report(Path("alerts", "pagerduty", name, "key"), "is missing")
		}
	}
	for name, c := range a.Mail {
		c.validate(Path("alerts", "mail", name), report)
	}
	web(a.Alive, Path("alerts", "alive"), false)
	for owner, channels := range a.Owners {
		for i, c := range channels {
			if p := a.ChannelProblem(c); p != "" {
				report(Path("alerts", "owners", owner, i), p)
			}
		}
	}
}

func (m Mail) validate(at string, report func(path, message string)) {
	if len(m.To) == 0 {
		report(at+".to", "is missing")
	}
	for i, to := range append(slices.Clone(m.To), m.From) {
		if _, err := mail.ParseAddress(to); err != nil {
			where := at + ".to" + Path(i)
			if i == len(m.To) {
				where = at + ".from"
			}
			report(where, "is no mail address")
		}
	}
	if host, port, ok := strings.Cut(m.Server, ":"); !ok || host == "" || port == "" {
		report(at+".server", "must be host:port, like smtp.example.org:587")
	}
	if modes := []string{"", "starttls", "implicit", "none"}; !slices.Contains(modes, m.TLS) {
		report(at+".tls", "must be starttls, implicit or none"+DidYouMean(m.TLS, modes[1:]))
	}
	if m.TLS == "none" && !m.Password.IsZero() {
		report(at+".tls", "none would send the password in the clear")
	}
}
