package dynamodb

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/md5" //nolint:gosec // the export format's checksum
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/sources/dynamodb/item"
)

// piece is one export in the cursor of a load: a full one, or an increment, and how much of it is in the log.
type piece struct {
	From  int64  `json:"from,omitempty"` // seconds since 1970; none: a full export
	To    int64  `json:"to,omitempty"`
	Token string `json:"token"` // names the request: asked again within eight hours it is the same export
	ARN   string `json:"arn,omitempty"`
	Files int    `json:"files,omitempty"` // read to their end
	Lines int    `json:"lines,omitempty"` // of the file after them
	Done  bool   `json:"done,omitempty"`
}

// Bounds of an increment. What is left at the end may be short, so it is taken together with the one before.
const (
	longestIncrement  = 24 * time.Hour
	shortestIncrement = 15 * time.Minute
)

// increments cuts a time into increments.
func increments(name string, from, to time.Time) []piece {
	if short := to.Add(-shortestIncrement); from.After(short) {
		from = short
	}
	var out []piece
	for from.Before(to) {
		end := from.Add(longestIncrement)
		if rest := to.Sub(end); rest < 0 {
			end = to
		} else if rest > 0 && rest < shortestIncrement {
			end = end.Add(-shortestIncrement)
		}
		out = append(out, piece{From: from.Unix(), To: end.Unix(), Token: token(name, from.Unix(), end.Unix())})
		from = end
	}
	return out
}

// token is the same for the same request.
func token(name string, from, to int64) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "tidemill %s %d %d", name, from, to))
	return hex.EncodeToString(sum[:16])
}

// change is an item as a load brings it: its image, or its key when it is gone.
type change struct{ key, image []byte }

// lines is how much of a file is a chunk.
const lines = 2000

// imports reads the exports of the load, one after the other: a later increment is younger.
func (l *loader) imports(ctx context.Context) error {
	for i := range l.cursor.Pieces {
		if p := l.cursor.Pieces[i]; !p.Done {
			if err := l.piece(ctx, i, p); err != nil || ctx.Err() != nil {
				return err
			}
		}
	}
	return nil
}

// piece asks for an export, waits for it and reads it.
func (l *loader) piece(ctx context.Context, i int, p piece) error {
	if p.ARN == "" { // asked for once: eight hours later the same token makes another export, whose files hold other items
		if err := l.hand(ctx, i, p, nil); err != nil || ctx.Err() != nil { // the token is durable before it is used
			return err
		}
		d, err := l.stream.client.export(ctx, p)
		if err != nil {
			return err
		}
		p.ARN = aws.ToString(d.ExportArn)
		if err := l.hand(ctx, i, p, nil); err != nil || ctx.Err() != nil {
			return err
		}
	}
	d, err := l.exported(ctx, p.ARN)
	if err != nil || ctx.Err() != nil {
		return err
	}
	files, err := l.stream.client.manifest(ctx, d)
	if err != nil {
		return err
	}
	for p.Files < len(files) {
		err := l.stream.client.file(ctx, files[p.Files], p.Lines, func(batch []change) error {
			p.Lines += len(batch)
			return l.hand(ctx, i, p, batch)
		})
		if err != nil || ctx.Err() != nil {
			return err
		}
		p.Files, p.Lines = p.Files+1, 0
		if err := l.hand(ctx, i, p, nil); err != nil || ctx.Err() != nil { // whoever resumes need not fetch it again
			return err
		}
	}
	p.Done = true
	return l.hand(ctx, i, p, nil)
}

// hand gives the stream a chunk with the place behind it.
func (l *loader) hand(ctx context.Context, i int, p piece, batch []change) error {
	c := &chunk{changes: batch, piece: i, place: p, exported: true, taken: make(chan struct{})}
	select {
	case l.stream.chunks <- c:
	case <-ctx.Done():
		return nil
	}
	select {
	case <-c.taken:
	case <-ctx.Done():
	}
	return nil
}

// exported waits until an export has ended.
func (l *loader) exported(ctx context.Context, arn string) (*types.ExportDescription, error) {
	c := l.stream.client
	for {
		out, err := c.db.DescribeExport(ctx, &dynamodb.DescribeExportInput{ExportArn: &arn})
		err = c.config.failure("dynamodb:DescribeExport", "waiting for the export", err)
		switch cause := causeOf(err); {
		case ctx.Err() != nil:
			return nil, nil
		case cause == Throttled || cause == Unreachable || cause == Failed:
		case err != nil:
			return nil, err
		case out.ExportDescription == nil:
			return nil, c.stranger("waiting for the export")
		case out.ExportDescription.ExportStatus == types.ExportStatusCompleted:
			return out.ExportDescription, nil
		case out.ExportDescription.ExportStatus == types.ExportStatusFailed:
			return nil, c.failedExport(out.ExportDescription)
		}
		select {
		case <-time.After(l.stream.src.pace.list):
		case <-ctx.Done():
			return nil, nil
		}
	}
}

