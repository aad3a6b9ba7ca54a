package alert_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"go.uber.org/goleak"

	"github.com/tidemill/tidemill/elt"
	"github.com/tidemill/tidemill/elt/alert"
	"github.com/tidemill/tidemill/internal/config"
	"github.com/tidemill/tidemill/internal/realtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func message(channel, event string, names ...string) elt.Message {
	m := elt.Message{Channel: channel, Event: event, Cause: "pipeline/care", Try: 1}
	for _, n := range names {
		m.Alerts = append(m.Alerts, &elt.Alert{AlertEvent: elt.AlertEvent{Key: elt.AlertKey{Job: n, Start: 1767200400, Kind: elt.AlertLate, What: "late"}, Episode: 1,
			Name: "2026-01-01", Owner: "data", Text: "is not there by 06:00: it is waiting & <hungry>", Cause: "pipeline/care", At: time.Date(2026, 1, 1, 23, 0, 0, 0, time.UTC)}})
	}
	return m
}

// receiver notes what it is sent and answers as it is told.
type receiver struct {
	mu      sync.Mutex
	bodies  []string
	headers []http.Header
	status  int
	answer  string
	*httptest.Server
}

func receive(t *testing.T, status int, answer string) *receiver {
	t.Helper()
	r := &receiver{status: status, answer: answer}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		b, err := io.ReadAll(q.Body)
		if err != nil {
			t.Error(err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.bodies, r.headers = append(r.bodies, q.Method+" "+string(b)), append(r.headers, q.Header)
		w.Header().Set("Location", "http://127.0.0.1:1/elsewhere")
		w.WriteHeader(r.status)
		_, _ = io.WriteString(w, r.answer)
	}))
	t.Cleanup(r.Close)
	return r
}

func channels(t *testing.T, a config.Alerts) *alert.Channels {
	t.Helper()
	return alert.New("clinic", a)
}

func TestSlack(t *testing.T) {
	r := receive(t, 200, "ok")
	c := channels(t, config.Alerts{Console: "https://tm.example.org/", Slack: map[string]config.Slack{"data": {URL: config.NewSecret(r.URL + "/services/" + realtest.Canary)}}})
	if err := c.Send(t.Context(), message("slack:data", elt.EventOpen, "daily", "weekly")); err != nil {
		t.Fatal(err)
	}
	var got struct{ Text string }
	if err := json.Unmarshal([]byte(strings.TrimPrefix(r.bodies[0], "POST ")), &got); err != nil {
		t.Fatal(err)
	}
	want := ":red_circle: *[clinic] late: daily 2026-01-01 and 1 more*\n• daily 2026-01-01: is not there by 06:00: it is waiting &amp; &lt;hungry&gt; (because of pipeline/care) [data]\n" +
		"• weekly 2026-01-01: is not there by 06:00: it is waiting &amp; &lt;hungry&gt; (because of pipeline/care) [data]\n<https://tm.example.org/jobs/daily|open the console>"
	if got.Text != want {
		t.Errorf("got\n%s\nwant\n%s", got.Text, want)
	}
	if err := c.Send(t.Context(), message("slack:data", elt.EventResolve, "daily")); err != nil || !strings.Contains(r.bodies[1], "daily 2026-01-01: is in order again") {
		t.Errorf("%v %s", err, r.bodies[1])
	}
}

// What is not taken is an error that names the channel, and no error holds the address.
func TestRefused(t *testing.T) {
	for _, c := range []struct {
		status int
		want   string
	}{{500, "it answers 500"}, {404, "it answers 404"}, {302, "it answers 302"}} {
		r := receive(t, c.status, "no")
		ch := channels(t, config.Alerts{Slack: map[string]config.Slack{"data": {URL: config.NewSecret(r.URL + "/" + realtest.Canary)}}})
		err := ch.Send(t.Context(), message("slack:data", elt.EventOpen, "daily"))
		if err == nil || !strings.Contains(err.Error(), "sending to slack:data: "+c.want) {
			t.Errorf("%d: %v", c.status, err)
		}
		realtest.NoCanary(t, "error", err.Error())
	}
	ch := channels(t, config.Alerts{Slack: map[string]config.Slack{"data": {URL: config.NewSecret("http://127.0.0.1:1/" + realtest.Canary)}}})
	err := ch.Send(t.Context(), message("slack:data", elt.EventOpen, "daily"))
	if err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("nobody listens: %v", err)
	}
	realtest.NoCanary(t, "error", err.Error())
	if err := ch.Send(t.Context(), message("slack:dat", elt.EventOpen, "daily")); err == nil || !strings.Contains(err.Error(), `(did you mean "slack:data"?)`) {
		t.Errorf("an unknown channel: %v", err)
	}
}

