package dynamofake

import (
	"regexp"
	"slices"
	"strings"
)

// Of the expression language the fake knows what a connector's tests need: SET and REMOVE of whole attributes, and
// conditions that join attribute_exists, attribute_not_exists, = and <> by AND. The rest is refused by name.

// condition is a write's ConditionExpression.
type condition struct {
	text      string
	names     map[string]string
	values    map[string]value
	onFailure string
}

// scope resolves the placeholders of one request's expressions and notices which were used.
type scope struct {
	where  string // "ConditionExpression", for messages
	names  map[string]string
	values map[string]value
	used   map[string]bool
}

var (
	attributeName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	existsTerm    = regexp.MustCompile(`(?i)^attribute_(not_)?exists\s*\(\s*(\S+?)\s*\)$`)
	compareTerm   = regexp.MustCompile(`^(\S+?)\s*(=|<>)\s*(:\S+)$`)
	andWord       = regexp.MustCompile(`(?i)\s+AND\s+`)
	clauseWord    = regexp.MustCompile(`(?i)\b(SET|REMOVE|ADD|DELETE)\s+`)
)

func (s *scope) attribute(text string) (string, *apiError) {
	if strings.HasPrefix(text, "#") {
		name, ok := s.names[text]
		if !ok {
			return "", validation("Invalid %s: An expression attribute name used in the document path is not defined; attribute name: %s", s.where, text)
		}
		s.used[text] = true
		return name, nil
	}
	if !attributeName.MatchString(text) {
		return "", notImplemented("the path %s in a %s", text, s.where)
	}
	return text, nil
}

func (s *scope) value(text string) (value, *apiError) {
	v, ok := s.values[text]
	if !ok {
		return value{}, validation("Invalid %s: An expression attribute value used in expression is not defined; attribute value: %s", s.where, text)
	}
	s.used[text] = true
	return v, nil
}

// unused refuses placeholders that no expression mentions.
func (s *scope) unused() *apiError {
	for name := range s.names {
		if !s.used[name] {
			return validation("Value provided in ExpressionAttributeNames unused in expressions: keys: {%s}", name)
		}
	}
	for name := range s.values {
		if !s.used[name] {
			return validation("Value provided in ExpressionAttributeValues unused in expressions: keys: {%s}", name)
		}
	}
	return nil
}

// holds evaluates the condition on the item as it is; nil is none.
func (c condition) holds(it item, s *scope) (bool, *apiError) {
	if c.text == "" {
		return true, nil
	}
	s.where = "ConditionExpression"
	all := true
	for _, term := range andWord.Split(strings.TrimSpace(c.text), -1) {
		ok, err := s.term(strings.TrimSpace(term), it)
		if err != nil {
			return false, err
		}
		all = all && ok
	}
	return all, nil
}

func (s *scope) term(text string, it item) (bool, *apiError) {
	if m := existsTerm.FindStringSubmatch(text); m != nil {
		name, err := s.attribute(m[2])
		_, there := it.get(name)
		return there == (m[1] == ""), err
	}
	m := compareTerm.FindStringSubmatch(text)
	if m == nil {
		return false, notImplemented("the condition %s", text)
	}
	name, err := s.attribute(m[1])
	if err != nil {
		return false, err
	}
	want, err := s.value(m[3])
	got, there := it.get(name)
	return (there && got.equal(want)) == (m[2] == "="), err
}

// update is an UpdateExpression.
type update struct{ text string }

// apply makes the new item. A missing one is made of its key, unless there is nothing but REMOVE.
func (u *update) apply(old, key item, keys []keyAttribute, s *scope) (item, *apiError) {
	s.where = "UpdateExpression"
	fresh := old
	if old == nil {
		fresh = key
	}
	marks := clauseWord.FindAllStringSubmatchIndex(u.text, -1)
	if u.text != "" && (len(marks) == 0 || marks[0][0] != 0) {
		return nil, validation("Invalid UpdateExpression: Syntax error")
	}
	sets := u.text == ""
	for i, m := range marks {
		end := len(u.text)
		if i+1 < len(marks) {
			end = marks[i+1][0]
		}
		verb := strings.ToUpper(u.text[m[2]:m[3]])
		sets = sets || verb != "REMOVE"
		var err *apiError
		if fresh, err = s.clause(verb, u.text[m[1]:end], fresh, keys); err != nil {
			return nil, err
		}
	}
	if old == nil && !sets {
		return nil, nil
	}
	return fresh, nil
}

func (s *scope) clause(verb, text string, it item, keys []keyAttribute) (item, *apiError) {
	if verb != "SET" && verb != "REMOVE" {
		return nil, notImplemented("%s in an UpdateExpression", verb)
	}
	for part := range strings.SplitSeq(text, ",") {
		target, source, _ := strings.Cut(strings.TrimSpace(part), "=")
		name, err := s.attribute(strings.TrimSpace(target))
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(keys, func(k keyAttribute) bool { return k.name == name }) {
			return nil, validation("One or more parameter values were invalid: Cannot update attribute %s. This attribute is part of the key", name)
		}
		if verb == "REMOVE" {
			it = it.without(name)
			continue
		}
		source = strings.TrimSpace(source)
		if !strings.HasPrefix(source, ":") || strings.ContainsAny(source, " +-(") {
			return nil, notImplemented("SET to anything but a value: %s", strings.TrimSpace(part))
		}
		v, err := s.value(source)
		if err != nil {
			return nil, err
		}
		it = it.with(name, v)
	}
	return it, nil
}
