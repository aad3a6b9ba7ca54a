package dynamodb

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/config"
	"github.com/tidemill/tidemill/sources/dynamodb/item"
)

// Config is a source file of type dynamodb: one table and its stream. Credentials are found as every AWS tool finds them
// (environment, profile, container, instance); there is no key for them here.
type Config struct {
	Table  string `yaml:"table" jsonschema:"description=Name of the DynamoDB table. Its stream must be on with NEW_AND_OLD_IMAGES or NEW_IMAGE"`
	Region string `yaml:"region" jsonschema:"description=AWS region, like ap-southeast-1. Default: the environment's"`
	// RoleARN is assumed with the credentials at hand, for a table of another account.
	RoleARN    string `yaml:"role_arn" jsonschema:"description=Role to assume, for a table of another account"`
	ExternalID string `yaml:"external_id" jsonschema:"description=External id that the role asks for"`
	// Endpoint replaces AWS's, for a VPC endpoint or an emulator.
	Endpoint string `yaml:"endpoint" jsonschema:"description=URL in place of AWS's own endpoint: a VPC endpoint or an emulator"`
	// StreamsEndpoint replaces the one of DynamoDB Streams, which AWS has beside DynamoDB's.
	StreamsEndpoint string `yaml:"streams_endpoint" jsonschema:"description=URL in place of the endpoint of DynamoDB Streams\\, which has VPC endpoints of its own. Default: endpoint"`
	// Columns says what is special: {notes: drop, amount: "decimal(18,2)", fullName: "text as full_name"}. Attributes that it does
	// not name become columns of the type that their values have.
	Columns map[string]string `yaml:"columns" jsonschema:"description=Attributes that are not taken as they are: drop; or a type (bool int16 int32 int64 float64 decimal(p\\,s) text json bytes); or a type and a name: text as full_name"`
	// Grace is how long after a window's end the stream is waited for: DynamoDB shows a change in its stream a little later.
	Grace time.Duration `yaml:"grace" jsonschema:"description=How long after a window's end the stream is waited for. Default 30s"`
	// Segments is how many parts of the table the first load reads side by side.
	Segments int `yaml:"segments" jsonschema:"description=How many parts of the table the first load reads side by side. Default 4"`
	// Export is a bucket for exports of the table: the first load reads one in place of the Scan, which costs no read units, and
	// what was missed in more than 24 hours is mended by incremental ones.
	Export Export `yaml:"export" jsonschema:"description=A bucket for exports: the first load reads one in place of a Scan, and an outage of more than 24 hours is mended by incremental ones. Needs point-in-time recovery"`
	// ConsistentReads of the first load cost twice as much and show every write at once.
	ConsistentReads bool `yaml:"consistent_reads" jsonschema:"description=Strongly consistent reads in the first load: twice the read units. Default true"`
}

// Export says where exports of the table are written and read.
type Export struct {
	Bucket   string `yaml:"bucket"`
	Prefix   string `yaml:"prefix"`
	Endpoint string `yaml:"endpoint" jsonschema:"description=URL in place of S3's own endpoint"`
}

// Schema is the schema of the one table: DynamoDB has none.
const tableSchema = "dynamodb"

const (
	actionDrop      = "drop"
	actionPseudonym = "pseudonym"
)

// Default is the configuration that a file is decoded over.
func Default() Config {
	return Config{Grace: 30 * time.Second, Segments: 4, ConsistentReads: true}
}

