package ingest

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// clinic is a source of n rows of ten columns, in groups; it resumes like a real one.
type clinic struct {
	n        int
	perGroup int
	schema   Schema
	value    func(n int) int // bytes of the note column
	at       func(n int)     // told of each row
	forever  bool            // does not end before its context
	note     []byte
}

func newClinic(n int) *clinic {
	k := func(name string, kind Kind) Column {
		return Column{Name: name, Type: Type{Kind: kind}, Nullable: name != "id"}
	}
	dec := k("amount", Decimal)
	dec.Type.Precision, dec.Type.Scale = 12, 2
	return &clinic{n: n, perGroup: 10, schema: Schema{Table: TableName{"db", "clinic"}, Key: []string{"id"}, Columns: []Column{
		k("id", Int64), k("patient", Int64), k("doctor", Int32), k("kind", Text), k("note", Text), dec,
		k("paid", Bool), k("day", Date), k("created", Timestamp), k("score", Float64)}}}
}

func (c *clinic) Prepare(context.Context) ([]Schema, error) { return []Schema{c.schema}, nil }

func (c *clinic) Run(ctx context.Context, resume Resume, out Emitter) error {
	from := 0
	if resume.Position == "" {
		if err := out.Start(ctx, "0"); err != nil {
			return err
		}
	} else if n, err := strconv.Atoi(strings.TrimSpace(string(resume.Position))); err == nil {
		from = n
	}
	id, err := out.Table(ctx, &c.schema)
	if err != nil {
		return err
	}
	for n := from; n < c.n; {
		if err := out.Begin(ctx, time.Now()); err != nil {
			return err
		}
		for g := 0; g < c.perGroup && n < c.n; g++ {
			c.row(out.Builder(id, n%out.Partitions(id)), n)
			if c.at != nil {
				c.at(n)
			}
			n++
			if g%1000 == 999 {
				if err := out.Progress(ctx, Position(fmt.Sprintf("%d+%d", n-g-1, g+1))); err != nil {
					return err
				}
			}
		}
		if err := out.End(ctx, Position(strconv.Itoa(n))); err != nil {
			return err
		}
	}
	for c.forever && ctx.Err() == nil {
		if err := out.Tick(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Millisecond):
		}
	}
	return nil
}

var kinds = [][]byte{[]byte("consultation"), []byte("follow-up"), []byte("vaccination"), []byte("laboratory")}

func (c *clinic) row(b *Builder, n int) {
	x := uint64(n) * 0x9e3779b97f4a7c15
	b.Cols[0].Int64(int64(n))
	b.Cols[1].Int64(int64(x >> 44))
	b.Cols[2].Int32(int32(x >> 54))
	b.Cols[3].Bytes(kinds[x>>62])
	if c.value != nil {
		if size := c.value(n); len(c.note) < size {
			c.note = []byte(strings.Repeat("n", size))
		}
		b.Cols[4].Bytes(c.note[:c.value(n)])
	} else {
		b.Cols[4].Append([]byte("note about the visit ")...)
		b.Cols[4].Append(byte('0'+x%10), byte('0'+x>>8%10), byte('a'+x>>16%26), byte('a'+x>>24%26))
		b.Cols[4].EndBytes()
	}
	b.Cols[5].Decimal(0, x>>40)
	b.Cols[6].Bool(x>>61&1 == 1)
	b.Cols[7].Int32(20000 + int32(x>>58))
	b.Cols[8].Int64(1_790_000_000_000_000 + int64(n)*1000)
	if x>>60 == 0 {
		b.Cols[9].Null()
	} else {
		b.Cols[9].Float64(float64(x>>50) / 8)
	}
	b.End(Upsert)
}
