package redshift

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tidemill/tidemill/sinks"
	"github.com/tidemill/tidemill/window"
)

// options are what the address says about loading.
type options struct {
	role             string
	super            bool
	overflow         string
	distStyle        string
	sortKey          string
	queryGroup       string
	statementTimeout time.Duration
	layout           func(window.WarehouseTable) window.Layout // nil: nothing is said of any table
}

// ours are the options that are not the driver's, with their allowed values; nil allows any.
var ours = map[string][]string{
	"iam_role": nil, "auth": {"password", "cluster", "serverless"}, "cluster": nil, "workgroup": nil, "region": nil,
	"json": {"varchar", "super"}, "overflow": {"error", "quarantine", "truncate", "null"}, "diststyle": {"auto", "key", "even", "all"}, "sortkey": {"auto", "key"},
	"query_group": nil, "statement_timeout": nil,
}

// theirs are the driver's options that make sense here.
var theirs = []string{"sslmode", "sslrootcert", "connect_timeout", "application_name", "default_query_exec_mode"}

var roleARN = regexp.MustCompile(`^arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]+(,arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]+)*$`)

// parse reads an address.
func parse(address string) (options, identity, *pgxpool.Config, error) {
	bad := func(err error) (options, identity, *pgxpool.Config, error) {
		return options{}, identity{}, nil, fmt.Errorf("redshift warehouse: %w", err)
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "redshift" || u.Hostname() == "" || strings.Trim(u.Path, "/") == "" {
		return bad(errors.New("the address is not redshift://user:password@host:5439/database"))
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return bad(errors.New("the options after ? are not name=value&name=value"))
	}
	known := slices.Clone(theirs)
	for name := range ours {
		known = append(known, name)
	}
	slices.Sort(known)
	if err := sinks.CheckOptions(q, known...); err != nil {
		return bad(err)
	}
	o, err := readOptions(q)
	if err != nil {
		return bad(err)
	}
	id, err := readIdentity(u, q)
	if err != nil {
		return bad(err)
	}
	c, err := driverConfig(*u, q, o)
	if err != nil {
		return bad(err)
	}
	return o, id, c, nil
}

func readOptions(q url.Values) (options, error) {
	for name, allowed := range ours {
		if v := q.Get(name); q.Has(name) && (v == "" || allowed != nil && !slices.Contains(allowed, v)) {
			if allowed == nil {
				return options{}, fmt.Errorf("option %s is empty", name)
			}
			return options{}, fmt.Errorf("option %s is %q, want %s", name, v, strings.Join(allowed, " or "))
		}
	}
	either := func(name, byDefault string) string {
		if v := q.Get(name); v != "" {
			return v
		}
		return byDefault
	}
	o := options{role: either("iam_role", "default"), super: q.Get("json") == "super", overflow: either("overflow", "error"),
		distStyle: either("diststyle", "auto"), sortKey: either("sortkey", "auto"), queryGroup: either("query_group", "tidemill")}
	if o.role != "default" && !roleARN.MatchString(o.role) {
		return o, errors.New("option iam_role is neither default nor arn:aws:iam::<account>:role/<name>, several joined by commas without blanks")
	}
	var err error
	if o.statementTimeout, err = time.ParseDuration(either("statement_timeout", "1h")); err != nil || o.statementTimeout < time.Second {
		return o, errors.New("option statement_timeout is not a duration such as 30m")
	}
	return o, nil
}

// driverConfig is the connection's part of the address. Redshift speaks PostgreSQL's protocol of old: it refuses parameters
// that it does not know, and encodes NUMERIC in a way of its own, so results come as text.
func driverConfig(u url.URL, q url.Values, o options) (*pgxpool.Config, error) {
	for name := range ours {
		q.Del(name)
	}
	if !q.Has("sslmode") {
		q.Set("sslmode", "verify-full")
	}
	if !q.Has("connect_timeout") {
		q.Set("connect_timeout", "20") // a serverless workgroup may have to wake up
	}
	q.Del("default_query_exec_mode")
	if u.Port() == "" {
		u.Host += ":5439"
	}
	u.Scheme, u.RawQuery = "postgres", q.Encode()
	c, err := pgxpool.ParseConfig(u.String())
	if err != nil {
		return nil, errors.New("the address is not redshift://user:password@host:5439/database?sslmode=..., or names a file that cannot be read")
	}
	cc := c.ConnConfig
	cc.DefaultQueryExecMode = pgx.QueryExecModeExec
	cc.StatementCacheCapacity, cc.DescriptionCacheCapacity = 0, 0
	name := cc.RuntimeParams["application_name"]
	if name == "" {
		name = "tidemill"
	}
	cc.RuntimeParams = map[string]string{"application_name": name} // nothing from PGOPTIONS and the like
	c.MaxConns, c.MaxConnLifetime = 8, time.Hour
	cc.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, DeadlineDelay: 5 * time.Second}
	}
	if cc.TLSConfig != nil {
		cc.TLSConfig.MinVersion = tls.VersionTLS12
	}
	// Redshift ends idle sessions, and a session lives from window to window. The driver asks after a second only.
	c.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return true }
	return c, nil
}

// settings are the statements that begin a session.
func (o options) settings() []string {
	return []string{
		"SET query_group TO " + literal(o.queryGroup),
		fmt.Sprintf("SET statement_timeout TO %d", o.statementTimeout.Milliseconds()),
		"SET timezone TO 'UTC'",
		"SET datestyle TO 'ISO'",
		"SET extra_float_digits TO 2", // the most that Redshift has: a double's text then has all of its digits
	}
}
