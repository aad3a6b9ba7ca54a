package alert

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/wneessen/go-mail"

	"github.com/tidemill/tidemill/elt"
	"github.com/tidemill/tidemill/internal/config"
)

// slack is the body of an incoming webhook. < > & are the characters that Slack reads as markup.
func (c *Channels) slack(m elt.Message) any {
	escape := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
	sign := ":red_circle:"
	switch {
	case m.Event == elt.EventResolve:
		sign = ":large_green_circle:"
	case m.Alerts[0].Warning:
		sign = ":large_yellow_circle:"
	}
	text := sign + " *" + escape.Replace(c.subject(m)) + "*"
	for _, l := range c.lines(m) {
		text += "\n• " + escape.Replace(l)
	}
	if link := c.link(m); link != "" {
		text += "\n<" + link + "|open the console>"
	}
	return map[string]string{"text": text}
}

// webhookAlert is one alert for any receiver of JSON.
type webhookAlert struct {
	ID      string    `json:"id"` // the same for every message about it
	Job     string    `json:"job,omitempty"`
	Name    string    `json:"interval"`
	Start   time.Time `json:"interval_start"`
	Kind    string    `json:"kind"`
	What    string    `json:"what,omitempty"`
	Text    string    `json:"text"`
	Cause   string    `json:"cause"`
	Owner   string    `json:"owner"`
	Warning bool      `json:"warning,omitempty"`
	Opened  time.Time `json:"opened"`
}

func (c *Channels) webhook(m elt.Message) any {
	out := struct {
		Project string         `json:"project"`
		Event   string         `json:"event"`
		Subject string         `json:"subject"`
		Alerts  []webhookAlert `json:"alerts"`
	}{c.project, m.Event, c.subject(m), nil}
	for _, a := range m.Alerts {
		out.Alerts = append(out.Alerts, webhookAlert{c.id(a), a.Key.Job, a.Name, time.Unix(a.Key.Start, 0).UTC(), string(a.Key.Kind), a.Key.What, a.Text, a.Cause, a.Owner, a.Warning, a.At.UTC()})
	}
	return out
}

func (c *Channels) id(a *elt.Alert) string { return c.project + "/" + a.Key.String() }

// pagerDuty is where events go when a channel names nothing else.
const pagerDuty = "https://events.pagerduty.com/v2/enqueue"

// page sends an event of PagerDuty's Events API v2: a repeated one with the same key is the same incident.
func (c *Channels) page(ctx context.Context, s config.PagerDuty, m elt.Message) error {
	to := s.URL
	if to.IsZero() {
		to = config.NewURL(pagerDuty)
	}
	for _, a := range m.Alerts {
		event := map[string]any{"routing_key": s.Key.Reveal(), "dedup_key": c.id(a), "event_action": "resolve"}
		if m.Event == elt.EventOpen {
			severity := "error"
			if a.Warning {
				severity = "warning"
			}
			one := m
			one.Alerts = []*elt.Alert{a}
			event["event_action"] = "trigger"
			event["payload"] = map[string]any{"summary": cut(c.subject(one)+": "+a.Text, 1024), "source": c.project, "severity": severity, "component": cmp.Or(a.Key.Job, "jobs"),
				"group": a.Cause, "class": string(a.Key.Kind), "timestamp": a.At.UTC().Format(time.RFC3339)}
			if link := c.link(one); link != "" {
				event["links"] = []map[string]string{{"href": link, "text": "console"}}
			}
		}
		if err := c.enqueue(ctx, m.Channel, to, event); err != nil {
			return err
		}
	}
	return nil
}

func (c *Channels) enqueue(ctx context.Context, channel string, to config.URL, event any) error {
	b, err := json.Marshal(event)
	if err != nil {
		return fmt.Errorf("sending to %s: %w", channel, err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to.Reveal(), bytes.NewReader(b))
	if err != nil {
		return fmt.Errorf("sending to %s: the address cannot be used", channel)
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := c.do(r, channel)
	if err != nil {
		return err
	}
	var said struct {
		Status string `json:"status"`
	}
	if json.Unmarshal(answer, &said) != nil || said.Status != "success" {
		return fmt.Errorf("sending to %s: it does not say that the event was taken", channel)
	}
	return nil
}

func cut(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

// mail sends one message to all recipients of a channel.
func (c *Channels) mail(ctx context.Context, s config.Mail, m elt.Message) error {
	msg := mail.NewMsg()
	if err := errors.Join(msg.From(s.From), msg.To(s.To...)); err != nil {
		return fmt.Errorf("sending to %s: an address is not one", m.Channel)
	}
	msg.Subject(c.subject(m))
	text := strings.Join(c.lines(m), "\n") + "\n"
	if link := c.link(m); link != "" {
		text += "\n" + link + "\n"
	}
	msg.SetBodyString(mail.TypeTextPlain, text)
	msg.SetGenHeader("X-Tidemill-Alert", c.id(m.Alerts[0]))
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // no absence notes
	msg.SetDate()
	msg.SetMessageID()
	client, err := c.smtp(s)
	if err != nil {
		return fmt.Errorf("sending to %s: %w", m.Channel, err)
	}
	if err := client.DialAndSendWithContext(ctx, msg); err != nil {
		return fmt.Errorf("sending to %s by %s: %w", m.Channel, s.Server, err)
	}
	return nil
}

func (c *Channels) smtp(s config.Mail) (*mail.Client, error) {
	host, port, _ := strings.Cut(s.Server, ":")
	var n int
	if _, err := fmt.Sscan(port, &n); err != nil {
		return nil, errors.New("the server's port is no number")
	}
	o := []mail.Option{mail.WithPort(n), mail.WithTimeout(15 * time.Second)}
	switch s.TLS {
	case "none":
		o = append(o, mail.WithTLSPolicy(mail.NoTLS))
	case "implicit":
		o = append(o, mail.WithSSL())
	default:
		o = append(o, mail.WithTLSPolicy(mail.TLSMandatory))
	}
	if s.User != "" {
		o = append(o, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(s.User), mail.WithPassword(s.Password.Reveal()))
	}
	return mail.NewClient(host, o...)
}
