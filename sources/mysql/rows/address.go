package rows

import (
	"strconv"

	"github.com/tidemill/tidemill/ingest"
)

// address decodes the MariaDB types that lie as fixed binary strings on the wire: UUID, INET6, INET4. Trailing zero bytes
// are left out there, as for BINARY.
func (f *field) address(c *ingest.ColumnBuilder, raw []byte) fault {
	var b [16]byte
	if len(raw) > f.octets {
		return badLength
	}
	copy(b[:], raw)
	var buf [48]byte
	switch f.op {
	case opUUID:
		if stored(b) {
			b = unswap(b)
		}
		c.Bytes(appendUUID(buf[:0], b))
	case opINET6:
		c.Bytes(appendINET6(buf[:0], b))
	default:
		c.Bytes(appendINET4(buf[:0], b[:4]))
	}
	return fine
}

// MariaDB stores the UUIDs of versions 1 to 5 with their five groups in reverse order, so that the index of time-based ones
// is dense; all others as they are. Whether it did is seen from the version and variant bits at their swapped places.
func stored(b [16]byte) bool {
	return b[6]&0x80 != 0 && b[8] > 0 && b[8] < 0x60
}

func unswap(b [16]byte) (u [16]byte) {
	copy(u[0:], b[12:16])
	copy(u[4:], b[10:12])
	copy(u[6:], b[8:10])
	copy(u[8:], b[6:8])
	copy(u[10:], b[0:6])
	return u
}

func appendUUID(dst []byte, u [16]byte) []byte {
	for i, b := range u {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			dst = append(dst, '-')
		}
		dst = append(dst, hexDigits[b>>4], hexDigits[b&15])
	}
	return dst
}

func appendINET4(dst, b []byte) []byte {
	for i, x := range b[:4] {
		if i > 0 {
			dst = append(dst, '.')
		}
		dst = strconv.AppendUint(dst, uint64(x), 10)
	}
	return dst
}

// appendINET6 prints an address as MariaDB does: the longest run of zero groups, a single one too, as "::", IPv4-mapped and
// IPv4-compatible addresses with a dotted tail.
func appendINET6(dst []byte, b [16]byte) []byte {
	var g [8]uint64
	for i := range g {
		g[i] = uint64(b[2*i])<<8 | uint64(b[2*i+1])
	}
	from, n := longestGap(g)
	dotted := from == 0 && (n == 6 || n == 5 && g[5] == 0xffff)
	for i := 0; i < 8; {
		switch {
		case n > 0 && i == from:
			dst = append(dst, "::"...)
			i += n
			continue
		case dotted && i == 6:
			return appendINET4(append(dst, colon(dst)...), b[12:])
		}
		dst = append(dst, colon(dst)...)
		dst = strconv.AppendUint(dst, g[i], 16)
		i++
	}
	return dst
}

func colon(dst []byte) string {
	if len(dst) == 0 || dst[len(dst)-1] == ':' {
		return ""
	}
	return ":"
}

func longestGap(g [8]uint64) (from, n int) {
	for i := 0; i < 8; {
		j := i
		for j < 8 && g[j] == 0 {
			j++
		}
		if j-i > n {
			from, n = i, j-i
		}
		i = j + 1
	}
	return from, n
}
