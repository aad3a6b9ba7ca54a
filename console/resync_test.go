package console_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/tidemill/tidemill/console"
)

type resyncs struct{ asked []console.ResyncRequest }

func (r *resyncs) Resync(_ context.Context, q console.ResyncRequest) (console.ResyncAnswer, error) {
	r.asked = append(r.asked, q)
	if q.Targets[0] == "nobody" {
		return console.ResyncAnswer{}, errors.New(`there is no source "nobody"`)
	}
	return console.ResyncAnswer{Sources: []console.ResyncSource{{Source: "consult", Tables: []console.ResyncTable{{Table: "clinic.patients", Rows: 7}}}}}, nil
}

// POST /v1/resync passes targets on and says what is loaded; a refusal is 422, and the token is asked for.
func TestResyncRoute(t *testing.T) {
	r := &resyncs{}
	url := serve(t, &console.Server{Resyncer: r}) + "/v1/resync"
	for body, want := range map[string]struct {
		code int
		text string
	}{
		`{"targets": ["consult.clinic.patients"], "dry_run": true, "id": "one"}`: {http.StatusOK, `"table": "clinic.patients"`},
		`{"targets": ["nobody"]}`: {http.StatusUnprocessableEntity, "there is no source"},
		`{"targets": `:            {http.StatusBadRequest, "error"},
	} {
		if code, got, _ := do(t, request(t, http.MethodPost, url, body)); code != want.code || !strings.Contains(got, want.text) {
			t.Errorf("%s: %d %s, want %d with %s", body, code, got, want.code, want.text)
		}
	}
	if code, _, _ := do(t, request(t, http.MethodPost, url, "{}", "Authorization", "Bearer wrong")); code != http.StatusUnauthorized {
		t.Errorf("without the token: %d", code)
	}
	if code, _, _ := do(t, request(t, http.MethodPost, serve(t, &console.Server{})+"/v1/resync", "{}")); code != http.StatusNotImplemented {
		t.Errorf("a daemon that cannot: %d", code)
	}
	if n := len(r.asked); n != 2 {
		t.Errorf("%d requests came through, want 2", n)
	}
}
