package elt_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/tidemill/tidemill/elt"
)

// post is an outbox in memory, with receivers that count.
type post struct {
	events []elt.AlertEvent
	sends  []elt.Send
	got    map[string][]string // by channel: what was heard
}

func routes(*elt.Alert) ([]string, time.Duration) {
	return []string{"slack:data", "pagerduty:dwh"}, 10 * time.Minute
}

// round is what a daemon does at one look. broken channels do not answer; a daemon that dies does so between claim and send.
func (p *post) round(conditions []elt.Condition, now time.Time, broken map[string]bool, dies bool) {
	p.events = append(p.events, elt.Reconcile(conditions, p.events, now)...)
	for _, m := range elt.Outgoing(p.events, p.sends, now, routes) {
		var names []string
		for _, a := range m.Alerts {
			names = append(names, a.Name)
			p.sends = append(p.sends, elt.Send{Channel: m.Channel, Key: a.Key, Episode: a.Episode, Event: m.Event, Try: m.Try, At: now, Outcome: elt.Claimed})
		}
		if dies {
			continue
		}
		outcome := elt.SendFailed
		if !broken[m.Channel] {
			outcome = elt.Sent
			p.got[m.Channel] = append(p.got[m.Channel], m.Event+" "+strings.Join(names, ","))
		}
		for _, a := range m.Alerts {
			p.sends = append(p.sends, elt.Send{Channel: m.Channel, Key: a.Key, Episode: a.Episode, Event: m.Event, Try: m.Try, At: now, Outcome: outcome})
		}
	}
}

func failing(cause string, names ...string) (out []elt.Condition) {
	for i, n := range names {
		out = append(out, elt.Condition{Key: elt.AlertKey{Job: n, Start: int64(i), Kind: elt.AlertFail}, Name: n, Text: "failed", Cause: cause})
	}
	return out
}

// 11. One failure is one message, however many suffer from it, however often it is looked at, and its end is told once.
func TestPain11NoAlertStorm(t *testing.T) {
	p := &post{got: map[string][]string{}}
	now := at(t, "2026-01-02 06:00")
	all := failing("job/a", "a", "b", "c")
	p.round(all[:1], now, nil, false)
	for i := range 9 { // two daemons look in turn, and more jobs suffer
		p.round(all[:1+i%3], now.Add(time.Duration(i)*time.Minute), nil, false)
	}
	same(t, "slack in ten minutes", p.got["slack:data"], []string{"open a"})
	p.round(all, now.Add(11*time.Minute), nil, false)
	same(t, "slack after them", p.got["slack:data"], []string{"open a", "open b,c"})
	p.round(nil, now.Add(22*time.Minute), nil, false)
	p.round(nil, now.Add(33*time.Minute), nil, false)
	same(t, "slack when it is over", p.got["slack:data"], []string{"open a", "open b,c", "resolve a,b,c"})
	p.round(all[:1], now.Add(60*time.Minute), nil, false)
	same(t, "slack when it begins again", p.got["slack:data"], []string{"open a", "open b,c", "resolve a,b,c", "open a"})
}

// 11. A channel that does not answer is asked again, others hear at once, and a daemon that died in the middle is made up for.
func TestPain11NoSilence(t *testing.T) {
	p := &post{got: map[string][]string{}}
	now := at(t, "2026-01-02 06:00")
	c := failing("job/a", "a")
	p.round(c, now, map[string]bool{"slack:data": true}, false)
	same(t, "the pager", p.got["pagerduty:dwh"], []string{"open a"})
	p.round(c, now.Add(5*time.Second), nil, false)
	same(t, "slack within the backoff", p.got["slack:data"], nil)
	p.round(c, now.Add(25*time.Second), nil, true) // claimed, and then the daemon dies
	p.round(c, now.Add(time.Minute), nil, false)
	same(t, "slack while the claim lasts", p.got["slack:data"], nil)
	p.round(c, now.Add(3*time.Minute), nil, false)
	same(t, "slack in the end", p.got["slack:data"], []string{"open a"})
	p.round(c, now.Add(time.Hour), nil, false)
	same(t, "slack in the end", p.got["slack:data"], []string{"open a"})
}

// In whatever order conditions come and go and channels break, every episode that lasted is told once to every channel.
func TestOutboxProperty(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 3))
		p := &post{got: map[string][]string{}}
		now := at(t, "2026-01-02 06:00")
		for range 30 {
			now = now.Add(time.Duration(r.IntN(300)) * time.Second)
			var c []elt.Condition
			for i := range 4 {
				if r.IntN(2) == 0 {
					c = append(c, failing(fmt.Sprintf("cause%d", i/2), fmt.Sprintf("j%d", i))...)
				}
			}
			p.round(c, now, map[string]bool{"slack:data": r.IntN(3) == 0}, r.IntN(5) == 0)
		}
		last := failing("cause9", "final")
		for range 20 {
			now = now.Add(30 * time.Minute)
			p.round(last, now, nil, false)
		}
		for ch, heard := range p.got {
			count := map[string]int{}
			open := map[string]bool{}
			for _, h := range heard {
				event, names, _ := strings.Cut(h, " ")
				for n := range strings.SplitSeq(names, ",") {
					if event == "open" {
						count[n]++
						open[n] = true
					} else {
						open[n] = false
					}
				}
			}
			if count["final"] != 1 {
				t.Fatalf("seed %d: %s heard of the last one %d times: %v", seed, ch, count["final"], heard)
			}
			for n, o := range open {
				if o && n != "final" {
					t.Fatalf("seed %d: %s was never told that %s is over: %v", seed, ch, n, heard)
				}
			}
		}
	}
}
