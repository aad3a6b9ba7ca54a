package clinic

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// Chats keeps the sessions of the chat rooms: a DynamoDB table, written item by item, by another team than the two databases.
// An item is given as DynamoDB writes it: {"session_id":{"S":"..."}}.
type Chats interface {
	Put(table, itemJSON string) error
	Delete(table, keyJSON string) error
}

// The table of the sessions, and its key.
const (
	ChatTable = "sessions"
	ChatKey   = "session_id"
)

// ChatColumns are the types of the attributes, as a source's columns name them. What is not here is text.
var ChatColumns = map[string]string{
	"appointment_id": "decimal(20,0)", "patient_id": "decimal(20,0)", "messages": "int32", "wait": "decimal(12,2)", "rating": "decimal(3,1)",
	"channel": "text", "started_at": "text", "note": "text", "tags": "json",
}

// chat is one session as its item is.
type chat struct {
	id       string
	visit    visit
	channel  string
	started  time.Time
	messages int
	wait     int64  // hundredths of a second
	rating   string // empty: not given yet
	note     any
	tags     []string
}

// chatOperations are those of a clinic that has chat rooms.
func chatOperations() []operation {
	return []operation{
		{"open chat", 8, (*Clinic).openChat},
		{"say something", 16, (*Clinic).say},
		{"end chat", 4, (*Clinic).endChat},
		{"forget chat", 2, (*Clinic).forgetChat},
	}
}

func (c *Clinic) openChat(context.Context) error {
	v, ok := c.visits.some(c.rng)
	if !ok {
		return errNothing
	}
	s := &chat{
		id: fmt.Sprintf("s-%016x", c.rng.Uint64()), visit: v, channel: pick(c.rng, []string{"app", "web", "call"}), started: c.now(),
		wait: int64(c.rng.IntN(90_00)), tags: []string{"lang:" + pick(c.rng, []string{"id", "en", "zh"}), "queue:" + pick(c.rng, specialties())},
	}
	c.chats.add(s)
	return c.putChat(s)
}

// say changes a session, several times within a second now and then.
func (c *Clinic) say(context.Context) error {
	s, ok := c.chats.some(c.rng)
	if !ok {
		return errNothing
	}
	for range 1 + c.rng.IntN(3) {
		s.messages++
		if s.note = notes(c.rng); s.note == "" {
			s.note = nil // an empty text would be kept, and is no news
		}
		if err := c.putChat(s); err != nil {
			return err
		}
	}
	return nil
}

// endChat rates a session, or moves it to another appointment.
func (c *Clinic) endChat(context.Context) error {
	s, ok := c.chats.some(c.rng)
	if !ok {
		return errNothing
	}
	if v, there := c.visits.some(c.rng); there && c.rng.IntN(3) == 0 {
		s.visit = v
	} else {
		s.rating = strconv.FormatFloat(1+float64(c.rng.IntN(9))/2, 'f', -1, 64)
	}
	return c.putChat(s)
}

func (c *Clinic) forgetChat(context.Context) error {
	s, ok := c.chats.some(c.rng)
	if !ok {
		return errNothing
	}
	c.chats.drop(s)
	return c.options.Chats.Delete(ChatTable, fmt.Sprintf(`{%q:{"S":%q}}`, ChatKey, s.id))
}

func (c *Clinic) putChat(s *chat) error {
	number := func(text string) map[string]any { return map[string]any{"N": text} }
	item := map[string]any{
		ChatKey: map[string]any{"S": s.id}, "appointment_id": number(strconv.FormatUint(s.visit.appointment, 10)), "patient_id": number(strconv.FormatUint(s.visit.patient, 10)),
		"channel": map[string]any{"S": s.channel}, "started_at": map[string]any{"S": s.started.Format(time.RFC3339Nano)}, "messages": number(strconv.Itoa(s.messages)),
		"wait": number(money(s.wait)), "tags": map[string]any{"SS": s.tags},
	}
	if s.rating != "" {
		item["rating"] = number(s.rating)
	}
	if s.note != nil {
		item["note"] = map[string]any{"S": s.note}
	}
	b, err := json.Marshal(item)
	if err != nil {
		return err
	}
	return c.options.Chats.Put(ChatTable, string(b))
}
