package dynamodb

import (
	"encoding/xml"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/dynamofake"
)

// A table of another account is read with a role: the credentials at hand ask STS for those of the role, with the external id, and
// only these reach DynamoDB, which checks every signature here.
func TestRole(t *testing.T) {
	const role = "arn:aws:iam::123456789012:role/reader"
	srv, err := dynamofake.Start(dynamofake.Options{Secrets: map[string]string{"ASSUMED": "assumed secret"}})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	if err := srv.CreateTable(table, "id"); err != nil {
		t.Fatal(err)
	}
	trusts := true
	sts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil || r.Form.Get("Action") != "AssumeRole" || !strings.Contains(r.Header.Get("Authorization"), "Credential=key/") || !strings.Contains(r.Header.Get("Authorization"), "/sts/") {
			t.Errorf("STS is asked for %v by %s", r.Form, r.Header.Get("Authorization"))
		}
		if !trusts || r.Form.Get("RoleArn") != role || r.Form.Get("ExternalId") != "tide" {
			w.WriteHeader(http.StatusForbidden)
			_, _ = w.Write([]byte(`<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>User is not authorized to perform: sts:AssumeRole</Message></Error></ErrorResponse>`))
			return
		}
		type credentials struct {
			AccessKeyID     string `xml:"AccessKeyId"`
			SecretAccessKey string
			SessionToken    string
			Expiration      string
		}
		answer := struct {
			XMLName xml.Name    `xml:"https://sts.amazonaws.com/doc/2011-06-15/ AssumeRoleResponse"`
			Creds   credentials `xml:"AssumeRoleResult>Credentials"`
		}{Creds: credentials{"ASSUMED", "assumed secret", "token", time.Now().Add(time.Hour).UTC().Format(time.RFC3339)}}
		if err := xml.NewEncoder(w).Encode(answer); err != nil {
			t.Error(err)
		}
	}))
	defer sts.Close()
	t.Setenv("AWS_ENDPOINT_URL_STS", sts.URL)
	describe := func(c Config) error {
		c.Table, c.Region, c.Endpoint = table, srv.Region(), srv.Endpoint()
		cl, err := c.client(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, err = cl.describe(t.Context())
		return err
	}
	if err := describe(Config{RoleARN: role, ExternalID: "tide"}); err != nil {
		t.Errorf("with the role: %v", err)
	}
	if err := describe(Config{}); causeOf(err) != Credentials {
		t.Errorf("without the role: %v", err)
	}
	trusts = false
	err = describe(Config{RoleARN: role, ExternalID: "tide"})
	if causeOf(err) != Refused || !strings.Contains(err.Error(), role) || !strings.Contains(err.Error(), "sts:AssumeRole") || strings.Contains(err.Error(), "dynamodb:") {
		t.Errorf("a role that is not to be had: %v", err)
	}
	http.DefaultClient.CloseIdleConnections()
}
