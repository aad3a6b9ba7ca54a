package mysql

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/config"
	"github.com/tidemill/tidemill/internal/realtest"
	"github.com/tidemill/tidemill/sources"
)

func valid() Config {
	c := Default()
	c.Address, c.User, c.Tables = "db.internal:3306", "tidemill", map[string]Table{"clinic.patients": {}}
	return c
}

func TestValidate(t *testing.T) {
	for _, x := range []struct {
		name   string
		change func(*Config)
		want   []string // paths, then parts of messages
	}{
		{"fine", func(*Config) {}, nil},
		{"fine without a port", func(c *Config) { c.Address = "db.internal" }, nil},
		{"fine socket", func(c *Config) { c.Address = "/run/mysqld/mysqld.sock" }, nil},
		{"fine ipv6", func(c *Config) { c.Address = "[::1]:3306" }, nil},
		{"no address", func(c *Config) { c.Address = "" }, []string{"address: is required"}},
		{"bad address", func(c *Config) { c.Address = "a:b:c" }, []string{"address: must be host:port"}},
		{"no user", func(c *Config) { c.User = "" }, []string{"user: is required"}},
		{"chunk rows", func(c *Config) { c.ChunkRows = 0 }, []string{"chunk_rows: must be between"}},
		{"server id", func(c *Config) { c.ServerID = math.MaxUint32 }, []string{"server_id: must be"}},
		{"no tables", func(c *Config) { c.Tables = nil }, nil},
		{"capture", func(c *Config) { c.Tables = map[string]Table{"a.b": {Capture: "nevr"}} }, []string{`tables["a.b"].capture: must be always or never (did you mean "never"?)`}},
		{"never, with columns", func(c *Config) {
			c.Tables = map[string]Table{"a.b": {Capture: captureNever, Columns: map[string]string{"x": "drop"}}}
		}, []string{`tables["a.b"]: has columns`}},
		{"bare name", func(c *Config) { c.Tables = map[string]Table{"patients": {}} }, []string{`tables.patients: must be "database.table"`}},
		{"wildcards", func(c *Config) { c.Tables = map[string]Table{"cli*.x": {}, "clinic.p*": {}} }, []string{`tables["cli*.x"]: holds a wildcard`, `tables["clinic.p*"]: holds a wildcard`}},
		{"system", func(c *Config) { c.Tables = map[string]Table{"mysql.user": {}} }, []string{`tables["mysql.user"]: is a database of the server`}},
		{"columns", func(c *Config) {
			c.Tables = map[string]Table{"a.b": {Columns: map[string]string{"x": "drop", "y": "pseudonym", "z": "hide"}}}
		}, []string{`tables["a.b"].columns.y: pseudonym is not available`, `tables["a.b"].columns.z: must be "drop"`}},
		{"tls mode", func(c *Config) { c.TLS.Mode = "verfy" }, []string{`tls.mode: must be off, verify or verify-ca (did you mean "verify"?)`}},
		{"tls off with files", func(c *Config) { c.TLS.CA = "ca.pem" }, []string{"tls.mode: is off"}},
		{"tls half a pair", func(c *Config) { c.TLS = TLS{Mode: tlsVerify, Key: "k"} }, []string{"tls.cert: cert and key go together"}},
		{"tls any authority", func(c *Config) { c.TLS = TLS{Mode: tlsVerifyCA} }, []string{"tls.ca: is required"}},
		{"everything at once", func(c *Config) { *c = Config{} }, []string{"address:", "user:", "chunk_rows:", "tls.mode:"}},
	} {
		c := valid()
		x.change(&c)
		var got []string
		c.Validate(func(path, message string) { got = append(got, path+": "+message) })
		if len(got) != len(x.want) || !slices.EqualFunc(got, x.want, strings.HasPrefix) {
			t.Errorf("%s: got %q, want %q", x.name, got, x.want)
		}
	}
}