// failedExport says why AWS could not make an export. Its message is about the bucket, never about an item.
func (c *client) failedExport(d *types.ExportDescription) error {
	code, remedy := aws.ToString(d.FailureCode), "allow the role to write to the bucket (s3:PutObject, s3:PutObjectAcl, s3:AbortMultipartUpload)"
	if strings.Contains(code, "NoSuchBucket") {
		remedy = "make the bucket " + c.config.Export.Bucket + ", or correct export.bucket in the source's file"
	}
	return &Error{Cause: Refused, Table: c.config.Table, What: strings.TrimSuffix("the export failed with "+code+": "+aws.ToString(d.FailureMessage), ": "),
		Remedy: remedy + ", then run: " + ingest.ResyncCommand(c.source+"."+tableSchema+"."+c.config.Table)}
}

// export asks for an export.
func (c *client) export(ctx context.Context, p piece) (*types.ExportDescription, error) {
	e := c.config.Export
	in := &dynamodb.ExportTableToPointInTimeInput{TableArn: &c.tableARN, S3Bucket: &e.Bucket, ClientToken: &p.Token, ExportFormat: types.ExportFormatDynamodbJson, ExportType: types.ExportTypeFullExport}
	if e.Prefix != "" {
		in.S3Prefix = &e.Prefix
	}
	if p.From != 0 {
		in.ExportType = types.ExportTypeIncrementalExport
		in.IncrementalExportSpecification = &types.IncrementalExportSpecification{ExportFromTime: aws.Time(time.Unix(p.From, 0)), ExportToTime: aws.Time(time.Unix(p.To, 0)), ExportViewType: types.ExportViewTypeNewImage}
	}
	out, err := c.db.ExportTableToPointInTime(ctx, in)
	if _, off := errors.AsType[*types.PointInTimeRecoveryUnavailableException](err); off {
		return nil, &Error{Cause: Refused, Table: c.config.Table, What: "exports need point-in-time recovery, which is off",
			Remedy: "run: aws dynamodb update-continuous-backups" + c.config.cli() + " --point-in-time-recovery-specification PointInTimeRecoveryEnabled=true"}
	}
	if _, early := errors.AsType[*types.InvalidExportTimeException](err); early {
		return nil, &Error{Cause: Lost, Table: c.config.Table, What: "DATA LOSS: what the stream has lost cannot be mended: point-in-time recovery does not reach back to " + time.Unix(p.From, 0).UTC().Format(time.RFC3339),
			Remedy: "to load the table anew, run: " + ingest.ResyncCommand(c.source+"."+tableSchema+"."+c.config.Table)}
	}
	if err != nil {
		return nil, c.config.failure("dynamodb:ExportTableToPointInTime (and s3:PutObject on the bucket)", "asking for an export", err)
	}
	if out.ExportDescription == nil {
		return nil, c.stranger("asking for an export")
	}
	return out.ExportDescription, nil
}

// dataFile is one entry of an export's list of files.
type dataFile struct {
	Items int    `json:"itemCount"`
	MD5   string `json:"md5Checksum"`
	Key   string `json:"dataFileS3Key"`
}

// manifest reads an export's list of files, and holds it against its checksum and the number of items.
func (c *client) manifest(ctx context.Context, d *types.ExportDescription) ([]dataFile, error) {
	text, err := c.checked(ctx, aws.ToString(d.ExportManifest))
	if err != nil {
		return nil, err
	}
	var summary struct {
		Files string `json:"manifestFilesS3Key"`
		Items int64  `json:"itemCount"`
	}
	if err := json.Unmarshal(text, &summary); err != nil {
		return nil, c.broken("its manifest does not parse")
	}
	if text, err = c.checked(ctx, summary.Files); err != nil {
		return nil, err
	}
	var files []dataFile
	items := int64(0)
	for line := range bytesLines(text) {
		var f dataFile
		if err := json.Unmarshal(line, &f); err != nil {
			return nil, c.broken("its list of files does not parse")
		}
		files = append(files, f)
		items += int64(f.Items)
	}
	if items != summary.Items {
		return nil, c.broken(fmt.Sprintf("its files hold %d items, its manifest says %d", items, summary.Items))
	}
	return files, nil
}

