package servers

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
)

// Ports are taken from a range below the kernel's ephemeral ports. A port from the ephemeral range would be lost
// while its server restarts: any outgoing connection may be given it, and a client that keeps dialling a closed
// ephemeral port can even connect to itself.
const (
	lowestPort  = 15000
	highestPort = 32000
)

// FreePort returns a port on 127.0.0.1 that nobody listens on right now.
func FreePort() (int, error) {
	for range 200 {
		// Random rather than in order: test binaries that run side by side would all try the same next port.
		if port := lowestPort + rand.IntN(highestPort-lowestPort); PortFree(port) {
			return port, nil
		}
	}
	l, err := net.Listen("tcp4", net.JoinHostPort(Loopback, "0"))
	if err != nil {
		return 0, fmt.Errorf("looking for a free port on %s: %w", Loopback, err)
	}
	defer l.Close()
	addr, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return 0, errors.New("looking for a free port: the listener has no TCP address")
	}
	return addr.Port, nil
}

// PortFree says whether nobody listens on a port of 127.0.0.1.
func PortFree(port int) bool {
	l, err := net.Listen("tcp4", net.JoinHostPort(Loopback, strconv.Itoa(port)))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// fileSize is 0 for a file that is not there yet.
func fileSize(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}
