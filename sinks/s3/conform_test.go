package s3_test

import (
	"net/url"
	"testing"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/conform"
	"github.com/tidemill/tidemill/internal/realtest"
	"github.com/tidemill/tidemill/sinks/s3"
	"github.com/tidemill/tidemill/window"
)

// address of a bucket of the test server; it sets the credentials in the environment.
func address(t *testing.T, b realtest.Bucket, endpoint, prefix string) string {
	t.Helper()
	q := url.Values{"region": {b.Region}, "endpoint": {endpoint}, "path_style": {"true"}}
	return "s3://" + b.Name + "/" + prefix + "?" + q.Encode()
}

func credentials(t *testing.T, key, secret string) {
	t.Helper()
	for name, v := range map[string]string{
		"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "",
		"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(name, v)
	}
}

func open(t *testing.T, address string) *s3.Store {
	t.Helper()
	s, err := s3.New(address)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	b := realtest.S3(t)
	credentials(t, b.AccessKey, b.SecretKey)
	conform.Store(t, func(t *testing.T) window.Store {
		return open(t, address(t, b, b.Endpoint, "lake/"+uuid.NewString()))
	})
}
