package e2e_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/realtest"
)

// TestVerify: while the clinic is busy, source and warehouse are equal at one cut; one row changed behind tidemill's back is
// found and named, exit 1.
func TestVerify(t *testing.T) {
	e := newEnv(t, combo{"embedded", "postgres", "folder", "mariadb", "mysql", ""})
	d := e.run(t)
	e.underLoad(t, 2)
	stop := e.busy(t, 150)
	out, errs, code := tidemill(t.Context(), e.vars, "verify", "--config", e.dir)
	t.Logf("exit %d\n%s%s", code, out, errs)
	if code != 0 {
		t.Fatal("verify finds a difference where there is none")
	}
	for _, o := range e.checker.Outputs {
		if o.SQL == "" && !strings.Contains(out, o.Name) {
			t.Errorf("verify says nothing of %s", o.Name)
		}
	}
	stop()
	e.settled(t, time.Minute)
	realtest.Exec(t, realtest.Open(t, e.pg, "warehouse"), "update raw_consult.doctors set fee = fee + 1 where doctor_id = 3",
		"delete from raw_pharmacy.payments where payment_id = (select min(payment_id) from raw_pharmacy.payments)")
	out, errs, code = tidemill(t.Context(), e.vars, "verify", "--config", e.dir)
	t.Logf("exit %d\n%s%s", code, out, errs)
	if code != 1 || !strings.Contains(out, `{"doctor_id":3} has other values`) || !strings.Contains(out, `is missing`) || !strings.Contains(errs, "2 of 6 tables") {
		t.Errorf("verify does not find the changed row: exit %d", code)
	}
	d.stop(t)
}
