package dynamodb

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tidemill/tidemill/internal/dynamofake"
)

// A pin that cannot be, or would not be honoured, is refused by check.
func TestValidate(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"": func(c *Config) {
			c.Columns = map[string]string{"a": "text as b", "c": "drop", "d": "decimal(18,2)", "oid": "text as object_id"}
			c.Export.Bucket = "my-exports.eu"
		},
		"table: must be a DynamoDB table's name":                          func(c *Config) { c.Table = "a" },
		"region: must be a region's name":                                 func(c *Config) { c.Region = "moon base" },
		"export.bucket: must be a bucket's name":                          func(c *Config) { c.Export.Bucket = "Bad_Bucket!" },
		"columns.c: gives its column the name of that of a":               func(c *Config) { c.Columns = map[string]string{"a": "text as b", "c": "text as B"} },
		"columns.c: gives its column the name of that of b":               func(c *Config) { c.Columns = map[string]string{"b": "text", "c": "text as b"} },
		"columns.d: gives a column the name _op":                          func(c *Config) { c.Columns = map[string]string{"d": "text as _op"} },
		"columns.e: gives a column the name _extra":                       func(c *Config) { c.Columns = map[string]string{"e": "text as _extra"} },
		"columns.xmin: gives a column the name xmin":                      func(c *Config) { c.Columns = map[string]string{"xmin": "int64"} },
		"columns.f: gives a column the name " + `x"`:                      func(c *Config) { c.Columns = map[string]string{"f": `text as x"`} },
		"streams_endpoint: must be a URL like https://vpce-1234.streams.": func(c *Config) { c.StreamsEndpoint = "vpce" },
	} {
		c := Default()
		c.Table, c.Region = "sessions", "us-gov-west-1"
		change(&c)
		var got []string
		c.Validate(func(path, message string) { got = append(got, path+": "+message) })
		if text := strings.Join(got, "\n"); len(got) > 1 || !strings.HasPrefix(text, want) || want == "" && text != "" {
			t.Errorf("got %q, want %q", text, want)
		}
	}
}

// A pin may only be wrong beside what the table's key is.
func TestAPinOfTheKeysName(t *testing.T) {
	r := newRig(t, dynamofake.Options{})
	r.create(images)
	for name, pins := range map[string]map[string]string{"the name of its key's column": {"a": "text as ID"}, "is its key and cannot be dropped": {"id": "drop"}} {
		c := r.config
		c.Columns = pins
		if _, err := New("s", c, nil, nil).Prepare(t.Context()); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v: %v", pins, err)
		}
	}
}

// DynamoDB and its streams are asked where each is.
func TestTwoEndpoints(t *testing.T) {
	r := newRig(t, dynamofake.Options{})
	r.create(images)
	seen := map[string]bool{}
	front := func(name string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			operation := req.Header.Get("X-Amz-Target")
			seen[name+" "+operation] = true
			r.srv.ServeHTTP(w, req)
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	c := r.config
	c.Endpoint, c.StreamsEndpoint = front("db"), front("streams")
	cl, err := c.client(t.Context())
	r.ok(err)
	d, err := cl.describe(t.Context())
	r.ok(err)
	_, err = cl.shards(t.Context(), *d.LatestStreamArn, "")
	r.ok(err)
	if got := fmt.Sprint(seen); got != "map[db DynamoDB_20120810.DescribeTable:true streams DynamoDBStreams_20120810.DescribeStream:true]" {
		t.Error(got)
	}
}
