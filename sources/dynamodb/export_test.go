package dynamodb

import (
	"crypto/md5" //nolint:gosec // as the format has it
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tidemill/tidemill/ingest"
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
	var list []byte // of files, after it was changed
	recount := func(edit func(list string) string) func(string, []byte) []byte {
		return func(path string, b []byte) []byte {
			switch {
			case strings.HasSuffix(path, "manifest-files.json"):
				list = []byte(edit(string(b)))
				return list
			case strings.HasSuffix(path, "manifest-files.md5"):
				sum := md5.Sum(list) //nolint:gosec // the export format's checksum
				return []byte(base64.StdEncoding.EncodeToString(sum[:]))
			}
			return b
		}
	}
	counts := regexp.MustCompile(`"itemCount":\s*(\d+)`)
	for name, harm := range map[string]func(path string, b []byte) []byte{
		"a list of files that was cut": recount(func(s string) string { return s[:strings.Index(s, "\n")+1] }),
		"a file of another count": recount(func(s string) string {
			n := 0
			return counts.ReplaceAllStringFunc(s, func(m string) string {
				v, _ := strconv.Atoi(counts.FindStringSubmatch(m)[1])
				n++
				return fmt.Sprintf(`"itemCount":%d`, v+map[int]int{1: 1, 2: -1}[n])
			})
		}),
		"a file that was deleted": func(path string, b []byte) []byte {
			if strings.HasSuffix(path, ".json.gz") {
				return nil
			}
			return b
		},
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
			r, dir := exporting(t, dynamofake.Options{ExportDelay: time.Minute, Shards: 2})
			r.recovery()
			for i := range 20 {
				r.put(fmt.Sprint("a", i), 0)
			}
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
				if err != nil || len(b) == 0 {
					return err
				}
				if b = harm(path, b); b == nil {
					return os.Remove(path)
				}
				return os.WriteFile(path, b, 0o600)
			}))
			want := "checksum"
			for word, says := range map[string]string{"deleted": "is not in bucket lake any more", "list of files": "its manifest says 20", "another count": "the list of files says"} {
				if strings.Contains(name, word) {
					want = says
				}
			}
			s = r.run(nil)
			r.fails(s, want)
			r.fails(s, "run: tidemill resync s.dynamodb.sessions")
		})
	}
}

// An import that is gone on with when the request's token counts for nothing any more reads the export that it has begun, and no other.
func TestAnImportOutlastsItsToken(t *testing.T) {
	r, _ := exporting(t, dynamofake.Options{Shards: 2})
	r.recovery()
	for i := range 5000 {
		r.put(fmt.Sprintf("i-%05d", i), 0)
	}
	r.clock.Advance(2 * time.Minute)
	s := r.run(func(call string, _ int) bool {
		return call == "Tick" && strings.Contains(r.loadCursor(), `"lines":2000`)
	})
	r.fails(s, errKilled.Error())
	for i := 0; i < 5000; i += 10 {
		r.delete(fmt.Sprintf("i-%05d", i))
	}
	r.clock.Advance(9 * time.Hour)
	s = r.run(nil)
	r.imported(s)
	r.put("last", 0)
	r.caughtUp(s)
	r.end(s)
	r.equal()
	if n := r.srv.Calls("ExportTableToPointInTime"); n != 1 {
		t.Errorf("%d exports were asked for", n)
	}
}

// loadCursor is the cursor of the load in the checkpoint that counts.
func (r *rig) loadCursor() string {
	points, err := ingest.Checkpoints(r.t.Context(), r.log.Config())
	if err != nil {
		return err.Error()
	}
	for _, l := range points["s"].Loads {
		return string(l.Cursor)
	}
	return ""
}

