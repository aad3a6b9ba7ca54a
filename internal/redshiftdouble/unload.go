package redshiftdouble

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/jackc/pgx/v5/pgconn"
)

// unloadAction runs an UNLOAD. Its objects stay whatever becomes of the transaction.
func (s *session) unloadAction(u *unloadCommand) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		started := time.Now()
		bucket, prefix, err := location(u.to)
		if err != nil {
			return "", err
		}
		if err := s.makeRoom(ctx, u, bucket, prefix); err != nil {
			return "", err
		}
		out := &unload{session: s, command: u, bucket: bucket, prefix: prefix, parts: map[string]*unloadPart{}}
		if err := out.run(ctx); err != nil {
			return "", err
		}
		if err := out.upload(ctx); err != nil {
			return "", err
		}
		s.lastUnload = out.rows
		s.notice("INFO", "00000", "UNLOAD completed, %d record(s) unloaded successfully.", out.rows)
		return "UNLOAD", out.record(ctx, started)
	}
}

// makeRoom refuses a place that holds objects, unless they may be overwritten or are to be removed.
func (s *session) makeRoom(ctx context.Context, u *unloadCommand, bucket, prefix string) error {
	if u.overwrite {
		return nil
	}
	pages := s3.NewListObjectsV2Paginator(s.server.s3, &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return unloadError(err)
		}
		for _, o := range page.Contents {
			if !u.clean {
				return refuse("XX000", "Specified unload destination on S3 is not empty. Consider using a different bucket / prefix, manually removing the target files in S3, or using the ALLOWOVERWRITE option.")
			}
			if _, err := s.server.s3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &bucket, Key: o.Key}); err != nil {
				return unloadError(err)
			}
		}
	}
	return nil
}

func unloadError(err error) error {
	if statusOf(err) == 0 {
		return err
	}
	return refuse("XX000", "S3ServiceException: Status %d: %v", statusOf(err), err)
}

// unload is one that runs.
type unload struct {
	session *session
	command *unloadCommand
	bucket  string
	prefix  string
	columns []unloadColumn
	kept    []int // columns in the files
	folders []int // columns in the folders' names
	parts   map[string]*unloadPart
	order   []string
	rows    int64
	files   []manifestEntry
	bytes   int64
}

// unloadPart is a file: of one folder and one slice.
type unloadPart struct {
	key  string
	file *parquetFile
}

func (o *unload) run(ctx context.Context) error {
	s := o.session
	digits, err := s.value(ctx, "SHOW extra_float_digits")
	if err != nil {
		return err
	}
	// Files hold floats as they are; only text to the client is rounded.
	if err := s.silently(ctx, "SET LOCAL extra_float_digits TO 3"); err != nil {
		return err
	}
	d, err := s.backend.Prepare(ctx, fmt.Sprintf("u%d", s.query), o.command.query, nil)
	if err != nil {
		return err
	}
	if err := o.describe(ctx, d.Fields); err != nil {
		return err
	}
	r := s.backend.ExecPrepared(ctx, d.Name, nil, nil, nil)
	for r.NextRow() {
		if err := o.row(r.Values()); err != nil {
			_, _ = r.Close() // the row's error says more
			return err
		}
	}
	if _, err := r.Close(); err != nil {
		return err
	}
	if err := s.backend.Deallocate(ctx, d.Name); err != nil {
		return err
	}
	return s.silently(ctx, "SET LOCAL extra_float_digits TO "+digits)
}

// describe finds the columns' types and which of them name folders.
func (o *unload) describe(ctx context.Context, fields []pgconn.FieldDescription) error {
	s := o.session
	var loose []int
	for i, f := range fields {
		c, err := s.unloadColumn(f)
		if err != nil {
			return err
		}
		if c.kind.name == "numeric" && c.kind.precision == 0 {
			loose = append(loose, i)
		}
		if slices.ContainsFunc(o.columns, func(x unloadColumn) bool { return x.name == c.name }) {
			return refuse("42701", "column name %q specified more than once", c.name)
		}
		o.columns = append(o.columns, c)
	}
	if err := o.scales(ctx, fields, loose); err != nil {
		return err
	}
	for _, name := range o.command.partition {
		i := slices.IndexFunc(o.columns, func(c unloadColumn) bool { return c.name == name })
		if i < 0 {
			return refuse("42703", "PARTITION BY column %q is not in the select list", name)
		}
		if !o.columns[i].partitions() {
			return refuse("0A000", "PARTITION BY column %q has the unsupported type %s", name, o.columns[i].kind)
		}
		o.folders = append(o.folders, i)
	}
	for i := range o.columns {
		if o.command.include || !slices.Contains(o.folders, i) {
			o.kept = append(o.kept, i)
		}
	}
	if len(o.folders) == len(o.columns) {
		return refuse("0A000", "UNLOAD needs at least one column that is not in PARTITION BY")
	}
	return nil
}

