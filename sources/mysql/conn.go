package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	driver "github.com/go-sql-driver/mysql"
)

// flavor is go-mysql's name of a family.
type flavor string

const (
	mariadb flavor = gomysql.MariaDBFlavor
	mysql   flavor = gomysql.MySQLFlavor
)

const dialTimeout = 10 * time.Second

// quiet keeps the driver from writing to the process's log: errors are returned, and its texts may hold more.
type quiet struct{}

func (quiet) Print(...any) {}

// open makes a pool for questions to the server: preflight, catalogue, idle proofs. It does not connect yet.
func (c *Config) open() (*sql.DB, error) {
	tlsConfig, err := c.tls()
	if err != nil {
		return nil, err
	}
	d := driver.NewConfig()
	d.Net, d.Addr, d.User, d.Passwd = c.network(), c.address(), c.User, c.Password.Reveal()
	d.TLS = tlsConfig
	d.Timeout, d.ReadTimeout, d.WriteTimeout = dialTimeout, time.Minute, time.Minute
	d.InterpolateParams = true // one round trip for each question
	d.Collation = ""
	d.Logger = quiet{}
	d.Params = map[string]string{"charset": "utf8mb4", "time_zone": "'+00:00'", "sql_mode": "''"}
	d.ConnectionAttributes = "program_name:tidemill"
	if err := d.Apply(driver.Charset("utf8mb4", "")); err != nil {
		return nil, err
	}
	delete(d.Params, "charset")
	connector, err := driver.NewConnector(d)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(2)
	db.SetConnMaxIdleTime(10 * time.Minute)
	return db, nil
}

// rawConn is a connection whose packets we read ourselves: the log's dump and the rows of a first load.
type rawConn struct {
	*client.Conn
	config *Config
}

// dial opens a rawConn for a session in UTC and utf8mb4. The caller closes it.
func (c *Config) dial(ctx context.Context) (*rawConn, error) {
	tlsConfig, err := c.tls()
	if err != nil {
		return nil, &Error{Cause: Refused, Server: c.Address, What: "preparing TLS", Err: err}
	}
	d := net.Dialer{Timeout: dialTimeout}
	conn, err := client.ConnectWithDialer(ctx, c.network(), c.address(), c.User, c.Password.Reveal(), "", d.DialContext, func(cc *client.Conn) error {
		// Without these two, statements and results have the plain old form that packet.go reads.
		cc.UnsetCapability(gomysql.CLIENT_QUERY_ATTRIBUTES)
		cc.UnsetCapability(gomysql.CLIENT_DEPRECATE_EOF)
		cc.ReadTimeout = 2 * time.Minute // for what the library reads; the log and rows have limits of their own
		cc.SetAttributes(map[string]string{"program_name": "tidemill"})
		if tlsConfig != nil {
			cc.SetTLSConfig(tlsConfig)
		}
		return nil
	})
	if err != nil {
		return nil, c.failure("connecting", err)
	}
	r := &rawConn{Conn: conn, config: c}
	// A blocked emitter must not cost the connection: the server's default gives a reader 60 s.
	err = r.exec("SET NAMES utf8mb4", "SET SESSION time_zone = '+00:00', SESSION net_write_timeout = 3600")
	if err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// socket is the connection below the library, which other goroutines may close and whose packets we read.
func (r *rawConn) socket() net.Conn { return r.Conn.Conn.Conn }

// exec runs statements that hold no values.
func (r *rawConn) exec(statements ...string) error {
	for _, q := range statements {
		if _, err := r.Execute(q); err != nil {
			return r.config.failure("running "+firstWords(q, 6), err)
		}
	}
	return nil
}

// row runs a query that holds no values and returns its first row as text.
func (r *rawConn) row(query string) ([]string, error) {
	res, err := r.Execute(query)
	if err != nil {
		return nil, r.config.failure("running "+firstWords(query, 6), err)
	}
	if res.RowNumber() == 0 {
		return nil, fmt.Errorf("running %s: no row", firstWords(query, 6))
	}
	out := make([]string, res.ColumnNumber())
	for i := range out {
		if out[i], err = res.GetString(0, i); err != nil {
			return nil, fmt.Errorf("running %s: %w", firstWords(query, 6), err)
		}
	}
	return out, nil
}

func firstWords(q string, n int) string {
	words := strings.Fields(q)
	if len(words) > n {
		words = append(words[:n:n], "…")
	}
	return strings.Join(words, " ")
}

// quoteName quotes an identifier.
func quoteName(s string) string { return "`" + strings.ReplaceAll(s, "`", "``") + "`" }

// quoteText quotes a text for statements that are shown to people.
func quoteText(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
