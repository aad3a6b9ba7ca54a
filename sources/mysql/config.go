package mysql

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/config"
	"github.com/tidemill/tidemill/sources"
)

// Config is a source file of type mysql. It serves MySQL and MariaDB: which one it talks to is asked of the server.
type Config struct {
	// Address is host:port, or the path of a unix socket.
	Address  string        `yaml:"address"`
	User     string        `yaml:"user"`
	Password config.Secret `yaml:"password"`
	// Tables says how tables are captured, by "db.table" or "db.*"; an exact name wins over "db.*". It is a list of what is
	// special: tables that it does not name are captured as they are when a pipeline reads them.
	Tables map[string]Table `yaml:"tables" jsonschema:"description=How tables are captured where it is not as they are: by database.table or database.*. What pipelines read is captured anyway"`
	TLS    TLS              `yaml:"tls"`
	// ServerID is the replica id we show to the server; every reader of one server needs its own. 0 derives one between 2^31 and
	// 2^32 from the names of the project and the source, which is right unless two projects of one name read one server by
	// sources of one name.
	ServerID uint32 `yaml:"server_id"`
	// ChunkRows is how many rows of a first load are read in one snapshot. Fewer mean more round trips per row; more mean
	// more memory (one or two chunks are held) and older snapshots on the server.
	ChunkRows int `yaml:"chunk_rows"`

	project string         // the project's name
	source  string         // its name
	wants   []sources.Want // what the pipelines read; from Want, not from the file
}

var _ sources.Wanter = (*Config)(nil)

// Table is how one table, or every table of a pattern, is captured.
type Table struct {
	// Columns names columns that are not captured as they are: {notes: drop}.
	Columns map[string]string `yaml:"columns"`
	// Capture says when. Default: when a pipeline reads it, so that adding a table to the warehouse is one line in one
	// file. "always" captures ahead of the pipeline that will read it; "never" is for what must not leave the server, and
	// refuses a pipeline that asks for it. An entry without any key means always.
	Capture string `yaml:"capture" jsonschema:"enum=always,enum=never,description=Default: when a pipeline reads it"`
}

// always reports whether the table is captured whether or not a pipeline reads it.
func (t Table) always() bool {
	return t.Capture == captureAlways || t.Capture == "" && len(t.Columns) == 0
}

// TLS says how the connection is protected.
type TLS struct {
	// Mode: "off" (default) speaks plain text, right on one host or inside a tunnel; "verify" demands a certificate that
	// is valid for the address; "verify-ca" only that it is signed by CA, for servers behind a changing name.
	Mode string `yaml:"mode"`
	// CA is a file of PEM certificates that sign servers; empty takes the system's. It is read at each connection, so that
	// a renewed bundle needs no restart.
	CA config.LocalFile `yaml:"ca"`
	// Cert and Key are files for servers that demand a certificate of the client.
	Cert config.LocalFile `yaml:"cert"`
	Key  config.LocalFile `yaml:"key"`
	// ServerName is the name to verify when it is not the address's host.
	ServerName string `yaml:"server_name"`
}

const (
	tlsOff      = "off"
	tlsVerify   = "verify"
	tlsVerifyCA = "verify-ca"

	actionDrop      = "drop"
	actionPseudonym = "pseudonym"

	captureAlways = "always"
	captureNever  = "never"

	defaultPort = "3306"
)

// Default is the configuration that a file is decoded over.
func Default() Config {
	return Config{TLS: TLS{Mode: tlsOff}, ChunkRows: 50_000}
}

// Validate reports everything that is wrong, by YAML path. It touches no network and no file.
func (c *Config) Validate(report func(path, message string)) {
	switch {
	case c.Address == "":
		report("address", "is required: host:port of the server")
	case !strings.HasPrefix(c.Address, "/"):
		if _, _, err := net.SplitHostPort(c.address()); err != nil {
			report("address", "must be host:port or the path of a unix socket")
		}
	}
	if c.User == "" {
		report("user", "is required: an account with REPLICATION SLAVE, REPLICATION CLIENT and SELECT; with TRIGGER, too, a session that logs statements parks fewer tables")
	}
	if c.ChunkRows < 1 || c.ChunkRows > 5_000_000 {
		report("chunk_rows", "must be between 1 and 5000000")
	}
	if c.ServerID == math.MaxUint32 {
		report("server_id", "must be between 1 and 4294967294, or 0 to derive one")
	}
	c.TLS.validate(report)
	for _, name := range sortedKeys(c.Tables) {
		validateTable(name, c.Tables[name], report)
	}
}

func validateTable(name string, t Table, report func(path, message string)) {
	at := config.Path("tables", name)
	if _, err := parsePattern(name); err != nil {
		report(at, err.Error())
	}
	if choices := []string{captureAlways, captureNever}; t.Capture != "" && !slices.Contains(choices, t.Capture) {
		report(config.Path("tables", name, "capture"), "must be always or never"+config.DidYouMean(t.Capture, choices))
	}
	if t.Capture == captureNever && len(t.Columns) > 0 {
		report(at, "has columns, but is never captured: remove one of the two")
	}
	for _, col := range sortedKeys(t.Columns) {
		at := config.Path("tables", name, "columns", col)
		switch t.Columns[col] {
		case actionDrop:
		case actionPseudonym:
			report(at, "pseudonym is not available for MySQL sources yet: use drop, or leave the column out of this list")
		default:
			report(at, fmt.Sprintf("must be %q", actionDrop))
		}
	}
}

