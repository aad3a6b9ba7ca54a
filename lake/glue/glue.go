package glue

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/glue"
	"github.com/aws/aws-sdk-go-v2/service/glue/types"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/lake"
	"github.com/tidemill/tidemill/window"
)

// Config says which catalog.
type Config struct {
	Database string
	Region   string // default: the chain's
	Endpoint string // in place of AWS's, for a VPC endpoint or a stand-in
	Root     string // s3://bucket/prefix/ of the lake
}

// Catalog is one database of a data catalog.
type Catalog struct {
	config Config
	api    *glue.Client
}

// Error is what the catalog has refused, and where. Trying again may help: a grant that is added later is enough.
type Error struct {
	What string
	Err  error
}

func (e *Error) Error() string { return "the Glue catalog: " + e.What + ": " + e.Err.Error() }

// Unwrap is what AWS says.
func (e *Error) Unwrap() error { return e.Err }

// Retryable is true: the catalog is brought up to date by the next look, and nothing waits for it.
func (e *Error) Retryable() bool { return true }

// New makes a catalog. It does no I/O but for the SDK's own files.
func New(ctx context.Context, c Config) (*Catalog, error) {
	var opts []func(*awsconfig.LoadOptions) error
	if c.Region != "" {
		opts = append(opts, awsconfig.WithRegion(c.Region))
	}
	cfg, err := awsconfig.LoadDefaultConfig(ctx, opts...)
	if err != nil {
		return nil, &Error{"reading the AWS configuration of this machine", err}
	}
	return &Catalog{c, glue.NewFromConfig(cfg, func(o *glue.Options) {
		if c.Endpoint != "" {
			o.BaseEndpoint = &c.Endpoint
		}
	})}, nil
}

// batch is how many partitions AWS takes in a request.
const batch = 100

// registered is the table's parameter that says how far it is registered (invariant 3).
const registered = "tidemill.registered"

// partitionKeys are the columns that are in no file.
var partitionKeys = []types.Column{
	{Name: aws.String("tm_window"), Type: aws.String("string"), Comment: aws.String("start of the window, UTC, as 20261201T101500Z")},
	{Name: aws.String("tm_slice"), Type: aws.String("int"), Comment: aws.String("number of the publish within its window")},
}

// Name is a warehouse table's in the catalog, which folds case and takes no dots.
func Name(t window.WarehouseTable) string { return strings.ToLower(t.Schema + "__" + t.Name) }

// Ensure makes the database, if it is not there.
func (c *Catalog) Ensure(ctx context.Context) error {
	_, err := c.api.GetDatabase(ctx, &glue.GetDatabaseInput{Name: &c.config.Database})
	var absent *types.EntityNotFoundException
	if errors.As(err, &absent) {
		_, err = c.api.CreateDatabase(ctx, &glue.CreateDatabaseInput{DatabaseInput: &types.DatabaseInput{Name: &c.config.Database, Description: aws.String("the lake of a tidemill project")}})
		var there *types.AlreadyExistsException
		if errors.As(err, &there) { // invariant 2
			err = nil
		}
	}
	if err != nil {
		return &Error{"making the database " + c.config.Database + " (glue:GetDatabase, glue:CreateDatabase)", err}
	}
	return nil
}

// Registered is how far a table is registered: the mark that Register was last given, empty when the catalog does not know it.
func (c *Catalog) Registered(ctx context.Context, t window.WarehouseTable) (string, error) {
	have, err := c.table(ctx, t)
	if err != nil || have == nil {
		return "", err
	}
	return have.Parameters[registered], nil
}

func (c *Catalog) table(ctx context.Context, t window.WarehouseTable) (*types.Table, error) {
	out, err := c.api.GetTable(ctx, &glue.GetTableInput{DatabaseName: &c.config.Database, Name: aws.String(Name(t))})
	var absent *types.EntityNotFoundException
	switch {
	case errors.As(err, &absent):
		return nil, nil
	case err != nil:
		return nil, &Error{"reading table " + Name(t) + " (glue:GetTable)", err}
	}
	return out.Table, nil
}

// Register brings a table up to date with publishes that are committed, in their order, and notes the mark.
func (c *Catalog) Register(ctx context.Context, t window.WarehouseTable, publishes []lake.Entry, mark string) error {
	have, err := c.table(ctx, t)
	if err != nil {
		return err
	}
	var columns []ingest.Column
	for _, e := range publishes {
		columns = e.Load.Columns // the newest has the columns of all: they are added, never taken away, within a generation
	}
	input := c.input(t, columns, have)
	if have == nil {
		if err := c.create(ctx, t, input); err != nil {
			return err
		}
	}
	if err := c.partitions(ctx, t, input, publishes); err != nil {
		return err
	}
	input.Parameters[registered] = mark // invariant 3
	if _, err := c.api.UpdateTable(ctx, &glue.UpdateTableInput{DatabaseName: &c.config.Database, TableInput: input}); err != nil {
		return &Error{"updating table " + Name(t) + " (glue:UpdateTable)", err}
	}
	return nil
}

