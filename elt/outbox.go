package elt

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Send is a row of what was sent: first a claim, then how it ended.
type Send struct {
	Channel string
	Key     AlertKey
	Episode int
	Event   string
	Try     int
	At      time.Time
	Outcome string // claimed, sent, or failed
	Why     string // of a failure
}

// The outcomes of a send.
const (
	Claimed    = "claimed"
	Sent       = "sent"
	SendFailed = "failed"
)

// Message is what goes to one channel at once: alerts of one cause.
type Message struct {
	Channel string
	Event   string
	Cause   string
	Alerts  []*Alert
	Try     int
}

const (
	// claimLasts is how long a claim keeps others from sending. Whoever claimed and then died may have sent: the message is
	// sent again then, because a page that comes twice is better than one that never comes. PagerDuty knows them by their key.
	claimLasts = 2 * time.Minute
	// sendTries is how often a channel that does not answer is asked, with a wait that doubles from sendWait: about a day.
	sendTries = 12
	sendWait  = 20 * time.Second
)

type sendKey struct {
	channel string
	key     AlertKey
	episode int
	event   string
}

// Outgoing says what to send now. routes gives the channels of an alert and how long its cause is gathered.
func Outgoing(events []AlertEvent, sends []Send, now time.Time, routes func(*Alert) (channels []string, group time.Duration)) []Message {
	last := map[sendKey]Send{}
	told := map[[2]string]time.Time{} // channel and cause -> when a message of it was sent last
	believes := map[believer]string{} // the event that a channel heard last of a key, of whatever episode
	alerts := Alerts(events)
	for _, s := range sends {
		k := sendKey{s.Channel, s.Key, s.Episode, s.Event}
		if prev, ok := last[k]; !ok || s.Try > prev.Try || s.Try == prev.Try && s.Outcome != Claimed {
			last[k] = s
		}
		if s.Outcome == Sent {
			believes[believer{s.Channel, s.Key}] = s.Event
		}
		if a := alerts[s.Key]; a != nil && s.Outcome == Sent && s.At.After(told[[2]string{s.Channel, a.Cause}]) {
			told[[2]string{s.Channel, a.Cause}] = s.At
		}
	}
	by := map[[3]string]*Message{}
	var order [][3]string
	for _, a := range sortedAlerts(alerts) {
		channels, group := routes(a)
		for _, ch := range channels {
			event, try, ok := wanted(a, ch, believes[believer{ch, a.Key}], last, now)
			// A pager groups by itself, and must not be kept waiting.
			if !ok || !strings.HasPrefix(ch, "pagerduty:") && now.Sub(told[[2]string{ch, a.Cause}]) < group {
				continue
			}
			k := [3]string{ch, event, a.Cause}
			if strings.HasPrefix(ch, "pagerduty:") {
				k[2] = a.Key.String()
			}
			m := by[k]
			if m == nil {
				m = &Message{Channel: ch, Event: event, Cause: a.Cause}
				by[k] = m
				order = append(order, k)
			}
			m.Alerts = append(m.Alerts, a)
			m.Try = max(m.Try, try)
		}
	}
	out := make([]Message, len(order))
	for i, k := range order {
		out[i] = *by[k]
	}
	return out
}

type believer struct {
	channel string
	key     AlertKey
}

// wanted says whether a channel is still to hear of an alert, of what, and which try it is. What counts is what the channel
// believes: an alert that has come back before its end was told has never ended for it.
func wanted(a *Alert, channel, believes string, last map[sendKey]Send, now time.Time) (event string, try int, ok bool) {
	opened := last[sendKey{channel, a.Key, a.Episode, EventOpen}].Outcome
	switch {
	case a.Silenced:
		return "", 0, false
	case a.Resolved.IsZero() && believes != EventOpen:
		event = EventOpen
	case a.Resolved.IsZero():
		return "", 0, false
	case a.Over && opened == Sent:
		return "", 0, false // it was told as over
	case a.Over: // nobody looked while it lasted: told once
		event = EventOpen
	case believes == EventOpen, opened != "" && opened != Sent: // or perhaps it was heard
		event = EventResolve
	default:
		return "", 0, false // it has ended before anybody was told
	}
	s, tried := last[sendKey{channel, a.Key, a.Episode, event}]
	switch {
	case !tried:
		return event, 1, true
	case s.Outcome == Sent, s.Try >= sendTries:
		return "", 0, false
	case s.Outcome == Claimed:
		return event, s.Try + 1, now.Sub(s.At) >= claimLasts
	}
	return event, s.Try + 1, now.Sub(s.At) >= sendWait<<(s.Try-1)
}

func sortedAlerts(alerts map[AlertKey]*Alert) []*Alert {
	out := make([]*Alert, 0, len(alerts))
	for _, a := range alerts {
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b *Alert) int {
		return cmp.Or(a.At.Compare(b.At), strings.Compare(a.Key.String(), b.Key.String()))
	})
	return out
}