// scales measures numbers whose type PostgreSQL does not know, as those of sums.
func (o *unload) scales(ctx context.Context, fields []pgconn.FieldDescription, loose []int) error {
	if len(loose) == 0 {
		return nil
	}
	var parts []string
	for _, i := range loose {
		parts = append(parts, fmt.Sprintf("coalesce(max(scale(%s)), 0)", quote(fields[i].Name)))
	}
	rows, err := o.session.values(ctx, fmt.Sprintf("SELECT %s FROM (%s) q", strings.Join(parts, ", "), o.command.query))
	if err != nil {
		return err
	}
	for n, i := range loose {
		c := &o.columns[i]
		c.kind.precision = 38
		if _, err := fmt.Sscan(rows[0][n], &c.kind.scale); err != nil {
			return err
		}
	}
	return nil
}

// row goes to the file of its folder and of the next slice.
func (o *unload) row(values [][]byte) error {
	folder := ""
	for _, i := range o.folders {
		v := "__HIVE_DEFAULT_PARTITION__"
		if values[i] != nil {
			v = url.PathEscape(o.columns[i].folder(string(values[i])))
		}
		folder += o.columns[i].name + "=" + v + "/"
	}
	slice := int(o.rows) % o.session.server.config.Slices
	if o.command.serial {
		slice = 0
	}
	id := fmt.Sprintf("%s|%d", folder, slice)
	part := o.parts[id]
	if part == nil {
		part = &unloadPart{key: o.key(folder, slice), file: newParquetFile(o.columns, o.kept)}
		o.parts[id] = part
		o.order = append(o.order, id)
	}
	o.rows++
	return part.file.add(values)
}

func (o *unload) key(folder string, slice int) string {
	ext := ".parquet"
	if o.command.extension != "" {
		ext = "." + strings.TrimPrefix(o.command.extension, ".")
	}
	if o.command.serial {
		return fmt.Sprintf("%s%s000%s", o.prefix, folder, ext)
	}
	return fmt.Sprintf("%s%s%04d_part_00%s", o.prefix, folder, slice, ext)
}

// upload writes the files, then the manifest; without rows there is neither.
func (o *unload) upload(ctx context.Context) error {
	for _, id := range o.order {
		part := o.parts[id]
		b, err := part.file.close()
		if err != nil {
			return err
		}
		if err := o.put(ctx, part.key, b); err != nil {
			return err
		}
		size, rows := int64(len(b)), part.file.rows
		o.bytes += size
		o.files = append(o.files, manifestEntry{URL: "s3://" + o.bucket + "/" + part.key, Meta: &manifestMeta{ContentLength: &size, RecordCount: &rows}})
	}
	if !o.command.manifest || len(o.files) == 0 {
		return nil
	}
	m := manifest{Entries: o.files}
	if o.command.verbose {
		o.describeIn(&m)
	}
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return o.put(ctx, o.prefix+"manifest", b)
}

// describeIn adds what VERBOSE wants.
func (o *unload) describeIn(m *manifest) {
	type element struct {
		Name string            `json:"name"`
		Type map[string]string `json:"type"`
	}
	var elements []element
	for _, i := range o.kept {
		elements = append(elements, element{o.columns[i].name, map[string]string{"base": o.columns[i].kind.String()}})
	}
	m.Schema = map[string]any{"elements": elements}
	m.Meta = map[string]int64{"content_length": o.bytes, "record_count": o.rows}
	m.Author = map[string]string{"name": "Amazon Redshift", "version": "1.0.0"}
}

func (o *unload) put(ctx context.Context, key string, b []byte) error {
	_, err := o.session.server.s3.PutObject(ctx, &s3.PutObjectInput{Bucket: &o.bucket, Key: aws.String(key), Body: bytes.NewReader(b)})
	if err != nil {
		return unloadError(err)
	}
	return nil
}

func (o *unload) record(ctx context.Context, started time.Time) error {
	s := o.session
	return s.server.admin.exec(context.WithoutCancel(ctx), `INSERT INTO rs.sys_unload_history VALUES (100, $1, $1::bigint + 1000, $2, $3, 'completed',
		to_timestamp($4) AT TIME ZONE 'UTC', clock_timestamp() AT TIME ZONE 'UTC', $5, 'parquet', 'snappy', $6, $7, $8, $9, '')`,
		fmt.Sprint(s.query), fmt.Sprint(s.pid), s.server.config.Database, fmt.Sprint(float64(started.UnixMicro())/1e6),
		fmt.Sprint(time.Since(started).Microseconds()), o.command.to, fmt.Sprint(o.rows), fmt.Sprint(len(o.files)), fmt.Sprint(o.bytes))
}
