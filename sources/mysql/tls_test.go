package mysql

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/config"
	"github.com/tidemill/tidemill/internal/realtest"
)

// A server that lets nobody in without a certificate: the files stand beside the project and are named relative to it, for
// questions and for the log's own connection.
func TestTLSFilesOfTheProject(t *testing.T) {
	authority, other := realtest.NewAuthority(t), realtest.NewAuthority(t)
	cert, key := authority.Issue(t, "server")
	authority.Issue(t, "client")
	server := realtest.MariaDB(t, "ssl_ca="+authority.CA, "ssl_cert="+cert, "ssl_key="+key)
	db := realtest.Open(t, server, "")
	realtest.Exec(t, db, "CREATE DATABASE clinic", "CREATE TABLE clinic.t (id INT PRIMARY KEY)", "INSERT INTO clinic.t VALUES (1)",
		"CREATE USER tm@'%' IDENTIFIED BY 'secret' REQUIRE X509", "GRANT ALL ON *.* TO tm@'%'")

	for _, c := range []struct{ name, tls, want string }{
		{"right", "{mode: verify, ca: certs/ca.pem, cert: certs/client.pem, key: certs/client.key}", ""},
		{"plain text", "{mode: 'off'}", "tls.mode: verify"},
		{"no certificate", "{mode: verify, ca: certs/ca.pem}", "tls.cert and tls.key"},
		{"another authority", "{mode: verify, ca: others/ca.pem, cert: certs/client.pem, key: certs/client.key}", "tls.ca"},
		{"another name", "{mode: verify, ca: certs/ca.pem, cert: certs/client.pem, key: certs/client.key, server_name: db.internal}", "tls.server_name"},
		{"a file that is not there", "{mode: verify, ca: certs/ca.perm}", "reading tls.ca"},
	} {
		t.Run(c.name, func(t *testing.T) {
			src, err := New("consult", inProject(t, authority, other, server.Addr(), c.tls), nil)
			if err != nil {
				t.Fatal(err)
			}
			found, err := src.Prepare(t.Context())
			switch {
			case c.want == "" && (err != nil || len(found) != 1):
				t.Errorf("found %d tables: %v", len(found), err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || ingest.Retryable(err) || strings.Contains(err.Error(), "\n")):
				t.Errorf("want one line about %s, no retry: %v", c.want, err)
			}
			if c.want != "" {
				return
			}
			raw, err := src.config.dial(t.Context())
			if err != nil {
				t.Fatalf("the log's connection: %v", err)
			}
			defer raw.Close()
			if row, err := raw.row("SHOW STATUS LIKE 'Ssl_cipher'"); err != nil || row[1] == "" {
				t.Errorf("the log is not encrypted: %v %v", row, err)
			}
		})
	}
}

// inProject writes a project with the certificates beside it and reads its source back.
func inProject(t *testing.T, authority, other *realtest.Authority, address, tls string) Config {
	t.Helper()
	dir := t.TempDir()
	for name, target := range map[string]string{"certs": authority.Dir, "others": other.Dir} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"tidemill.yaml":        "project: clinic\n",
		"sources/consult.yaml": "kind: source\nname: consult\ntype: mysql\naddress: " + address + "\nuser: tm\npassword: secret\ntables: {clinic.t: }\ntls: " + tls + "\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p, err := config.Load(dir, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	c := Default()
	if err := p.Sources[0].Node.Decode(&c); err != nil {
		t.Fatal(err)
	}
	return c
}