// checked reads a manifest and holds it against the checksum beside it.
func (c *client) checked(ctx context.Context, key string) ([]byte, error) {
	text, err := c.object(ctx, key)
	if err != nil {
		return nil, err
	}
	sum, err := c.object(ctx, key[:len(key)-len("json")]+"md5")
	if err != nil {
		return nil, err
	}
	if got := md5.Sum(text); base64.StdEncoding.EncodeToString(got[:]) != string(sum) { //nolint:gosec // as above
		return nil, c.broken("the checksum of its manifest is wrong")
	}
	return text, nil
}

func (c *client) broken(what string) error {
	return &Error{Cause: Lost, Table: c.config.Table, What: "the export cannot be read: " + what, Remedy: "run: " + ingest.ResyncCommand(c.source+"."+tableSchema+"."+c.config.Table)}
}

func (c *client) get(ctx context.Context, key string) (io.ReadCloser, error) {
	out, err := c.objects.GetObject(ctx, &s3.GetObjectInput{Bucket: &c.config.Export.Bucket, Key: &key})
	var absent *s3types.NoSuchKey
	var api smithy.APIError
	switch {
	case errors.As(err, &absent), errors.As(err, &api) && api.ErrorCode() == "NotFound":
		return nil, c.broken(key + " is not in bucket " + c.config.Export.Bucket + " any more; a lifecycle rule must leave it there until the import is done")
	case errors.As(err, &api) && (api.ErrorCode() == "PermanentRedirect" || api.ErrorCode() == "AuthorizationHeaderMalformed"):
		return nil, &Error{Cause: Refused, Table: c.config.Table, What: "bucket " + c.config.Export.Bucket + " is not in the source's region", Remedy: "set export.bucket to one of the same region"}
	case err != nil:
		return nil, c.config.failure("s3:GetObject on the bucket", "reading the export", err)
	}
	return out.Body, nil
}

func (c *client) object(ctx context.Context, key string) ([]byte, error) {
	body, err := c.get(ctx, key)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	text, err := io.ReadAll(io.LimitReader(body, 256<<20))
	if err != nil {
		return nil, c.config.failure("s3:GetObject on the bucket", "reading the export", err)
	}
	return text, nil
}

// file reads a data file from a line on. It is fetched and held against its checksum before the first line counts.
func (c *client) file(ctx context.Context, f dataFile, skip int, emit func([]change) error) (err error) {
	local, err := os.CreateTemp("", "export-*")
	if err != nil {
		return fmt.Errorf("fetching a file of the export: %w", err)
	}
	defer func() { err = errors.Join(err, local.Close(), os.Remove(local.Name())) }()
	body, err := c.get(ctx, f.Key)
	if err != nil {
		return err
	}
	defer body.Close()
	sum := md5.New() //nolint:gosec // as above
	if _, err := io.Copy(io.MultiWriter(local, sum), body); err != nil {
		return c.config.failure("s3:GetObject on the bucket", "reading the export", err)
	}
	if base64.StdEncoding.EncodeToString(sum.Sum(nil)) != f.MD5 {
		return c.broken("the checksum of " + f.Key + " is wrong")
	}
	if _, err := local.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("reading a file of the export: %w", err)
	}
	z, err := gzip.NewReader(local)
	if err != nil {
		return c.broken(f.Key + " is not compressed by gzip")
	}
	return c.changes(ctx, f, z, skip, emit)
}

func (c *client) changes(ctx context.Context, f dataFile, from io.Reader, skip int, emit func([]change) error) error {
	in := bufio.NewScanner(from)
	in.Buffer(nil, 8<<20) // an item has 400 KB, in JSON a few times that
	n, batch := 0, []change(nil)
	for in.Scan() && ctx.Err() == nil {
		if n++; n <= skip {
			continue
		}
		key, image, _, err := item.Exported(append([]byte(nil), in.Bytes()...))
		if err != nil {
			return c.broken(fmt.Sprintf("line %d of %s does not parse", n, f.Key))
		}
		if batch = append(batch, change{key, image}); len(batch) == lines {
			if err := emit(batch); err != nil {
				return err
			}
			batch = nil
		}
	}
	if in.Err() != nil || ctx.Err() == nil && n != f.Items {
		return c.broken(fmt.Sprintf("%s holds %d items, the list of files says %d", f.Key, n, f.Items))
	}
	if len(batch) == 0 {
		return nil
	}
	return emit(batch)
}

// bytesLines are the lines of a text that are not empty.
func bytesLines(text []byte) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for from := 0; from < len(text); {
			to := from
			for to < len(text) && text[to] != '\n' {
				to++
			}
			if to > from && !yield(text[from:to]) {
				return
			}
			from = to + 1
		}
	}
}
