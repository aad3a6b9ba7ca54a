package ingest

import "encoding/binary"

var le = binary.LittleEndian

// Remove takes out the rows with the given indexes, which ascend. A first load drops the rows that the stream has changed
// since they were read.
func (b *Builder) Remove(rows []int) {
	if len(rows) == 0 {
		return
	}
	for i := range b.Cols {
		b.Cols[i].remove(rows, b.rows)
	}
	b.ops = removeFixed(b.ops, 1, rows, b.rows)
	b.rows -= len(rows)
}

// spansBetween calls keep for each run of rows that stays, in order.
func spansBetween(rows []int, total int, keep func(from, to int)) {
	from := 0
	for _, r := range rows {
		if r > from {
			keep(from, r)
		}
		from = r + 1
	}
	if total > from {
		keep(from, total)
	}
}

func removeFixed(data []byte, width int, rows []int, total int) []byte {
	n := 0
	spansBetween(rows, total, func(from, to int) { n += copy(data[n:], data[from*width:to*width]) })
	return data[:n]
}

func removeBits(bits []byte, rows []int, total int) []byte {
	n := 0
	spansBetween(rows, total, func(from, to int) {
		for i := from; i < to; i++ {
			bit := bits[i>>3] >> (i & 7) & 1
			bits[n>>3] = bits[n>>3]&^(1<<(n&7)) | bit<<(n&7)
			n++
		}
	})
	return clearTail(bits[:(n+7)>>3], n)
}

// clearTail clears the bits past the n-th, which appends expect to be zero.
func clearTail(bits []byte, n int) []byte {
	if n&7 != 0 {
		bits[n>>3] &= byte(1)<<(n&7) - 1
	}
	return bits
}

func (c *ColumnBuilder) remove(rows []int, total int) {
	switch {
	case c.width > 0:
		c.data = removeFixed(c.data, c.width, rows, total)
	case c.width < 0:
		c.data = removeBits(c.data, rows, total)
	default:
		c.removeVariable(rows, total)
	}
	if c.nulls > 0 {
		c.valid = removeBits(c.valid, rows, total)
	}
	c.n = total - len(rows)
	if c.nulls > 0 {
		c.truncateValid(c.n) // counts the NULLs that stay
	}
}

func (c *ColumnBuilder) removeVariable(rows []int, total int) {
	at := func(i int) int { return int(le.Uint32(c.offsets[4*i:])) }
	size, n := 0, 0
	spansBetween(rows, total, func(from, to int) {
		first, last := at(from), at(to)
		shift := first - size
		copy(c.data[size:], c.data[first:last])
		for i := from; i < to; i++ {
			n++
			le.PutUint32(c.offsets[4*n:], uint32(at(i+1)-shift))
		}
		size += last - first
	})
	c.data, c.offsets = c.data[:size], c.offsets[:4*(n+1)]
}
