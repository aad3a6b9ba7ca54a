package alert

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tidemill/tidemill/elt"
	"github.com/tidemill/tidemill/internal/config"
)

// Channels delivers messages to the channels of a project.
type Channels struct {
	project string
	alerts  config.Alerts
	http    *http.Client
}

var _ elt.Sender = (*Channels)(nil)

// New returns the channels. It does no I/O.
func New(project string, alerts config.Alerts) *Channels {
	return &Channels{project: project, alerts: alerts, http: &http.Client{
		Timeout: 15 * time.Second,
		// A redirect would carry what the body says to somewhere that nobody has configured.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Send implements elt.Sender.
func (c *Channels) Send(ctx context.Context, m elt.Message) error {
	kind, name, _ := strings.Cut(m.Channel, ":")
	switch kind {
	case "slack":
		if s, ok := c.alerts.Slack[name]; ok {
			return c.post(ctx, m.Channel, s.URL, c.slack(m), config.Secret{})
		}
	case "mail":
		if s, ok := c.alerts.Mail[name]; ok {
			return c.mail(ctx, s, m)
		}
	case "pagerduty":
		if s, ok := c.alerts.PagerDuty[name]; ok {
			return c.page(ctx, s, m)
		}
	case "webhook":
		if s, ok := c.alerts.Webhook[name]; ok {
			return c.post(ctx, m.Channel, s.URL, c.webhook(m), s.Secret)
		}
	}
	return errors.New(c.alerts.ChannelProblem(m.Channel))
}

// Test sends a message that says that it is a test.
func (c *Channels) Test(ctx context.Context, channel string) error {
	a := &elt.Alert{AlertEvent: elt.AlertEvent{Key: elt.AlertKey{Job: "test", Kind: elt.AlertFail, What: "test", Start: time.Now().Unix()}, Episode: 1,
		Name: "now", Owner: "whoever pressed the button", Text: "this is a test of the channel " + channel, Cause: "job/test", At: time.Now()}}
	m := elt.Message{Channel: channel, Event: elt.EventOpen, Cause: a.Cause, Alerts: []*elt.Alert{a}, Try: 1}
	if err := c.Send(ctx, m); err != nil {
		return err
	}
	if strings.HasPrefix(channel, "pagerduty:") { // nobody is to be kept awake by it
		m.Event = elt.EventResolve
		return c.Send(ctx, m)
	}
	return nil
}

// Alive asks the dead-man's switch, when there is one.
func (c *Channels) Alive(ctx context.Context) error {
	if c.alerts.Alive.IsZero() {
		return nil
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.alerts.Alive.Reveal(), nil)
	if err != nil {
		return errors.New("alerts.alive: the address cannot be used")
	}
	_, err = c.do(r, "alerts.alive")
	return err
}

// do sends a request; what is not 2xx is an error (invariant 1).
func (c *Channels) do(r *http.Request, channel string) ([]byte, error) {
	res, err := c.http.Do(r)
	if err != nil {
		var ue *url.Error // holds the address, which may be the secret (invariant 2)
		if errors.As(err, &ue) {
			err = ue.Err
		}
		return nil, fmt.Errorf("sending to %s: %w", channel, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<16))
	if err != nil {
		return nil, fmt.Errorf("sending to %s: reading the answer: %w", channel, err)
	}
	if res.StatusCode/100 != 2 {
		return nil, fmt.Errorf("sending to %s: it answers %s", channel, res.Status)
	}
	return body, nil
}

func (c *Channels) post(ctx context.Context, channel string, to config.Secret, body any, secret config.Secret) error {
	b, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("sending to %s: %w", channel, err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to.Reveal(), bytes.NewReader(b))
	if err != nil {
		return fmt.Errorf("sending to %s: the address cannot be used", channel)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "tidemill")
	if !secret.IsZero() {
		mac := hmac.New(sha256.New, []byte(secret.Reveal()))
		mac.Write(b)
		r.Header.Set("Tidemill-Signature", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	}
	_, err = c.do(r, channel)
	return err
}

// subject is the message in a line.
func (c *Channels) subject(m elt.Message) string {
	first := m.Alerts[0]
	word := map[bool]string{true: "resolved", false: string(first.Key.Kind)}[m.Event == elt.EventResolve]
	if word == string(elt.AlertFail) {
		word = "failed"
	}
	text := fmt.Sprintf("[%s] %s: %s %s", c.project, word, cmp.Or(first.Key.Job, "jobs"), first.Name)
	if n := len(m.Alerts) - 1; n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	return text
}

// lines are the alerts of a message, one a line.
func (c *Channels) lines(m elt.Message) []string {
	var out []string
	for _, a := range m.Alerts {
		text := a.Text
		if m.Event == elt.EventResolve {
			text = "is in order again"
		}
		line := fmt.Sprintf("%s %s: %s", cmp.Or(a.Key.Job, "jobs"), a.Name, text)
		if a.Cause != "job/"+a.Key.Job && a.Cause != "" {
			line += " (because of " + a.Cause + ")"
		}
		if a.Owner != "" {
			line += " [" + a.Owner + "]"
		}
		out = append(out, line)
	}
	return out
}

func (c *Channels) link(m elt.Message) string {
	if c.alerts.Console == "" {
		return ""
	}
	return strings.TrimRight(c.alerts.Console, "/") + "/jobs/" + url.PathEscape(m.Alerts[0].Key.Job)
}
