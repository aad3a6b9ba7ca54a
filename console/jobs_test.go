package console_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/tidemill/tidemill/console"
)

type fakeJobs struct{}

func (fakeJobs) List(_ context.Context, q console.JobsRequest) (console.JobsAnswer, error) {
	if q.Job == "nobody" {
		return console.JobsAnswer{}, errors.New(`there is no job "nobody"`)
	}
	return console.JobsAnswer{Jobs: []console.JobStatus{{Name: "daily"}}}, nil
}
func (fakeJobs) Why(_ context.Context, q console.WhyRequest) (console.WhyAnswer, error) {
	return console.WhyAnswer{Interval: console.IntervalStatus{Job: q.Job, Name: q.Interval, State: "waiting"}}, nil
}
func (fakeJobs) Backfill(_ context.Context, q console.BackfillRequest) (console.BackfillAnswer, error) {
	return console.BackfillAnswer{ID: q.ID}, nil
}
func (fakeJobs) Act(_ context.Context, q console.ActRequest) error {
	if q.Action != "hold" {
		return errors.New("there is no action")
	}
	return nil
}

// The routes of jobs pass requests on, word refusals as 422, want the token, and say 501 where no jobs can run.
func TestJobRoutes(t *testing.T) {
	url := serve(t, &console.Server{Jobs: fakeJobs{}})
	for _, c := range []struct {
		path, body string
		code       int
		text       string
	}{
		{"/v1/jobs", `{}`, http.StatusOK, `"name": "daily"`},
		{"/v1/jobs", `{"job": "nobody"}`, http.StatusUnprocessableEntity, "there is no job"},
		{"/v1/jobs/why", `{"job": "daily", "interval": "2026-01-01"}`, http.StatusOK, `"state": "waiting"`},
		{"/v1/backfill", `{"job": "daily", "id": "b1"}`, http.StatusOK, `"id": "b1"`},
		{"/v1/jobs/act", `{"action": "hold", "job": "daily"}`, http.StatusOK, "{}"},
		{"/v1/jobs/act", `{"action": "dance"}`, http.StatusUnprocessableEntity, "there is no action"},
		{"/v1/jobs/act", `{`, http.StatusBadRequest, "error"},
	} {
		if code, got, _ := do(t, request(t, http.MethodPost, url+c.path, c.body)); code != c.code || !strings.Contains(got, c.text) {
			t.Errorf("%s %s: %d %s, want %d with %s", c.path, c.body, code, got, c.code, c.text)
		}
	}
	if code, _, _ := do(t, request(t, http.MethodPost, url+"/v1/jobs", "{}", "Authorization", "Bearer wrong")); code != http.StatusUnauthorized {
		t.Errorf("without the token: %d", code)
	}
	none := serve(t, &console.Server{})
	if code, _, _ := do(t, request(t, http.MethodPost, none+"/v1/jobs", "{}")); code != http.StatusNotImplemented {
		t.Errorf("without jobs: %d", code)
	}
}
