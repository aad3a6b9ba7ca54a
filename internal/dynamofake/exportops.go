package dynamofake

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"time"
)

var bucketName = regexp.MustCompile(`^[a-z0-9A-Z][.\-\w]{1,61}[a-z0-9A-Z]$`)

const (
	shortestIncrement = 15 * time.Minute
	longestIncrement  = 24 * time.Hour
	exportTokenLife   = 8 * time.Hour
)

func (s *Server) exportTable(c *call, in *exportInput) (answer, *apiError) {
	t, err := s.table(in.TableArn)
	if err != nil {
		return nil, refuse(modelled+"TableNotFoundException", "Table not found: %s", in.TableArn)
	}
	if s.opts.Exports == nil {
		return nil, notImplemented("exports without a destination: set Options.Exports")
	}
	if t.recovery.IsZero() {
		return nil, refuse(modelled+"PointInTimeRecoveryUnavailableException", "Point in time recovery is not enabled for table '%s'", t.name)
	}
	if known, err := s.sameExport(c, t, in); known != nil || err != nil {
		return known, err
	}
	x := &export{table: t, in: in, started: c.now, due: c.now.Add(s.opts.ExportDelay), token: in.ClientToken, status: "IN_PROGRESS"}
	if err := x.check(c.now); err != nil {
		return nil, err
	}
	x.id = fmt.Sprintf("%014d-%08x", c.now.UnixMilli(), uint32(s.rng.Uint64()))
	x.arn = t.arn + "/export/" + x.id
	x.lines = make([][][]byte, s.opts.Shards)
	if x.incremental() {
		x.changes(encoder{s.rng}, s.opts.ExportFuzz)
	} else {
		x.full(encoder{s.rng}, s.opts.ExportFuzz)
	}
	if err := s.opts.Exports.Put(in.S3Bucket, x.folder()+x.id+"/_started", nil); err != nil {
		x.status, x.failure = "FAILED", err.Error()
	}
	s.exports = append(s.exports, x)
	return reply(map[string]any{"ExportDescription": x.description(c.now)})
}

// sameExport answers a repeated request by the export it has begun.
func (s *Server) sameExport(c *call, t *table, in *exportInput) (answer, *apiError) {
	if in.ClientToken == "" {
		return nil, nil
	}
	for _, x := range s.exports {
		if x.token != in.ClientToken || x.table != t || c.now.Sub(x.started) >= exportTokenLife {
			continue
		}
		if exportText(x.in) != exportText(in) {
			return nil, refuse(modelled+"ExportConflictException", "There was a conflict when exporting the table: the token was used with other parameters")
		}
		return reply(map[string]any{"ExportDescription": x.description(c.now)})
	}
	return nil, nil
}

// exportText is the request as text, pointers followed.
func exportText(in *exportInput) string {
	flat := *in
	flat.IncrementalExportSpecification, flat.ExportTime = nil, nil
	return fmt.Sprintf("%+v %v %v", flat, pointed(in.ExportTime), spanOf(in.IncrementalExportSpecification))
}

func pointed(f *float64) float64 {
	if f == nil {
		return math.NaN()
	}
	return *f
}

func spanOf(i *incrementalSpecification) string {
	if i == nil {
		return ""
	}
	return fmt.Sprint(pointed(i.ExportFromTime), pointed(i.ExportToTime), i.ExportViewType)
}

// check validates the request and fills the export's times.
func (x *export) check(now time.Time) *apiError {
	in := x.in
	switch {
	case !bucketName.MatchString(in.S3Bucket):
		return validation("1 validation error detected: Value '%s' at 's3Bucket' failed to satisfy constraint: Member must satisfy regular expression pattern", in.S3Bucket)
	case in.ExportFormat == "ION":
		return notImplemented("exports in ION")
	case in.S3SseAlgorithm == "KMS":
		return notImplemented("exports encrypted by KMS")
	}
	if err := oneOf("exportFormat", in.ExportFormat, "DYNAMODB_JSON", "ION"); err != nil {
		return err
	}
	if err := oneOf("exportType", in.ExportType, "FULL_EXPORT", "INCREMENTAL_EXPORT"); err != nil {
		return err
	}
	if x.incremental() {
		return x.checkIncrement(now)
	}
	if in.IncrementalExportSpecification != nil {
		return validation("IncrementalExportSpecification must not be given for a full export")
	}
	x.at = now
	if in.ExportTime != nil {
		x.at = fromSeconds(*in.ExportTime)
	}
	return x.inWindow(now, x.at)
}

