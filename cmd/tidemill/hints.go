package main

import (
	"path/filepath"
	"regexp"
	"strings"
)

// program is how this process was called: a command that we tell somebody to type must work as it stands.
type program string

func calledAs(arg0 string) program {
	if !strings.ContainsRune(arg0, filepath.Separator) {
		return "tidemill" // found in the PATH
	}
	return program(quote(arg0))
}

var commandInText = regexp.MustCompile(`(^|[^\w/.-])tidemill (run|check|status|query|verify|resync|tail|new|schema|help|--help)\b`)

// asCalled writes the commands that a text names the way this process was called: errors and hints are made where nobody
// knows it.
func (p program) asCalled(text string) string {
	if p == "tidemill" || p == "" {
		return text
	}
	return commandInText.ReplaceAllStringFunc(text, func(s string) string { return strings.Replace(s, "tidemill", string(p), 1) })
}

// command is a command on this project, like run or status --watch.
func (c *cli) command(name string, args ...string) string {
	words := []string{string(c.program), name}
	if c.dir != "." {
		words = append(words, "--config", quote(c.dir))
	}
	return strings.Join(append(words, args...), " ")
}

var plainWord = regexp.MustCompile(`^[\w./:@%+=,-]+$`)

// quote writes a word so that a shell takes it for one.
func quote(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
