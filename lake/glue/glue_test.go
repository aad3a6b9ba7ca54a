package glue_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awsglue "github.com/aws/aws-sdk-go-v2/service/glue"
	"github.com/aws/aws-sdk-go-v2/service/glue/types"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/realtest"
	"github.com/tidemill/tidemill/lake"
	"github.com/tidemill/tidemill/lake/glue"
	"github.com/tidemill/tidemill/window"
)

var visits = window.WarehouseTable{Schema: "mart", Name: "Visits"}

func entry(n int, replace bool, columns ...ingest.Column) lake.Entry {
	start := time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC).Add(time.Duration(n) * 15 * time.Minute)
	return lake.Entry{Step: window.Step{Start: start, End: start.Add(15 * time.Minute), Final: true}, Load: window.TableLoad{Table: visits, Columns: columns, Replace: replace,
		Parts: []window.Part{{Key: fmt.Sprintf("care/mart.Visits/w=%s/k=0/attempt%d/part-0.parquet", start.Format("20060102T150405Z"), n)}}}}
}

func column(name string, k ingest.Kind) ingest.Column {
	return ingest.Column{Name: name, Type: ingest.Type{Kind: k, Precision: 18, Scale: 2}}
}

// Against moto's Glue: a database, a table, its windows in batches, once and again, columns that come later.
func TestRegister(t *testing.T) {
	for k, v := range map[string]string{"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_EC2_METADATA_DISABLED": "true"} {
		t.Setenv(k, v)
	}
	moto := realtest.Moto(t)
	ctx := t.Context()
	c, err := glue.New(ctx, glue.Config{Database: "clinic_lake", Region: "eu-west-1", Endpoint: moto.DSN(""), Root: "s3://lake/x/"})
	if err != nil {
		t.Fatal(err)
	}
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var own *glue.Error
	if err := c.Register(ctx, visits, []lake.Entry{entry(0, true, column("id", ingest.Int64))}, "1"); !errors.As(err, &own) || !own.Retryable() {
		t.Errorf("without a database: %v", err)
	}
	ok(c.Ensure(ctx))
	ok(c.Ensure(ctx))
	if mark, err := c.Registered(ctx, visits); err != nil || mark != "" {
		t.Errorf("before anything: %q, %v", mark, err)
	}
	var first []lake.Entry
	for n := range 250 { // three requests
		first = append(first, entry(n, n == 0, column("id", ingest.Int64), column("Name", ingest.Text), column("amount", ingest.Decimal)))
	}
	first[7].Load.Parts = nil // only deletes that came to nothing
	ok(c.Register(ctx, visits, first, "100"))
	ok(c.Register(ctx, visits, first[200:], "100")) // again
	ok(c.Register(ctx, visits, []lake.Entry{entry(250, false, column("id", ingest.Int64), column("at", ingest.TimestampTZ))}, "101"))
	if mark, err := c.Registered(ctx, visits); err != nil || mark != "101" {
		t.Errorf("the mark is %q, %v", mark, err)
	}

	api := awsglue.New(awsglue.Options{BaseEndpoint: aws.String(moto.DSN("")), Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("key", "secret", "")})
	table, err := api.GetTable(ctx, &awsglue.GetTableInput{DatabaseName: aws.String("clinic_lake"), Name: aws.String("mart__visits")})
	ok(err)
	var columns []string
	for _, x := range table.Table.StorageDescriptor.Columns {
		columns = append(columns, *x.Name+" "+*x.Type)
	}
	if got := fmt.Sprint(columns); got != "[id bigint at timestamp _op int name string amount decimal(18,2)]" {
		t.Errorf("columns %s", got)
	}
	var partitions []types.Partition
	pages := awsglue.NewGetPartitionsPaginator(api, &awsglue.GetPartitionsInput{DatabaseName: aws.String("clinic_lake"), TableName: aws.String("mart__visits")})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		ok(err)
		partitions = append(partitions, page.Partitions...)
	}
	if len(partitions) != 250 {
		t.Errorf("%d partitions, want 250", len(partitions))
	}
	at := map[string]string{}
	for _, p := range partitions {
		at[fmt.Sprint(p.Values)] = *p.StorageDescriptor.Location
	}
	if got := at["[20261201T104500Z 0]"]; got != "s3://lake/x/care/mart.Visits/w=20261201T104500Z/k=0/attempt3/" {
		t.Errorf("the window of 10:45 lies at %q", got)
	}
}

// Every kind of column has a type that Hive, Athena and Spectrum know.
func TestTypes(t *testing.T) {
	want := map[ingest.Kind]string{ingest.Bool: "boolean", ingest.Int16: "smallint", ingest.Int32: "int", ingest.Int64: "bigint", ingest.Float32: "float", ingest.Float64: "double",
		ingest.Decimal: "decimal(18,2)", ingest.Text: "string", ingest.JSON: "string", ingest.Bytes: "binary", ingest.Date: "date", ingest.Timestamp: "timestamp", ingest.TimestampTZ: "timestamp"}
	for k, typ := range want {
		if got := glue.Columns([]ingest.Column{column("X", k)})[0]; *got.Type != typ || *got.Name != "x" {
			t.Errorf("%s is %s %s, want %s", k, *got.Name, *got.Type, typ)
		}
	}
}
