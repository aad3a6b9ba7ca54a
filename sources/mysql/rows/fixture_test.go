package rows

import (
	"context"
	"encoding/binary"
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"
)

var record = flag.Bool("record", false, "write the events of testdata anew from real servers")

var flavors = []string{mysql.MariaDBFlavor, mysql.MySQLFlavor}

// fixture is a stretch of a real binlog: a format description, then table maps and rows events, as received.
type fixture struct {
	flavor string
	raw    [][]byte // whole events, the checksum included where there is one
	parser *replication.BinlogParser
	sums   int // bytes of a checksum
}

func loadFixture(t testing.TB, flavor, name string) *fixture {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", flavor+"-"+name+".binlog"))
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{flavor: flavor, parser: replication.NewBinlogParser()}
	f.parser.SetFlavor(flavor)
	for len(b) > 0 {
		n := binary.LittleEndian.Uint32(b[9:])
		f.raw, b = append(f.raw, b[:n]), b[n:]
	}
	e, err := f.parser.Parse(f.raw[0])
	if err != nil {
		t.Fatal(err)
	}
	if e.Event.(*replication.FormatDescriptionEvent).ChecksumAlgorithm == replication.BINLOG_CHECKSUM_ALG_CRC32 {
		f.sums = replication.BinlogChecksumLength
	}
	f.raw = f.raw[1:]
	return f
}

// events parses the table maps and splits the rows events.
func (f *fixture) events(t testing.TB) []event {
	t.Helper()
	maps := map[uint64]*replication.TableMapEvent{}
	var out []event
	for _, raw := range f.raw {
		if typ := replication.EventType(raw[4]); typ != replication.TABLE_MAP_EVENT {
			e, _, err := Split(typ, raw[replication.EventHeaderSize:len(raw)-f.sums])
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, event{maps[e.TableID], e})
			continue
		}
		e, err := f.parser.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		tm := e.Event.(*replication.TableMapEvent)
		maps[tm.TableID] = tm
	}
	return out
}

// recordFixture keeps what the server logs for the statements about one table.
func recordFixture(s *server, name, table string, work func()) {
	s.t.Helper()
	from := s.position()
	work()
	s.exec("CREATE TABLE fin (id INT PRIMARY KEY)", "INSERT INTO fin VALUES (1)")
	cfg := replication.BinlogSyncerConfig{ServerID: 4712, Flavor: s.flavor, Host: "127.0.0.1", Port: uint16(s.srv.Port), User: s.srv.User,
		Password: s.srv.Password, Logger: slog.New(slog.DiscardHandler)}
	syncer := replication.NewBinlogSyncer(cfg)
	defer syncer.Close()
	stream, err := syncer.StartSync(from)
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	var out []byte
	for {
		ev, err := stream.GetEvent(ctx)
		if err != nil {
			s.t.Fatal(err)
		}
		of := ""
		switch e := ev.Event.(type) {
		case *replication.FormatDescriptionEvent:
			if len(out) == 0 {
				out = append(out, ev.RawData...)
			}
		case *replication.TableMapEvent:
			of = string(e.Table)
		case *replication.RowsEvent:
			of = string(e.Table.Table)
		}
		if of == table {
			out = append(out, ev.RawData...)
		}
		if of == "fin" {
			break
		}
	}
	if err := os.WriteFile(filepath.Join("testdata", s.flavor+"-"+name+".binlog"), out, 0o644); err != nil {
		s.t.Fatal(err)
	}
}

const benchTable = `CREATE TABLE bench (id BIGINT UNSIGNED PRIMARY KEY, k INT NOT NULL, small SMALLINT UNSIGNED, amount DECIMAL(18,4),
	name VARCHAR(64) CHARACTER SET utf8mb4, note VARCHAR(255) CHARACTER SET utf8mb4, created DATETIME(6), updated TIMESTAMP NULL,
	status ENUM('new','open','done'), ratio DOUBLE)`

// TestRecord writes testdata anew: go test -run TestRecord -record.
func TestRecord(t *testing.T) {
	if !*record {
		t.Skip("run with -record to write testdata anew")
	}
	eachServer(t, func(t *testing.T, s *server) {
		s.exec(benchTable)
		recordFixture(s, "bench", "bench", func() {
			var vals []string
			for i := range 500 {
				vals = append(vals, benchRow(i))
			}
			s.exec("INSERT INTO bench VALUES "+strings.Join(vals, ","), "UPDATE bench SET k = k + 1 WHERE id % 5 = 0", "DELETE FROM bench WHERE id % 10 = 3")
		})
		s.exec("DROP TABLE fin")
		recordFixture(s, "types", "all_types", func() {
			createAll(s, smallCases(s.flavor))
			s.exec("UPDATE all_types SET c0 = 5", "UPDATE all_types SET id = id - 1 WHERE id % 3 = 0", "DELETE FROM all_types WHERE id % 2 = 0")
		})
	})
}
