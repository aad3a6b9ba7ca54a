package redshift_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/realtest"
	"github.com/tidemill/tidemill/internal/redshiftdouble"
	"github.com/tidemill/tidemill/sinks/redshift"
	"github.com/tidemill/tidemill/window"
)

// fakeIAM answers the two calls for temporary credentials as AWS does.
func fakeIAM(t *testing.T, user, password string, refuse *atomic.Bool) (calls *atomic.Int32) {
	t.Helper()
	calls = &atomic.Int32{}
	until := time.Now().Add(time.Hour)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		body, _ := io.ReadAll(r.Body)
		serverless := r.Header.Get("X-Amz-Target") == "RedshiftServerless.GetCredentials"
		switch {
		case !strings.Contains(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256"):
			w.WriteHeader(http.StatusForbidden)
		case refuse.Load() && serverless:
			w.Header().Set("X-Amzn-Errortype", "AccessDeniedException")
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `{"message":"no"}`)
		case refuse.Load():
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>`)
		case serverless && strings.Contains(string(body), `"workgroupName":"wg"`) && strings.Contains(string(body), `"dbName":"dev"`):
			w.Header().Set("Content-Type", "application/x-amz-json-1.1")
			fmt.Fprintf(w, `{"dbUser":%q,"dbPassword":%q,"expiration":%d}`, user, password, until.Unix())
		case strings.Contains(string(body), "Action=GetClusterCredentialsWithIAM") && strings.Contains(string(body), "ClusterIdentifier=prod") && strings.Contains(string(body), "DbName=dev"):
			fmt.Fprintf(w, `<GetClusterCredentialsWithIAMResponse><GetClusterCredentialsWithIAMResult><DbUser>%s</DbUser><DbPassword>%s</DbPassword><Expiration>%s</Expiration></GetClusterCredentialsWithIAMResult></GetClusterCredentialsWithIAMResponse>`,
				user, password, until.UTC().Format(time.RFC3339))
		default:
			t.Errorf("asked for %s %s", r.Header.Get("X-Amz-Target"), body)
			w.WriteHeader(http.StatusBadRequest)
		}
	}))
	t.Cleanup(s.Close)
	t.Setenv("AWS_ENDPOINT_URL_REDSHIFT", s.URL)
	t.Setenv("AWS_ENDPOINT_URL_REDSHIFT_SERVERLESS", s.URL)
	return calls
}

// Temporary credentials are fetched before the connection, once for many, and a refusal names the permission.
func TestIAMCredentials(t *testing.T) {
	l := newLab(t)
	const user, password = "IAMR:tidemill", realtest.Canary
	d := l.start(t, redshiftdouble.Config{User: user, Password: password, Auth: redshiftdouble.Cleartext})
	for auth, c := range map[string]struct{ options, permission string }{
		"cluster":    {"auth=cluster&cluster=prod", "redshift:GetClusterCredentialsWithIAM"},
		"serverless": {"auth=serverless&workgroup=wg", "redshift-serverless:GetCredentials"},
	} {
		t.Run(auth, func(t *testing.T) {
			var refuse atomic.Bool
			calls := fakeIAM(t, user, password, &refuse)
			open := func() *redshift.Sink {
				s, err := redshift.New("redshift://" + d.Addr() + "/dev?sslmode=disable&region=eu-west-1&" + c.options)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = s.Close() })
				return s
			}
			s := open()
			for range 2 {
				if _, err := s.Fence(t.Context(), "care"); !errors.Is(err, window.ErrNoFence) {
					t.Fatal(err)
				}
			}
			if n := calls.Load(); n != 1 {
				t.Errorf("%d calls for credentials, want 1", n)
			}
			refuse.Store(true)
			_, err := open().Fence(t.Context(), "care")
			var refused *window.RefusedError
			if !errors.As(err, &refused) || !strings.Contains(err.Error(), "allow "+c.permission) {
				t.Errorf("got %v", err)
			}
			realtest.NoCanary(t, "error", err.Error())
		})
	}
}
