package duckdb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/elt"
	"github.com/tidemill/tidemill/internal/duck"
)

// folderOfJobs is the one folder that SQL of the database may touch (invariant 2): rows of jobs lie there while they go out
// to Parquet and in again. What a kill has left is removed when the file is opened.
func folderOfJobs(path string) (string, error) {
	abs, err := filepath.Abs(path)
	return abs + ".jobs", err
}

// sweepJobs removes what killed processes have left. Whoever holds the database calls it before any job runs.
func sweepJobs(path string) error {
	folder, err := folderOfJobs(path)
	if err != nil {
		return err
	}
	left, err := os.ReadDir(folder)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for _, f := range left {
		if filepath.Ext(f.Name()) == ".parquet" {
			err = errors.Join(err, os.Remove(filepath.Join(folder, f.Name())))
		}
	}
	return err
}

// exact are the types whose every value Parquet gives back as it was.
var exact = regexp.MustCompile(`^(BOOLEAN|U?(TINYINT|SMALLINT|INTEGER|BIGINT)|FLOAT|DOUBLE|DECIMAL\(\d+,\d+\)|VARCHAR|BLOB|DATE|TIME|TIMESTAMP|TIMESTAMP WITH TIME ZONE|UUID|JSON)$`)

// asText are those that it would round, and whose text is exact: HUGEINT, the type of a sum, would become a DOUBLE.
var asText = regexp.MustCompile(`^(U?HUGEINT|INTERVAL|TIME WITH TIME ZONE|TIMESTAMP_(S|MS|NS)|ENUM\(.*\))$`)

// throughParquet stages the rows of a SELECT through a Parquet file. Both halves see the transaction's snapshot.
func (j *jobSession) throughParquet(ctx context.Context, table, query string) (n int64, err error) {
	if _, err := j.conn.Exec(ctx, "CREATE TEMPORARY TABLE "+table+" AS SELECT * FROM (\n"+query+"\n) q LIMIT 0"); err != nil {
		return 0, withhold(err)
	}
	columns, err := j.Columns(ctx, table)
	if err != nil {
		return 0, err
	}
	var names, out, in []string
	for i, c := range columns {
		name := fmt.Sprintf("c%d", i+1) // two columns of a result may have one name
		names = append(names, name)
		switch {
		case exact.MatchString(c.Type):
			out, in = append(out, name), append(in, name)
		case asText.MatchString(c.Type):
			out, in = append(out, "CAST("+name+" AS VARCHAR) AS "+name), append(in, "CAST("+name+" AS "+c.Type+")")
		default:
			return 0, &elt.Error{Class: elt.BadSQL, Hint: "CAST it in the SELECT, or write output.via: insert", Err: fmt.Errorf("the column %s is %s, which Parquet does not keep as it is", c.Name, c.Type)}
		}
	}
	folder, err := folderOfJobs(j.sink.path)
	if err != nil {
		return 0, err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return 0, err
	}
	file := filepath.Join(folder, uuid.NewString()+".parquet")
	defer func() {
		if rerr := os.Remove(file); !errors.Is(rerr, os.ErrNotExist) {
			err = errors.Join(err, rerr)
		}
	}()
	wrote, err := j.conn.Exec(ctx, "COPY (SELECT "+strings.Join(out, ", ")+" FROM (\n"+query+"\n) q("+strings.Join(names, ", ")+")) TO "+duck.Literal(file)+" (FORMAT parquet)")
	if err != nil {
		return 0, withhold(err)
	}
	n, err = j.conn.Exec(ctx, "INSERT INTO "+table+" SELECT "+strings.Join(in, ", ")+" FROM read_parquet("+duck.Literal(file)+")")
	if err == nil && n != wrote {
		err = &elt.Error{Class: elt.Transient, Err: fmt.Errorf("%d rows went out to Parquet, %d came in", wrote, n)}
	}
	return n, err
}