// Killed in the middle of a round and down for longer than the stream's memory: the durable half of the round cannot be completed. With
// exports the source says that it may be loaded anew, and that makes it whole, deletes too.
func TestB7Row07KilledInARoundAndDown(t *testing.T) {
	r, _ := exporting(t, dynamofake.Options{RotateEvery: 4 * time.Hour})
	r.recovery()
	for i := range 20 {
		r.put(fmt.Sprintf("item-%02d", i), 0)
	}
	r.clock.Advance(2 * time.Minute)
	s := r.run(nil)
	r.imported(s)
	r.end(s)
	r.put("item-00", 1)
	r.put("item-01", 1)
	r.fails(r.run(func(call string, _ int) bool { return call == "after Begin" }), errKilled.Error())
	r.clock.Advance(26 * time.Hour)
	r.delete("item-19")
	r.put("item-02", 2)
	r.clock.Advance(2 * time.Minute)
	s = r.run(nil)
	r.fails(s, "DATA LOSS")
	var own interface{ LoadAnew() bool }
	if !errors.As(s.err, &own) || !own.LoadAnew() {
		t.Fatalf("it is not loaded anew: %v", s.err)
	}
	r.ask("") // what the daemon does then
	s = r.run(nil)
	r.imported(s)
	r.put("item-03", 3)
	r.caughtUp(s)
	r.end(s)
	rows, _ := r.content()
	got := replica(rows)
	for id, v := range map[string]string{"item-00|": "1", "item-02|": "2", "item-03|": "3"} {
		if got[id]["v"] != v {
			t.Errorf("%s is %v, want version %s", id, got[id], v)
		}
	}
}

// down makes a table of 50 items, loads it, and changes five of them in an outage that is longer than the stream's memory.
func (r *rig) down() {
	r.t.Helper()
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
	for h := range 5 {
		r.clock.Advance(6 * time.Hour)
		r.put(fmt.Sprintf("item-%02d", h), 2)
	}
}

// A resync beside a repair loads the whole table: increments hold what has changed, and nothing else.
func TestAResyncWhileARepairIsUnderWay(t *testing.T) {
	r, _ := exporting(t, dynamofake.Options{RotateEvery: 4 * time.Hour})
	r.recovery()
	r.down()
	n := 0
	s := r.run(func(call string, _ int) bool {
		if call == "Load" {
			n++
		}
		return n == 2 && call == "after Load"
	})
	r.fails(s, errKilled.Error())
	before, _ := r.content()
	_, epoch := since(before, 0)
	r.ask("dynamodb." + table)
	s = r.run(nil)
	<-s.done // it is told to begin anew
	s = r.run(nil)
	r.imported(s)
	r.caughtUp(s)
	r.end(s)
	rows, _ := r.content()
	rows, _ = since(rows, epoch)
	if got := replica(rows); len(got) != 50 {
		t.Errorf("the new generation holds %d items of 50", len(got))
	}
}

// A repair that no export can make is said once, with what helps.
func TestARepairThatCannotBeMade(t *testing.T) {
	r, _ := exporting(t, dynamofake.Options{RotateEvery: 4 * time.Hour})
	r.recovery()
	r.down()
	with := r.config.Export
	_, err := r.db.db.UpdateContinuousBackups(t.Context(), &dynamodb.UpdateContinuousBackupsInput{
		TableName: aws.String(table), PointInTimeRecoverySpecification: &types.PointInTimeRecoverySpecification{PointInTimeRecoveryEnabled: aws.Bool(false)},
	})
	r.ok(err)
	r.recovery() // from now on: what was before cannot be exported
	s := r.run(nil)
	s.loads.Cursor = []byte("{}")
	r.fails(s, "point-in-time recovery does not reach back to")
	r.fails(s, "run: tidemill resync s.dynamodb.sessions")
	r.config.Export = Export{}
	r.fails(r.run(nil), "export is not set any more")
	r.config.Export = with
	r.ask("dynamodb." + table)
	s = r.run(nil)
	<-s.done
	s = r.run(nil)
	r.imported(s)
	r.caughtUp(s)
	r.end(s)
	if !s.loads.Done {
		t.Error("the resync has not loaded the table")
	}
}