// Validate reports everything that is wrong, by YAML path. It touches no network and no file.
func (c *Config) Validate(report func(path, message string)) {
	switch {
	case c.Table == "":
		report("table", "is required: the name of the DynamoDB table")
	case strings.HasPrefix(c.Table, "arn:"):
		report("table", "must be the table's name, not its ARN: set region, and role_arn for another account")
	}
	if c.Table != "" && !strings.HasPrefix(c.Table, "arn:") && !tableName.MatchString(c.Table) {
		report("table", "must be a DynamoDB table's name: 3 to 255 letters, digits, dots, dashes and underscores")
	}
	if c.Region != "" && !regionName.MatchString(c.Region) {
		report("region", "must be a region's name, like ap-southeast-1")
	}
	if b := c.Export.Bucket; b != "" && !bucketName.MatchString(b) {
		report("export.bucket", "must be a bucket's name: 3 to 63 small letters, digits, dots and dashes")
	}
	for path, endpoint := range map[string]string{"endpoint": c.Endpoint, "streams_endpoint": c.StreamsEndpoint} {
		if u, err := url.Parse(endpoint); endpoint != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
			report(path, "must be a URL like https://vpce-1234."+map[string]string{"endpoint": "", "streams_endpoint": "streams."}[path]+"dynamodb.ap-southeast-1.vpce.amazonaws.com")
		}
	}
	if c.RoleARN != "" && !strings.HasPrefix(c.RoleARN, "arn:") {
		report("role_arn", "must be the ARN of a role, like arn:aws:iam::123456789012:role/tidemill")
	}
	if c.ExternalID != "" && c.RoleARN == "" {
		report("external_id", "goes with role_arn")
	}
	if c.Export.Bucket == "" && c.Export != (Export{}) {
		report("export.bucket", "is required: the S3 bucket that exports are written to")
	}
	if c.Grace < time.Second || c.Grace > time.Hour {
		report("grace", "must be between 1s and 1h")
	}
	if c.Segments < 1 || c.Segments > 256 {
		report("segments", "must be between 1 and 256")
	}
	named := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(c.Columns)) {
		p, err := parsePin(c.Columns[name])
		column := strings.ToLower(cmp.Or(p.Name, name))
		switch first, twice := named[column]; {
		case err != nil:
			report(config.Path("columns", name), err.Error())
		case p.Drop:
		case !item.Nameable(column):
			report(config.Path("columns", name), fmt.Sprintf("gives a column the name %s, which no warehouse column can have: give it another, %s as ...", cmp.Or(p.Name, name), c.Columns[name]))
		case twice:
			report(config.Path("columns", name), fmt.Sprintf("gives its column the name of that of %s", first))
		default:
			named[column] = name
		}
	}
}

// Names as AWS takes them.
var (
	tableName  = regexp.MustCompile(`^[a-zA-Z0-9_.-]{3,255}$`)
	regionName = regexp.MustCompile(`^[a-z]{2,}(-[a-z]+)+-[0-9]+$`)
	bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
)

// pins are the columns of the configuration, which is checked.
func (c *Config) pins() map[string]item.Pin {
	out := map[string]item.Pin{}
	for name, text := range c.Columns {
		out[name], _ = parsePin(text)
	}
	return out
}

// kinds are the types that a column may be pinned to.
var kinds = map[string]ingest.Kind{"bool": ingest.Bool, "int16": ingest.Int16, "int32": ingest.Int32, "int64": ingest.Int64,
	"float64": ingest.Float64, "text": ingest.Text, "json": ingest.JSON, "bytes": ingest.Bytes}

// parsePin reads "drop", "TYPE" or "TYPE as NAME".
func parsePin(text string) (item.Pin, error) {
	if text == actionDrop {
		return item.Pin{Drop: true}, nil
	}
	if text == actionPseudonym {
		return item.Pin{}, fmt.Errorf("pseudonym is not available for DynamoDB sources yet: use drop, or leave the attribute out of this list")
	}
	what, name, renamed := strings.Cut(text, " as ")
	p := item.Pin{Name: strings.TrimSpace(name)}
	what = strings.ReplaceAll(strings.TrimSpace(what), " ", "")
	if renamed && p.Name == "" {
		return p, fmt.Errorf("has no name behind \"as\"")
	}
	if k, ok := kinds[what]; ok {
		p.Type.Kind = k
		return p, nil
	}
	args, ok := strings.CutPrefix(what, "decimal(")
	precision, scale, both := strings.Cut(strings.TrimSuffix(args, ")"), ",")
	d, err := strconv.Atoi(precision)
	s := 0
	if both && err == nil {
		s, err = strconv.Atoi(scale)
	}
	if !ok || err != nil || d < 1 || d > 38 || s < 0 || s > d || !strings.HasSuffix(what, ")") {
		known := append(slices.Sorted(maps.Keys(kinds)), "decimal(18,2)", actionDrop)
		return p, fmt.Errorf("must be one of %s, or one of them \"as name\"%s", strings.Join(known, ", "), config.DidYouMean(what, known))
	}
	p.Type = ingest.Type{Kind: ingest.Decimal, Precision: int32(d), Scale: int32(s)}
	return p, nil
}
