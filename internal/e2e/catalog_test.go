package e2e_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/glue"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/tidemill/tidemill/internal/realtest"
)

// TestCatalog: every committed publish of every table is a partition of the Glue catalog, over a SIGKILL, while no publish waits for
// the catalog; its location holds the parts.
func TestCatalog(t *testing.T) {
	t.Parallel()
	moto := realtest.Moto(t)
	e := newEnv(t, combo{"embedded", "postgres", "s3", "mariadb", "mariadb", ""})
	e.append(t, "tidemill.yaml", fmt.Sprintf("catalog: {glue: clinic_lake, region: eu-west-1, endpoint: %s}\n", moto.DSN("")))
	d := e.run(t)
	e.underLoad(t, 3)
	d.kill()
	d = e.run(t)
	e.underLoad(t, 3)
	e.settled(t, time.Minute)
	key := credentials.NewStaticCredentialsProvider(e.bucket.AccessKey, e.bucket.SecretKey, "")
	catalog := glue.New(glue.Options{BaseEndpoint: aws.String(moto.DSN("")), Region: "eu-west-1", Credentials: key})
	store := s3.New(s3.Options{BaseEndpoint: &e.bucket.Endpoint, Region: e.bucket.Region, UsePathStyle: true, Credentials: key})
	for _, table := range []string{"mart.visits", "raw_pharmacy.orders"} {
		rows, err := e.ask(t.Context(), fmt.Sprintf(`select count(*) as n from tidemill.receipts r, jsonb_to_recordset(r.tables) as x("table" text, parts int) where x."table" = '%s' and x.parts > 0`, table))
		if err != nil {
			t.Fatal(err)
		}
		want, err := strconv.Atoi(rows[0]["n"])
		if err != nil || want < 5 {
			t.Fatalf("%d publishes of %s: %v", want, table, err)
		}
		var locations []string
		eventually(t, time.Minute, "every publish is in the catalog", func() bool {
			out, err := catalog.GetPartitions(t.Context(), &glue.GetPartitionsInput{DatabaseName: aws.String("clinic_lake"), TableName: aws.String(strings.ReplaceAll(table, ".", "__"))})
			if err != nil {
				return false
			}
			locations = nil
			for _, p := range out.Partitions {
				locations = append(locations, *p.StorageDescriptor.Location)
			}
			return len(locations) == want
		}, func() string { return fmt.Sprintf("%d partitions of %d", len(locations), want) })
		for _, l := range locations {
			prefix, ok := strings.CutPrefix(l, "s3://"+e.bucket.Name+"/")
			out, err := store.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &e.bucket.Name, Prefix: &prefix})
			if err != nil || !ok || len(out.Contents) == 0 {
				t.Errorf("%s holds nothing: %v", l, err)
			}
		}
	}
	e.warehouseEquals(t)
	d.stop(t)
	if log := d.log.String(); strings.Contains(log, "catalog tries again") {
		t.Errorf("the catalog was in trouble:\n%s", tail(log, 2000))
	}
}
