package dynamofake

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"time"
)

// journal is a server's memory over restarts: one line of JSON for each write, {"at":MICROSECONDS,"op":"PutItem","in":{...}}.
// Everything that a server draws is drawn while it writes, from one seed, so that the same writes at the same times make the
// same server. A last line that is cut off was never answered.
type journal struct {
	file *os.File
	then time.Time // what the clock shows while the past is repeated
}

type entry struct {
	At int64           `json:"at"`
	Op string          `json:"op"`
	In json.RawMessage `json:"in"`
}

// writes are the operations that change what a server is.
var writes = []string{"CreateTable", "DeleteTable", "UpdateTable", "PutItem", "DeleteItem", "UpdateItem", "BatchWriteItem", "TransactWriteItems"}

// openJournal repeats what the journal holds and goes on writing to it.
func (s *Server) openJournal() error {
	if s.opts.Journal == "" {
		return nil
	}
	if s.opts.RotateEvery > 0 || s.opts.TTLDelay > 0 {
		return errors.New("a journal does not keep rotations and deletes by TTL: leave RotateEvery and TTLDelay off")
	}
	f, err := os.OpenFile(s.opts.Journal, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	s.journal = &journal{file: f}
	whole, err := s.repeat(f)
	if err == nil {
		err = f.Truncate(whole)
	}
	if err == nil {
		_, err = f.Seek(whole, io.SeekStart)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("reading the journal %s: %w", s.opts.Journal, err), s.journal.close())
	}
	return nil
}

// repeat does every write of the past again. whole is the length of the lines that are whole.
func (s *Server) repeat(f *os.File) (whole int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() { s.journal.then = time.Time{} }()
	for r := bufio.NewReader(f); ; {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return whole, nil
		}
		if err != nil {
			return whole, err
		}
		if err := s.again(line); err != nil {
			return whole, fmt.Errorf("byte %d: %w", whole, err)
		}
		whole += int64(len(line))
	}
}

func (s *Server) again(line []byte) error {
	var e entry
	if err := json.Unmarshal(line, &e); err != nil {
		return err
	}
	o, ok := s.operations["DynamoDB_20120810."+e.Op]
	if !ok {
		return fmt.Errorf("%q is no operation", e.Op)
	}
	raw, failure := parseJSON(e.In)
	if failure != nil {
		return failure
	}
	in := reflect.New(o.input)
	if failure := decode(raw, in.Elem()); failure != nil {
		return failure
	}
	s.journal.then = time.UnixMicro(e.At).UTC()
	if _, failure := o.run(s, &call{now: s.settle(), info: subject(e.Op, raw)}, in.Interface()); failure != nil {
		return failure
	}
	return nil
}

// note keeps a write that was done. It is not synced: a power cut costs a demo its last writes.
func (j *journal) note(at time.Time, op string, in []byte) *apiError {
	if j == nil || !slices.Contains(writes, op) {
		return nil
	}
	line, err := json.Marshal(entry{at.UnixMicro(), op, in})
	if err == nil {
		_, err = j.file.Write(append(line, '\n'))
	}
	if err != nil {
		return &apiError{status: 500, kind: modelled + "InternalServerError", message: "the journal cannot be written: " + err.Error()}
	}
	return nil
}

func (j *journal) close() error {
	if j == nil || j.file == nil {
		return nil
	}
	err := j.file.Close()
	if j.file = nil; errors.Is(err, fs.ErrClosed) {
		return nil
	}
	return err
}
