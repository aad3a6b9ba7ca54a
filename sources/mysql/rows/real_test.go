package rows

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/realtest"
	"github.com/tidemill/tidemill/internal/servers"
)

// server is a real server with a session on it, for tests that compare our reading with its own.
type server struct {
	t      testing.TB
	flavor string
	srv    *servers.Server
	conn   *client.Conn
}

// eachServer runs the test on both servers.
func eachServer(t *testing.T, test func(t *testing.T, s *server)) {
	t.Run("mariadb", func(t *testing.T) { test(t, connect(t, mysql.MariaDBFlavor, realtest.MariaDB(t))) })
	t.Run("mysql", func(t *testing.T) { test(t, connect(t, mysql.MySQLFlavor, realtest.MySQL(t))) })
}

// serverTests run on both servers, or on the one that they name.
var serverTests = []struct {
	name string
	only string
	run  func(t *testing.T, s *server)
}{
	{"types", "", testTypes}, {"hints", "", testHints}, {"images", "", testImages}, {"metadata", "", testMetadata}, {"hidden columns", "", testHiddenColumns},
	{"drop", "", testDrop}, {"keys", "", testKeys}, {"long values", "", testLongValues}, {"charsets", "", testCharsets}, {"collations", "", testCollations},
	{"json", mysql.MySQLFlavor, testJSON}, {"generated key", mysql.MySQLFlavor, testGeneratedKey},
	{"uuids", mysql.MariaDBFlavor, testUUIDs},
	{"table maps", mysql.MariaDBFlavor, testUnsupportedTableMaps}, {"compressed events", mysql.MariaDBFlavor, testCompressedEvents}, {"stale catalogue", mysql.MariaDBFlavor, testStaleCatalogue},
}

// TestServers runs them on one server of each kind; every test has tables of its own.
func TestServers(t *testing.T) {
	eachServer(t, func(t *testing.T, s *server) {
		for _, test := range serverTests {
			if test.only == "" || test.only == s.flavor {
				t.Run(test.name, func(t *testing.T) { test.run(t, connect(t, s.flavor, s.srv)) })
			}
		}
	})
}

func connect(t testing.TB, flavor string, srv *servers.Server) *server {
	t.Helper()
	conn, err := client.Connect(srv.Addr(), srv.User, srv.Password, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	s := &server{t: t, flavor: flavor, srv: srv, conn: conn}
	s.exec("SET NAMES utf8mb4", SessionStatement, "CREATE DATABASE IF NOT EXISTS t", "USE t")
	return s
}

func (s *server) exec(statements ...string) {
	s.t.Helper()
	for _, q := range statements {
		if _, err := s.conn.Execute(q); err != nil {
			s.t.Fatalf("%s: %v", strings.ReplaceAll(q[:min(len(q), 300)], "\n", " "), err)
		}
	}
}

// packets are the raw row packets of a text-protocol result.
func (s *server) packets(query string) [][]byte {
	s.t.Helper()
	r, err := s.conn.Execute(query)
	if err != nil {
		s.t.Fatalf("%s: %v", query, err)
	}
	defer r.Close()
	out := make([][]byte, 0, r.RowNumber())
	for _, d := range r.RowDatas {
		out = append(out, append([]byte(nil), d...))
	}
	return out
}

// strings are the values of a result as the server prints them; "NULL" for a NULL.
func (s *server) strings(query string) [][]string {
	s.t.Helper()
	var out [][]string
	for _, p := range s.packets(query) {
		var row []string
		for len(p) > 0 {
			raw, rest, null, ok := nextText(p)
			if !ok {
				s.t.Fatal("cannot read a row packet")
			}
			v := string(raw)
			if null {
				v = "NULL"
			}
			row, p = append(row, v), rest
		}
		out = append(out, row)
	}
	return out
}

func (s *server) catalogue(table string) Catalogue {
	s.t.Helper()
	db := realtest.Open(s.t, s.srv, "t")
	q, args := CatalogueQuery(s.flavor, ingest.TableName{Schema: "t", Name: table})
	r, err := db.Query(q, args...)
	if err != nil {
		s.t.Fatal(err)
	}
	defer r.Close()
	c, err := ReadCatalogue(r)
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// event is a rows event as the stream delivers it.
type event struct {
	table *replication.TableMapEvent
	Event
}

// position is where the binlog ends now.
func (s *server) position() mysql.Position {
	s.t.Helper()
	q := "SHOW MASTER STATUS"
	if s.flavor == mysql.MySQLFlavor {
		q = "SHOW BINARY LOG STATUS"
	}
	r := s.strings(q)
	var p mysql.Position
	p.Name = r[0][0]
	if _, err := fmt.Sscan(r[0][1], &p.Pos); err != nil {
		s.t.Fatal(err)
	}
	return p
}

// events are the rows events from a position to the present end, of one table.
func (s *server) events(from mysql.Position, table string) []event {
	s.t.Helper()
	s.exec("CREATE TABLE IF NOT EXISTS fin (id INT AUTO_INCREMENT PRIMARY KEY)", "INSERT INTO fin VALUES ()")
	host, port, _ := strings.Cut(s.srv.Addr(), ":")
	data := map[*replication.RowsEvent][]byte{} // without the checksum, which RawData has
	var mu sync.Mutex
	cfg := replication.BinlogSyncerConfig{ServerID: 4711, Flavor: s.flavor, Host: host, User: s.srv.User, Password: s.srv.Password,
		Logger: slog.New(slog.DiscardHandler),
		RowsEventDecodeFunc: func(e *replication.RowsEvent, b []byte) error {
			mu.Lock()
			defer mu.Unlock()
			data[e] = append([]byte(nil), b...)
			_, err := e.DecodeHeader(b)
			return err
		}}
	fmt.Sscan(port, &cfg.Port)
	syncer := replication.NewBinlogSyncer(cfg)
	defer syncer.Close()
	stream, err := syncer.StartSync(from)
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	var out []event
	for {
		ev, err := stream.GetEvent(ctx)
		if err != nil {
			s.t.Fatal(err)
		}
		rows, ok := ev.Event.(*replication.RowsEvent)
		if !ok {
			continue
		}
		switch string(rows.Table.Table) {
		case "fin":
			return out
		case table:
			mu.Lock()
			e, ok, err := Split(ev.Header.EventType, data[rows])
			mu.Unlock()
			if !ok || err != nil {
				s.t.Fatalf("splitting an event of type %v: %v", ev.Header.EventType, err)
			}
			out = append(out, event{rows.Table, e})
		}
	}
}