func TestPagerDuty(t *testing.T) {
	r := receive(t, 202, `{"status":"success","message":"Event processed","dedup_key":"x"}`)
	c := channels(t, config.Alerts{PagerDuty: map[string]config.PagerDuty{"dwh": {Key: config.NewSecret("key1"), URL: config.NewURL(r.URL)}}})
	for _, event := range []string{elt.EventOpen, elt.EventOpen, elt.EventResolve} {
		if err := c.Send(t.Context(), message("pagerduty:dwh", event, "daily")); err != nil {
			t.Fatal(err)
		}
	}
	type event struct {
		Key     string `json:"routing_key"`
		Dedup   string `json:"dedup_key"`
		Action  string `json:"event_action"`
		Payload struct{ Summary, Source, Severity, Component, Group, Class string }
	}
	var got [3]event
	for i := range got {
		if err := json.Unmarshal([]byte(strings.TrimPrefix(r.bodies[i], "POST ")), &got[i]); err != nil {
			t.Fatal(err)
		}
	}
	if got[0].Key != "key1" || got[0].Action != "trigger" || got[0].Dedup != "clinic/daily/2025-12-31T17:00:00Z/late/late" || got[0].Payload.Severity != "error" || got[0].Payload.Group != "pipeline/care" {
		t.Errorf("%+v", got[0])
	}
	if got[1].Dedup != got[0].Dedup || got[2].Dedup != got[0].Dedup || got[2].Action != "resolve" || got[2].Payload.Summary != "" {
		t.Errorf("repeated and resolved: %+v %+v", got[1], got[2])
	}
	r.answer = `{"status":"invalid event"}`
	if err := c.Send(t.Context(), message("pagerduty:dwh", elt.EventOpen, "daily")); err == nil {
		t.Error("an answer that is no success was taken for one")
	}
}

func TestWebhook(t *testing.T) {
	r := receive(t, 204, "")
	c := channels(t, config.Alerts{Webhook: map[string]config.Webhook{"ops": {URL: config.NewSecret(r.URL), Secret: config.NewSecret("s3")}}})
	if err := c.Send(t.Context(), message("webhook:ops", elt.EventOpen, "daily")); err != nil {
		t.Fatal(err)
	}
	body := strings.TrimPrefix(r.bodies[0], "POST ")
	mac := hmac.New(sha256.New, []byte("s3"))
	mac.Write([]byte(body))
	if got := r.headers[0].Get("Tidemill-Signature"); got != "sha256="+hex.EncodeToString(mac.Sum(nil)) {
		t.Errorf("signature %q", got)
	}
	for _, part := range []string{`"project":"clinic"`, `"event":"open"`, `"id":"clinic/daily/2025-12-31T17:00:00Z/late/late"`, `"interval":"2026-01-01"`, `"cause":"pipeline/care"`} {
		if !strings.Contains(body, part) {
			t.Errorf("%s lacks %s", body, part)
		}
	}
}

// inbox is an SMTP server.
type inbox struct {
	mu    sync.Mutex
	mails []received
	login string
	fail  error
}

type received struct {
	from string
	to   []string
	text string
}

func (b *inbox) NewSession(*smtp.Conn) (smtp.Session, error) { return &visit{inbox: b}, nil }

type visit struct {
	inbox *inbox
	mail  received
}

func (v *visit) AuthMechanisms() []string { return []string{sasl.Plain} }
func (v *visit) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != "tm" || password != realtest.Canary {
			return errors.New("no")
		}
		v.inbox.mu.Lock()
		defer v.inbox.mu.Unlock()
		v.inbox.login = user
		return nil
	}), nil
}
func (v *visit) Mail(from string, _ *smtp.MailOptions) error { v.mail.from = from; return nil }
func (v *visit) Rcpt(to string, _ *smtp.RcptOptions) error {
	v.mail.to = append(v.mail.to, to)
	return nil
}
func (v *visit) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if v.inbox.fail != nil {
		return v.inbox.fail
	}
	v.mail.text = string(b)
	v.inbox.mu.Lock()
	defer v.inbox.mu.Unlock()
	v.inbox.mails = append(v.inbox.mails, v.mail)
	return nil
}
func (v *visit) Reset()        { v.mail = received{} }
func (v *visit) Logout() error { return nil }

