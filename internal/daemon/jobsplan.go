package daemon

import (
	"context"
	"errors"

	"github.com/tidemill/tidemill/console"
	"github.com/tidemill/tidemill/elt"
)

// PlanJobs compares the jobs of a folder with what its warehouse has been built from, without a daemon.
func PlanJobs(ctx context.Context, a *Assembly) (out console.JobsAnswer, err error) {
	w, ok := a.Warehouse.(elt.Warehouse)
	if !ok {
		return out, errors.New("jobs cannot run in this warehouse yet: only in " + jobWarehouses)
	}
	book, err := elt.Read(ctx, w, a.Jobs)
	if err != nil {
		return out, err
	}
	s, _, err := observe(a.Jobs, book, a.Project)
	if err != nil {
		return out, err
	}
	all := s.Decide().Statuses
	for _, j := range a.Jobs.Jobs {
		out.Jobs = append(out.Jobs, jobsAPI{}.status(s, j, all, nil))
	}
	for name := range book.Committed.Ledger {
		if a.Jobs.Job(name) == nil {
			out.Jobs = append(out.Jobs, console.JobStatus{Name: name, Table: "(see tidemill.job_ledger)"})
		}
	}
	return out, nil
}
