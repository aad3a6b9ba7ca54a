package item

import (
	"strings"
)

// Record is one change, as slices of the answer it came in.
type Record struct {
	Sequence string // as the server writes it, for the next request
	At       int64  // ApproximateCreationDateTime: seconds since 1970
	Remove   bool
	TTL      bool   // removed by the server because its time was over
	Keys     []byte // DynamoDB JSON
	Image    []byte // the new image; nil when the item is gone, or the stream has none
}

// Records reads the answer of GetRecords. next is empty when the shard has ended.
func Records(body []byte) (records []Record, next string, err error) {
	s, there := scanner{b: body}, false
	s.members(func(name []byte) {
		switch string(name) {
		case "Records":
			there = true
			s.elements(func() {
				r, ok := s.record()
				s.bad = s.bad || !ok
				records = append(records, r)
			})
		case "NextShardIterator":
			if s.space(); s.i < len(s.b) && s.b[s.i] == 'n' {
				s.literal()
				return
			}
			text, ok := appendText(nil, s.text())
			next, s.bad = string(text), s.bad || !ok
		default:
			s.value()
		}
	})
	if !s.end() || !there { // what is not an answer must not end a shard
		return nil, "", errMalformed
	}
	return records, next, nil
}

func (s *scanner) record() (r Record, ok bool) {
	event, service, principal := "", "", ""
	s.members(func(name []byte) {
		switch string(name) {
		case "eventName":
			event = string(s.text())
		case "userIdentity":
			service, principal = s.identity()
		case "dynamodb":
			s.members(func(name []byte) { s.change(&r, name) })
		default:
			s.value()
		}
	})
	r.Remove = event == "REMOVE"
	r.TTL = r.Remove && service == "Service" && principal == "dynamodb.amazonaws.com"
	return r, r.Sequence != "" && r.Keys != nil && (r.Remove || event == "INSERT" || event == "MODIFY")
}

// identity is written in two ways, by the API and by what Lambda shows.
func (s *scanner) identity() (kind, principal string) {
	s.space()
	if s.i < len(s.b) && s.b[s.i] == 'n' {
		s.literal()
		return "", ""
	}
	s.members(func(name []byte) {
		switch strings.ToLower(string(name)) {
		case "type":
			kind = string(s.text())
		case "principalid":
			principal = string(s.text())
		default:
			s.value()
		}
	})
	return kind, principal
}

func (s *scanner) change(r *Record, name []byte) {
	switch string(name) {
	case "SequenceNumber":
		r.Sequence = string(s.text())
	case "ApproximateCreationDateTime":
		n, ok := parseNumber(s.value(), nil)
		r.At, s.bad = n.floor(), s.bad || !ok
	case "Keys":
		r.Keys = s.value()
	case "NewImage":
		r.Image = s.value()
	default:
		s.value()
	}
}

// floor is the whole part of a time.
func (n *Number) floor() int64 {
	whole := *n
	if n.exp < 0 {
		whole.digits, whole.exp = n.digits[:max(0, len(n.digits)+n.exp)], 0
	}
	v, _ := whole.Int64()
	return v
}

// Items reads the answer of Scan: the items, and the key to go on after, nil at the end.
func Items(body []byte) (items [][]byte, last []byte, err error) {
	s, there := scanner{b: body}, false
	s.members(func(name []byte) {
		switch string(name) {
		case "Items":
			there = true
			s.elements(func() { items = append(items, s.value()) })
		case "LastEvaluatedKey":
			last = s.value()
		default:
			s.value()
		}
	})
	if !s.end() || !there { // nor end a table
		return nil, nil, errMalformed
	}
	if string(last) == "null" || string(last) == "{}" {
		last = nil
	}
	return items, last, nil
}

// Exported reads a line of a full or an incremental export: its key and its new image; of a full one the image is all.
func Exported(line []byte) (keys, image []byte, at int64, err error) {
	s := scanner{b: line}
	s.members(func(name []byte) {
		switch string(name) {
		case "Item", "NewImage":
			image = s.value()
		case "Keys":
			keys = s.value()
		case "Metadata":
			s.members(func(name []byte) {
				if string(name) != "WriteTimestampMicros" {
					s.value()
					return
				}
				_, raw := s.tagged()
				if s.bad || len(raw) < 2 {
					s.bad = true
					return
				}
				n, ok := parseNumber(inside(raw), nil)
				at, s.bad = n.floor(), !ok
			})
		default:
			s.value()
		}
	})
	if !s.end() || keys == nil && image == nil {
		return nil, nil, 0, errMalformed
	}
	return keys, image, at, nil
}