// post opens an SMTP server, with TLS when it has a certificate.
func post(t *testing.T, b *inbox, cert *tls.Certificate) string {
	t.Helper()
	s := smtp.NewServer(b)
	s.Domain, s.ErrorLog = "localhost", discard{}
	s.AllowInsecureAuth = cert == nil
	if cert != nil {
		s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*cert}}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close(); <-done })
	return l.Addr().String()
}

type discard struct{}

func (discard) Printf(string, ...any) {}
func (discard) Println(...any)        {}

func TestMail(t *testing.T) {
	b := &inbox{}
	c := channels(t, config.Alerts{Mail: map[string]config.Mail{"heads": {To: []string{"a@example.org", "Bob <b@example.org>"}, From: "tm@example.org", Server: post(t, b, nil), TLS: "none"}}})
	if err := c.Send(t.Context(), message("mail:heads", elt.EventOpen, "daily")); err != nil {
		t.Fatal(err)
	}
	m := b.mails[0]
	if m.from != "tm@example.org" || !slices.Equal(m.to, []string{"a@example.org", "b@example.org"}) {
		t.Errorf("from %s to %v", m.from, m.to)
	}
	for _, part := range []string{"Subject: [clinic] late: daily 2026-01-01\r\n", "X-Tidemill-Alert: clinic/daily/2025-12-31T17:00:00Z/late/late\r\n", "Auto-Submitted: auto-generated", "daily 2026-01-01: is not there by 06:00: it is waiting & <hungry>", "Message-I"} {
		if !strings.Contains(m.text, part) {
			t.Errorf("the mail lacks %q:\n%s", part, m.text)
		}
	}
	if err := c.Test(t.Context(), "mail:heads"); err != nil || !strings.Contains(b.mails[1].text, "this is a test of the channel mail:heads") {
		t.Errorf("a test: %v", err)
	}
	b.fail = &smtp.SMTPError{Code: 451, Message: "come back later"}
	if err := c.Send(t.Context(), message("mail:heads", elt.EventOpen, "daily")); err == nil || !strings.Contains(err.Error(), "sending to mail:heads") {
		t.Errorf("a mail that was not taken: %v", err)
	}
}

// A password goes over TLS only, to a server that this machine trusts.
func TestMailTLS(t *testing.T) {
	ca := realtest.NewAuthority(t)
	t.Setenv("SSL_CERT_FILE", ca.CA) // read at the first look at the machine's authorities, which is below
	pair := func(a *realtest.Authority) *tls.Certificate {
		cert, err := tls.LoadX509KeyPair(a.Issue(t, "smtp"))
		if err != nil {
			t.Fatal(err)
		}
		return &cert
	}
	b := &inbox{}
	channel := config.Mail{To: []string{"a@example.org"}, From: "tm@example.org", Server: post(t, b, pair(ca)), User: "tm", Password: config.NewSecret(realtest.Canary)}
	send := func() error {
		c := channels(t, config.Alerts{Mail: map[string]config.Mail{"heads": channel}})
		return c.Send(t.Context(), message("mail:heads", elt.EventOpen, "daily"))
	}
	if err := send(); err != nil || b.login != "tm" || len(b.mails) != 1 {
		t.Errorf("STARTTLS and a login: %v, login %q, %d mails", err, b.login, len(b.mails))
	}
	b.login = ""
	channel.Server = post(t, b, pair(realtest.NewAuthority(t)))
	err := send()
	if err == nil || !strings.Contains(err.Error(), "certificate") || b.login != "" {
		t.Errorf("a server that is not trusted: %v", err)
	}
	realtest.NoCanary(t, "error", err.Error())
	channel.Server = post(t, b, nil) // offers no TLS
	if err := send(); err == nil || b.login != "" {
		t.Errorf("a server without TLS: %v, login %q", err, b.login)
	}
}

func TestAlive(t *testing.T) {
	r := receive(t, 200, "")
	c := channels(t, config.Alerts{Alive: config.NewSecret(r.URL)})
	if err := c.Alive(t.Context()); err != nil || len(r.bodies) != 1 {
		t.Errorf("%v, asked %d times", err, len(r.bodies))
	}
	if err := channels(t, config.Alerts{}).Alive(context.Background()); err != nil {
		t.Error(err)
	}
}