// Want implements sources.Wanter.
func (c *Config) Want(wants []sources.Want, report func(path, message string)) {
	c.wants = wants
	all, err := newCapture(c.Tables, wants...)
	if err != nil {
		return // Validate has said it
	}
	for _, w := range wants {
		t := ingest.TableName{Schema: w.Schema, Name: w.Table}
		if cfg, exact, _ := all.entry(t); w.Exact() && cfg.Capture == captureNever {
			name := t.String()
			if !exact {
				name = t.Schema + ".*"
			}
			report(config.Path("tables", name), fmt.Sprintf("%s reads %s, which is never captured: remove one of the two", w.By, t))
		}
	}
	some := len(wants) > 0
	for _, name := range sortedKeys(c.Tables) {
		cfg := c.Tables[name]
		some = some || cfg.always()
		if p, err := parsePattern(name); err == nil && cfg.Capture == "" && !cfg.always() && !wanted(wants, p.table) {
			report(config.Path("tables", name), "no pipeline reads it"+config.DidYouMean(name, exactNames(wants))+
				": correct the name, remove the entry, or say capture: always")
		}
	}
	if !some {
		report("", "no pipeline reads this source, so it captures nothing: add one (tidemill new pipeline NAME), or name what to capture ahead of it, like tables: {clinic.*: }")
	}
}

// wanted reports whether a pipeline may read the table, or one of the database when it has no name.
func wanted(wants []sources.Want, t ingest.TableName) bool {
	return slices.ContainsFunc(wants, func(w sources.Want) bool { return t.Name == "" && w.MatchesSchema(t.Schema) || w.Matches(t) })
}

func exactNames(wants []sources.Want) []string {
	var out []string
	for _, w := range wants {
		if w.Named() {
			out = append(out, w.String())
		}
	}
	return out
}

func (t TLS) validate(report func(path, message string)) {
	if !slices.Contains([]string{tlsOff, tlsVerify, tlsVerifyCA}, t.Mode) {
		report("tls.mode", "must be off, verify or verify-ca"+config.DidYouMean(t.Mode, []string{tlsOff, tlsVerify, tlsVerifyCA}))
		return
	}
	if t.Mode == tlsOff && (t.CA != "" || t.Cert != "" || t.Key != "" || t.ServerName != "") {
		report("tls.mode", "is off, but other tls settings are given: set it to verify")
	}
	if (t.Cert == "") != (t.Key == "") {
		report("tls.cert", "cert and key go together")
	}
	if t.Mode == tlsVerifyCA && t.CA == "" {
		report("tls.ca", "is required with verify-ca: any certificate of a public authority would pass otherwise")
	}
}

// address completes the port.
func (c *Config) address() string {
	if strings.HasPrefix(c.Address, "/") {
		return c.Address
	}
	if _, _, err := net.SplitHostPort(c.Address); err == nil {
		return c.Address
	}
	host := strings.Trim(c.Address, "[]")
	if strings.Contains(host, ":") && net.ParseIP(host) == nil {
		return c.Address // refused by Validate
	}
	return net.JoinHostPort(host, defaultPort)
}

func (c *Config) network() string {
	if strings.HasPrefix(c.Address, "/") {
		return "unix"
	}
	return "tcp"
}

// tls reads the certificates and returns the connection's TLS configuration, nil for plain text.
func (c *Config) tls() (*tls.Config, error) {
	if c.TLS.Mode == tlsOff {
		return nil, nil
	}
	out := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.TLS.ServerName}
	if out.ServerName == "" {
		out.ServerName, _, _ = net.SplitHostPort(c.address())
	}
	if c.TLS.CA != "" {
		pem, err := os.ReadFile(string(c.TLS.CA))
		if err != nil {
			return nil, fmt.Errorf("reading tls.ca: %w", err)
		}
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("reading tls.ca: %s holds no PEM certificate", c.TLS.CA)
		}
	}
	if c.TLS.Cert != "" {
		pair, err := tls.LoadX509KeyPair(string(c.TLS.Cert), string(c.TLS.Key))
		if err != nil {
			return nil, fmt.Errorf("reading tls.cert and tls.key: %w", err)
		}
		out.Certificates = []tls.Certificate{pair}
	}
	if c.TLS.Mode == tlsVerifyCA {
		verifyOnlyChain(out)
	}
	return out, nil
}

// verifyOnlyChain checks that the server's certificate is signed by the given authority, whatever name it is for. The
// standard check is all or nothing, so it is replaced by the half that is wanted.
func verifyOnlyChain(c *tls.Config) {
	roots := c.RootCAs
	c.InsecureSkipVerify = true
	c.VerifyConnection = func(s tls.ConnectionState) error {
		opts := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
		for _, cert := range s.PeerCertificates[1:] {
			opts.Intermediates.AddCert(cert)
		}
		_, err := s.PeerCertificates[0].Verify(opts)
		return err
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