func (c *Catalog) create(ctx context.Context, t window.WarehouseTable, input *types.TableInput) error {
	_, err := c.api.CreateTable(ctx, &glue.CreateTableInput{DatabaseName: &c.config.Database, TableInput: input})
	var there *types.AlreadyExistsException
	if err != nil && !errors.As(err, &there) {
		return &Error{"making table " + Name(t) + " (glue:CreateTable)", err}
	}
	return nil
}

// input is the table as it should be: the columns of the newest publish, and those that only older ones have.
func (c *Catalog) input(t window.WarehouseTable, columns []ingest.Column, have *types.Table) *types.TableInput {
	in := &types.TableInput{
		Name: aws.String(Name(t)), TableType: aws.String("EXTERNAL_TABLE"), PartitionKeys: partitionKeys,
		Description: aws.String("changes of " + t.String() + ", a partition each publish; _op 1 is an upsert, 2 a delete"),
		Parameters:  map[string]string{"classification": "parquet", "EXTERNAL": "TRUE"},
	}
	list := Columns(columns)
	if have != nil {
		for k, v := range have.Parameters {
			in.Parameters[k] = v
		}
		for _, old := range have.StorageDescriptor.Columns {
			if !slices.ContainsFunc(list, func(x types.Column) bool { return *x.Name == aws.ToString(old.Name) }) {
				list = append(list, old)
			}
		}
	}
	in.StorageDescriptor = storage(c.config.Root, list)
	return in
}

// partitions registers publishes, a hundred at a time.
func (c *Catalog) partitions(ctx context.Context, t window.WarehouseTable, table *types.TableInput, publishes []lake.Entry) error {
	var inputs []types.PartitionInput
	for _, e := range publishes {
		if len(e.Load.Parts) == 0 {
			continue
		}
		inputs = append(inputs, types.PartitionInput{
			Values:            []string{e.Step.Start.UTC().Format("20060102T150405Z"), strconv.Itoa(e.Step.Slice)},
			StorageDescriptor: storage(c.config.Root+path.Dir(e.Load.Parts[0].Key)+"/", table.StorageDescriptor.Columns),
			Parameters: map[string]string{"classification": "parquet", "tidemill.replace": strconv.FormatBool(e.Load.Replace),
				"tidemill.window_end": e.Step.End.UTC().Format(time.RFC3339)},
		})
	}
	for some := range slices.Chunk(inputs, batch) {
		out, err := c.api.BatchCreatePartition(ctx, &glue.BatchCreatePartitionInput{DatabaseName: &c.config.Database, TableName: table.Name, PartitionInputList: some})
		if err != nil {
			return &Error{"registering windows of " + *table.Name + " (glue:BatchCreatePartition)", err}
		}
		for _, e := range out.Errors {
			if code := aws.ToString(e.ErrorDetail.ErrorCode); code != "AlreadyExistsException" { // invariant 2
				return &Error{fmt.Sprintf("registering the window %v of %s", e.PartitionValues, t), errors.New(code + ": " + aws.ToString(e.ErrorDetail.ErrorMessage))}
			}
		}
	}
	return nil
}

func storage(location string, columns []types.Column) *types.StorageDescriptor {
	return &types.StorageDescriptor{
		Location: &location, Columns: columns,
		InputFormat:  aws.String("org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat"),
		OutputFormat: aws.String("org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat"),
		SerdeInfo:    &types.SerDeInfo{SerializationLibrary: aws.String("org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"), Parameters: map[string]string{"serialization.format": "1"}},
	}
}

// Columns are the columns of a table's parts in Hive's types, and the operation.
func Columns(columns []ingest.Column) (out []types.Column) {
	for _, col := range columns {
		out = append(out, types.Column{Name: aws.String(strings.ToLower(col.Name)), Type: aws.String(hiveType(col.Type))})
	}
	return append(out, types.Column{Name: aws.String(ingest.OpColumn), Type: aws.String("int")})
}

func hiveType(t ingest.Type) string {
	switch t.Kind {
	case ingest.Bool:
		return "boolean"
	case ingest.Int16:
		return "smallint"
	case ingest.Int32:
		return "int"
	case ingest.Int64:
		return "bigint"
	case ingest.Float32:
		return "float"
	case ingest.Float64:
		return "double"
	case ingest.Decimal:
		return fmt.Sprintf("decimal(%d,%d)", t.Precision, t.Scale)
	case ingest.Date:
		return "date"
	case ingest.Timestamp, ingest.TimestampTZ:
		return "timestamp"
	case ingest.Bytes:
		return "binary"
	}
	return "string"
}