func (x *export) checkIncrement(now time.Time) *apiError {
	spec := x.in.IncrementalExportSpecification
	if spec == nil || spec.ExportFromTime == nil || x.in.ExportTime != nil {
		return validation("An incremental export needs an IncrementalExportSpecification with ExportFromTime, and no ExportTime")
	}
	if err := oneOf("exportViewType", spec.ExportViewType, "NEW_IMAGE", "NEW_AND_OLD_IMAGES"); err != nil {
		return err
	}
	x.from, x.to = fromSeconds(*spec.ExportFromTime), now
	if spec.ExportToTime != nil {
		x.to = fromSeconds(*spec.ExportToTime)
	}
	if d := x.to.Sub(x.from); d < shortestIncrement || d > longestIncrement {
		return validation("The period between ExportFromTime and ExportToTime must be 15 minutes to 24 hours")
	}
	if err := x.inWindow(now, x.from); err != nil {
		return err
	}
	return x.inWindow(now, x.to)
}

func (x *export) inWindow(now, at time.Time) *apiError {
	if at.After(now) || at.Before(x.table.earliest(now).Truncate(time.Second)) {
		return refuse(modelled+"InvalidExportTimeException", "The specified ExportTime is outside of the point in time recovery window.")
	}
	return nil
}

func fromSeconds(f float64) time.Time { return time.UnixMilli(int64(math.Round(f * 1000))).UTC() }

// settleExports lets the files of exports appear whose time has come.
func (s *Server) settleExports(now time.Time) {
	for _, x := range s.exports {
		if x.status != "IN_PROGRESS" || now.Before(x.due) {
			continue
		}
		x.status = "COMPLETED"
		if err := x.write(s.opts.Exports, x.due, s.rng); err != nil {
			x.status, x.failure = "FAILED", err.Error()
		}
		x.lines = nil
	}
}

func (x *export) description(now time.Time) map[string]any {
	d := map[string]any{
		"ExportArn": x.arn, "ExportStatus": x.status, "TableArn": x.table.arn, "TableId": x.table.id, "StartTime": seconds(x.started),
		"S3Bucket": x.in.S3Bucket, "S3SseAlgorithm": "AES256", "ExportFormat": "DYNAMODB_JSON", "ExportType": "FULL_EXPORT",
	}
	for name, text := range map[string]string{"S3Prefix": x.in.S3Prefix, "S3BucketOwner": x.in.S3BucketOwner, "ClientToken": x.token} {
		if text != "" {
			d[name] = text
		}
	}
	if x.incremental() {
		d["ExportType"] = "INCREMENTAL_EXPORT"
		d["IncrementalExportSpecification"] = map[string]any{"ExportFromTime": seconds(x.from), "ExportToTime": seconds(x.to), "ExportViewType": x.view()}
	} else {
		d["ExportTime"] = seconds(x.at)
	}
	switch x.status {
	case "COMPLETED":
		d["EndTime"], d["ItemCount"], d["BilledSizeBytes"] = seconds(x.due), x.items, x.bytes
		d["ExportManifest"] = x.folder() + x.id + "/manifest-summary.json"
	case "FAILED":
		d["EndTime"], d["FailureCode"], d["FailureMessage"] = seconds(now), "S3NoSuchBucket", x.failure
	}
	return d
}

type describeExportInput struct {
	ExportArn string `json:"ExportArn"`
}

func (s *Server) describeExport(c *call, in *describeExportInput) (answer, *apiError) {
	i := slices.IndexFunc(s.exports, func(x *export) bool { return x.arn == in.ExportArn })
	if i < 0 {
		return nil, refuse(modelled+"ExportNotFoundException", "Export not found: %s", in.ExportArn)
	}
	return reply(map[string]any{"ExportDescription": s.exports[i].description(c.now)})
}

type listExportsInput struct {
	TableArn   string `json:"TableArn"`
	MaxResults *int   `json:"MaxResults"`
	NextToken  string `json:"NextToken"`
}

func (s *Server) listExports(_ *call, in *listExportsInput) (answer, *apiError) {
	limit, err := pageLimit(in.MaxResults, 25)
	if err != nil {
		return nil, err
	}
	list, begun := []map[string]any{}, in.NextToken == ""
	out := map[string]any{}
	for _, x := range s.exports {
		if !begun {
			begun = x.arn == in.NextToken
			continue
		}
		if in.TableArn != "" && x.table.arn != in.TableArn {
			continue
		}
		if len(list) == limit {
			out["NextToken"] = list[limit-1]["ExportArn"]
			break
		}
		kind := "FULL_EXPORT"
		if x.incremental() {
			kind = "INCREMENTAL_EXPORT"
		}
		list = append(list, map[string]any{"ExportArn": x.arn, "ExportStatus": x.status, "ExportType": kind})
	}
	out["ExportSummaries"] = list
	return reply(out)
}
