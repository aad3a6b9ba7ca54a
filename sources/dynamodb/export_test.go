package dynamodb

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tidemill/tidemill/internal/dynamofake"
)

// exporting is a rig whose exports go to a folder that a little S3 serves: GetObject, path style.
func exporting(t *testing.T, o dynamofake.Options) (r *rig, dir string) {
	dir = t.TempDir()
	o.Exports = dynamofake.Folder(dir)
	r = clocked(t, o)
	s3 := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		b, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(req.URL.Path)))
		if err != nil {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = w.Write(b)
	}))
	t.Cleanup(s3.Close)
	r.config.Export = Export{Bucket: "lake", Prefix: "exports", Endpoint: s3.URL}
	r.create(images)
	return r, dir
}

// recovery turns point-in-time recovery on.
func (r *rig) recovery() {
	r.t.Helper()
	_, err := r.db.db.UpdateContinuousBackups(r.t.Context(), &dynamodb.UpdateContinuousBackupsInput{
		TableName: aws.String(table), PointInTimeRecoverySpecification: &types.PointInTimeRecoverySpecification{PointInTimeRecoveryEnabled: aws.Bool(true)},
	})
	r.ok(err)
}

// imported waits until the exports are read, lets time pass so that the load may end, and waits for that.
func (r *rig) imported(s *spy) {
	r.t.Helper()
	done := func() bool {
		return s.loads.Done || strings.Contains(string(s.loads.Cursor), `"done":true`) && !strings.Contains(string(s.loads.Cursor), `"token":""`)
	}
	r.await(s, "the exports", done)
	r.clock.Advance(5 * time.Minute)
	r.await(s, "the load", func() bool { return s.loads.Done })
}

// B7.18: a load by an export beside writes ends in what a consistent Scan shows, also when it is killed in its middle.
func TestB7Row18ExportBesideWrites(t *testing.T) {
	for _, kills := range []bool{false, true} {
		t.Run(fmt.Sprint("killed ", kills), func(t *testing.T) {
			r, _ := exporting(t, dynamofake.Options{Shards: 3, ExportFuzz: time.Minute})
			r.recovery()
			for i := range 300 {
				r.put(fmt.Sprintf("old-%03d", i), 0)
				if i%30 == 0 {
					r.clock.Advance(time.Minute)
				}
			}
			n := 0
			s := r.run(func(call string, _ int) bool {
				if call == "Load" {
					n++
				}
				return kills && call == "after Load" && n == 4
			})
			for i := range 100 {
				r.put(fmt.Sprintf("old-%03d", i), 1)
				r.put(fmt.Sprintf("new-%03d", i), 0)
				if i%7 == 0 {
					r.delete(fmt.Sprintf("old-%03d", 299-i))
				}
				if i%20 == 0 {
					r.clock.Advance(30 * time.Second)
				}
			}
			if kills {
				r.fails(s, errKilled.Error())
				s = r.run(nil)
			}
			r.imported(s)
			r.put("last", 0)
			r.caughtUp(s)
			r.end(s)
			r.equal()
		})
	}
}

// B7.7, second half: down for longer than the stream's memory, with deletes; incremental exports mend it by themselves.
func TestB7Row07IncrementalExportsMend(t *testing.T) {
	for _, kill := range []bool{false, true} {
		t.Run(fmt.Sprint("killed ", kill), func(t *testing.T) {
			r, _ := exporting(t, dynamofake.Options{RotateEvery: 4 * time.Hour, Shards: 2, ExportFuzz: 30 * time.Second})
			r.recovery()
			r.clock.Advance(time.Hour)
			for i := range 50 {
				r.put(fmt.Sprintf("item-%02d", i), 0)
			}
			r.clock.Advance(2 * time.Minute)
			s := r.run(nil)
			r.imported(s)
			r.put("item-00", 1)
			r.caughtUp(s)
			r.end(s)
			for h := range 40 { // down
				r.clock.Advance(time.Hour)
				r.put(fmt.Sprintf("item-%02d", h), 2)
			}
			r.delete("item-49")
			r.clock.Advance(26 * time.Hour)
			r.put("item-01", 3)
			n := 0
			s = r.run(func(call string, _ int) bool {
				if call == "Load" {
					n++
				}
				return kill && n == 3 && call == "after Load"
			})
			s.loads.Cursor = []byte("{}")
			if kill {
				r.fails(s, errKilled.Error())
				s = r.run(nil)
			}
			r.await(s, "the exports", func() bool { return strings.Count(string(s.loads.Cursor), `"done":true`) >= 3 })
			r.clock.Advance(10 * time.Minute)
			r.await(s, "the repair", func() bool { return s.loads.Done })
			r.put("item-02", 9)
			r.caughtUp(s)
			r.end(s)
			rows := r.equal()
			if !strings.Contains(r.logged.String(), "what the stream had lost is mended") {
				t.Errorf("nothing was mended:\n%s", r.logged)
			}
			// No window shows half of the repair: the item that came last in it and those of the exports are in one.
			windows := map[time.Time]int{}
			for _, row := range rows {
				if row.load && row.values["v"] == "2" || row.text == "" || row.values["v"] == "3" {
					windows[row.window]++
				}
			}
			if len(windows) != 1 {
				t.Errorf("the repair is in the windows %v", windows)
			}
		})
	}
}

func TestExportsThatCannotBeRead(t *testing.T) {
	t.Run("no recovery", func(t *testing.T) {
		r, _ := exporting(t, dynamofake.Options{})
		r.fails(r.run(nil), "run: aws dynamodb update-continuous-backups --region us-east-1 --table-name sessions --point-in-time-recovery-specification PointInTimeRecoveryEnabled=true")
	})
	for name, harm := range map[string]func(path string, b []byte) []byte{
		"a manifest that was changed": func(path string, b []byte) []byte {
			if strings.HasSuffix(path, "manifest-files.json") {
				return append(b, ' ')
			}
			return b
		},
		"a file that was changed": func(path string, b []byte) []byte {
			if strings.HasSuffix(path, ".json.gz") {
				b[len(b)-1] ^= 1
			}
			return b
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, dir := exporting(t, dynamofake.Options{ExportDelay: time.Minute})
			r.recovery()
			r.put("a", 0)
			r.clock.Advance(time.Minute)
			s := r.run(nil)
			r.await(s, "the request", func() bool { return strings.Contains(string(s.loads.Cursor), `"arn"`) })
			// The export ends, and before anybody reads it something has gone wrong with it.
			_, err := r.db.db.ListTables(t.Context(), &dynamodb.ListTablesInput{})
			r.ok(err)
			r.end(s)
			r.clock.Advance(2 * time.Minute)
			_, err = r.db.db.ListTables(t.Context(), &dynamodb.ListTablesInput{})
			r.ok(err)
			r.ok(filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				b, err := os.ReadFile(path)
				if err == nil && len(b) > 0 {
					err = os.WriteFile(path, harm(path, b), 0o600)
				}
				return err
			}))
			r.fails(r.run(nil), "checksum")
		})
	}
}