func TestAddressGetsThePort(t *testing.T) {
	for in, want := range map[string]string{"db": "db:3306", "db:1": "db:1", "[::1]": "[::1]:3306", "10.0.0.1": "10.0.0.1:3306", "/s": "/s"} {
		c := Config{Address: in}
		if got := c.address(); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

func TestCapture(t *testing.T) {
	c, err := newCapture(map[string]Table{"clinic.*": {}, "clinic._odd_old": {}, "shop.orders": {Capture: captureAlways, Columns: map[string]string{"note": actionDrop}}, "x.a.b": {}})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[ingest.TableName]bool{
		{Schema: "clinic", Name: "patients"}: true, {Schema: "clinic", Name: "_patients_gho"}: false, {Schema: "clinic", Name: "_odd_old"}: true,
		{Schema: "clinic", Name: "_patients_x"}: true, {Schema: "shop", Name: "orders"}: true, {Schema: "shop", Name: "items"}: false,
		{Schema: "x", Name: "a.b"}: true, {Schema: "Clinic", Name: "patients"}: false,
	} {
		if _, got := c.match(name); got != want {
			t.Errorf("%s: captured %v", name, got)
		}
	}
	if got := c.schemas(); !slices.Equal(got, []string{"clinic", "shop", "x"}) {
		t.Errorf("databases %v", got)
	}
}

// What the pipelines read is captured; what a source's file says of tables refines that, adds to it or forbids.
func TestCaptureOfWhatIsRead(t *testing.T) {
	drop := map[string]string{"notes": actionDrop}
	c, err := newCapture(
		map[string]Table{"clinic.patients": {Columns: drop}, "clinic.audit": {Capture: captureNever}, "clinic.unread": {Columns: drop}, "shop.*": {Columns: drop},
			"secret.*": {Capture: captureNever}, "secret.open": {Capture: captureAlways, Columns: drop}},
		sources.Want{Schema: "clinic", Table: "[a-z]*"}, sources.Want{Schema: "clinic", Table: "pat*"}, sources.Want{Schema: "clinic", Table: "a*"},
		sources.Want{Schema: "shop", Table: "orders"}, sources.Want{Schema: "*", Table: "Visits", AnyCase: true}, sources.Want{Schema: "shop", Table: "_x_old"})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[ingest.TableName]string{
		{Schema: "clinic", Name: "patients"}: "dropping", {Schema: "clinic", Name: "address"}: "whole", {Schema: "clinic", Name: "audit"}: "",
		{Schema: "clinic", Name: "unread"}: "", {Schema: "clinic", Name: "_patients_gho"}: "", {Schema: "clinic", Name: "visits"}: "whole",
		{Schema: "shop", Name: "orders"}: "dropping", {Schema: "shop", Name: "items"}: "", {Schema: "shop", Name: "VISITS"}: "dropping",
		{Schema: "shop", Name: "_x_old"}: "dropping", {Schema: "shop", Name: "_x_new"}: "", {Schema: "secret", Name: "visits"}: "",
		{Schema: "secret", Name: "open"}: "dropping", {Schema: "mysql", Name: "visits"}: "", {Schema: "other", Name: "visits"}: "whole",
	} {
		cfg, got := c.match(name)
		how := ""
		switch {
		case got && len(cfg.Columns) > 0:
			how = "dropping"
		case got:
			how = "whole"
		}
		if how != want {
			t.Errorf("%s: captured %q, want %q", name, how, want)
		}
	}
	if got := c.schemas("mysql", "other", "secret", "shop"); !slices.Equal(got, []string{"clinic", "other", "secret", "shop"}) {
		t.Errorf("databases %v", got)
	}
	if got := c.absent("shop", map[string]string{"_x_old": ""}); !slices.Equal(got, []ingest.TableName{{Schema: "shop", Name: "orders"}}) {
		t.Errorf("absent %v", got)
	}
}

// A file and the pipelines that contradict each other are told so, by name.
func TestWant(t *testing.T) {
	drop := Table{Columns: map[string]string{"notes": actionDrop}}
	patients := sources.Want{Schema: "clinic", Table: "patients", By: "pipelines/care.yaml"}
	all := sources.Want{Schema: "clinic", Table: "*", By: "pipelines/care.yaml"}
	for _, x := range []struct {
		name   string
		tables map[string]Table
		wants  []sources.Want
		want   []string
	}{
		{"read", nil, []sources.Want{patients}, nil},
		{"refined", map[string]Table{"clinic.patients": drop, "clinic.*": drop}, []sources.Want{all}, nil},
		{"ahead of a pipeline", map[string]Table{"clinic.*": {}}, nil, nil},
		{"a pattern passes over what is never captured", map[string]Table{"clinic.audit": {Capture: captureNever}}, []sources.Want{all}, nil},
		{"never", map[string]Table{"clinic.patients": {Capture: captureNever}}, []sources.Want{patients},
			[]string{`tables["clinic.patients"]: pipelines/care.yaml reads clinic.patients, which is never captured`}},
		{"a database never", map[string]Table{"clinic.*": {Capture: captureNever}}, []sources.Want{patients},
			[]string{`tables["clinic.*"]: pipelines/care.yaml reads clinic.patients, which is never captured`}},
		{"a name that nobody reads", map[string]Table{"clinic.patient": drop, "shop.*": drop}, []sources.Want{patients},
			[]string{`tables["clinic.patient"]: no pipeline reads it (did you mean "clinic.patients"?)`, `tables["shop.*"]: no pipeline reads it:`}},
		{"nothing", nil, nil, []string{": no pipeline reads this source"}},
		{"only what is never captured", map[string]Table{"clinic.audit": {Capture: captureNever}}, nil, []string{": no pipeline reads this source"}},
	} {
		c := valid()
		c.Tables = x.tables
		var got []string
		c.Want(x.wants, func(path, message string) { got = append(got, path+": "+message) })
		if len(got) != len(x.want) || !slices.EqualFunc(got, x.want, strings.HasPrefix) {
			t.Errorf("%s: got %q, want %q", x.name, got, x.want)
		}
	}
}

func TestChangeable(t *testing.T) {
	schema := func(key string, cols ...ingest.Column) *ingest.Schema {
		return &ingest.Schema{Columns: cols, Key: []string{key}}
	}
	col := func(name string, kind ingest.Kind, digits ...int32) ingest.Column {
		c := ingest.Column{Name: name, Type: ingest.Type{Kind: kind}, Native: kind.String()}
		if len(digits) == 2 {
			c.Type.Precision, c.Type.Scale = digits[0], digits[1]
		}
		return c
	}
	id := col("id", ingest.Int32)
	for _, x := range []struct {
		name      string
		old, next *ingest.Schema
		ok        bool
	}{
		{"same", schema("id", id), schema("id", id), true},
		{"added", schema("id", id), schema("id", id, col("v", ingest.Text)), true},
		{"dropped", schema("id", id, col("v", ingest.Text)), schema("id", id), true},
		{"widened", schema("id", id, col("v", ingest.Int16)), schema("id", id, col("v", ingest.Int64)), true},
		{"narrowed", schema("id", id, col("v", ingest.Int64)), schema("id", id, col("v", ingest.Int32)), false},
		{"float", schema("id", id, col("v", ingest.Float32)), schema("id", id, col("v", ingest.Float64)), true},
		{"other kind", schema("id", id, col("v", ingest.Text)), schema("id", id, col("v", ingest.Int32)), false},
		{"json to text", schema("id", id, col("v", ingest.JSON)), schema("id", id, col("v", ingest.Text)), true},
		{"more digits", schema("id", id, col("v", ingest.Decimal, 10, 2)), schema("id", id, col("v", ingest.Decimal, 12, 4)), true},
		{"fewer before the point", schema("id", id, col("v", ingest.Decimal, 10, 2)), schema("id", id, col("v", ingest.Decimal, 10, 4)), false},
		{"unsigned", schema("id", id, col("v", ingest.Int64)), schema("id", id, col("v", ingest.Decimal, 20, 0)), true},
		{"key widened", schema("id", id), schema("id", col("id", ingest.Int64)), false},
		{"another key", schema("id", id, col("v", ingest.Int32)), schema("v", id, col("v", ingest.Int32)), false},
	} {
		if why := changeable(x.old, x.next); (why == "") != x.ok {
			t.Errorf("%s: %q", x.name, why)
		}
	}
}

func TestErrorsNeverShowThePassword(t *testing.T) {
	c := valid()
	c.Password = config.NewSecret(realtest.Canary)
	db, err := c.open()
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = errors.Join(c.failure("connecting", db.Ping()), c.refuse("log_bin", "OFF", "x"), c.dumpFailure(errorPacket([]byte("\xff\xd4\x04#HY000gone"))))
	realtest.NoCanary(t, "errors", err.Error())
	if !strings.Contains(err.Error(), "server error 1236: gone") {
		t.Errorf("got %v", err)
	}
}

// A server that was killed in the middle of a group leaves a log file that ends in the middle of an event. A reader that comes to
// that end has everything that was committed before it: the same again, from there, goes on in the next file. It is no loss.
func TestATornLogFileIsNotALoss(t *testing.T) {
	c := Default()
	for text, passes := range map[string]bool{
		"binlog truncated in the middle of event; consider out of disk space on master; the first event '.' at 0": true,
		"Could not find first log file name in binary log index file":                                             false,
	} {
		var e *Error
		if err := c.dumpFailure(errorPacket([]byte("\xff\xd4\x04#HY000" + text))); !errors.As(err, &e) || e.Retryable() != passes || !strings.Contains(e.Remedy, "tidemill resync") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
