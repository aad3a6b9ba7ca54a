package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/term"
)

// screen redraws a block of lines in place at the end of a terminal. Other text goes through Write and lands above it.
// On anything but a terminal it is not live and only passes text on.
type screen struct {
	live bool
	mu   sync.Mutex
	out  io.Writer
	all  string // the command that shows all lines
	last []string
}

func (c *cli) screen() *screen {
	return &screen{live: isTerminal(c.out), out: c.out, all: c.command("status")}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// size is the terminal's width and height; 0 where there is none, which cuts nothing.
func size(w io.Writer) (width, height int) {
	if f, ok := w.(*os.File); ok {
		if columns, lines, err := term.GetSize(int(f.Fd())); err == nil {
			return columns, lines
		}
	}
	return 0, 0
}

// draw replaces the block.
func (s *screen) draw(lines []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, height := size(s.out); height > 2 && len(lines) > height-1 { // what has scrolled away cannot be erased
		lines = append(lines[:height-2:height-2], fmt.Sprintf("… %d more lines: %s", len(lines)-height+2, s.all))
	}
	var b bytes.Buffer
	s.erase(&b)
	b.WriteString(strings.Join(lines, "\n") + "\n")
	s.last = lines
	_, err := s.out.Write(b.Bytes())
	return err
}

// erase moves to the block's first line and clears from there.
func (s *screen) erase(b *bytes.Buffer) {
	if len(s.last) > 0 {
		fmt.Fprintf(b, "\x1b[%dA\r\x1b[J", len(s.last))
	}
}

// Write puts text above the block.
func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.live {
		return s.out.Write(p)
	}
	var b bytes.Buffer
	s.erase(&b)
	b.Write(p)
	if len(s.last) > 0 {
		b.WriteString(strings.Join(s.last, "\n") + "\n")
	}
	if _, err := s.out.Write(b.Bytes()); err != nil {
		return 0, err
	}
	return len(p), nil
}

// width is the terminal's width, 0 where there is none.
func width(w io.Writer) int {
	columns, _ := size(w)
	return columns
}
