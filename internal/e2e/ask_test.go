package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/tidemill/tidemill/console"
)

// local brings a key of the store to a local path.
func (e *env) local(t *testing.T, key string) string {
	t.Helper()
	if e.store != "s3" {
		return filepath.Join(e.path(e.lake), filepath.FromSlash(key))
	}
	client := s3.New(s3.Options{BaseEndpoint: aws.String(e.bucket.Endpoint), Region: e.bucket.Region, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(e.bucket.AccessKey, e.bucket.SecretKey, "")})
	out, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(e.bucket.Name), Key: aws.String("e2e/" + key)})
	if err != nil {
		t.Fatalf("fetching %s: %v", key, err)
	}
	defer out.Body.Close()
	f, err := os.CreateTemp(t.TempDir(), "part")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := io.Copy(f, out.Body); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

// metrics is what the Prometheus endpoint says.
func (e *env) metrics(t *testing.T) string {
	t.Helper()
	r, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/metrics", e.port))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// query asks the warehouse through the daemon, by its API: a command of its own for each question would take longer than
// some windows.
func (e *env) query(ctx context.Context, sql string) ([]map[string]any, error) {
	token, err := console.ReadToken(e.path(e.data))
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(console.QueryRequest{SQL: sql})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("http://127.0.0.1:%d/v1/query", e.port), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	out, err := io.ReadAll(res.Body)
	if why := res.Trailer.Get(console.ErrorTrailer); err == nil && (res.StatusCode != http.StatusOK || why != "") {
		err = fmt.Errorf("query: status %d: %s%s", res.StatusCode, why, tail(string(out), 500))
	}
	if err != nil {
		return nil, err
	}
	return decodeRows(out)
}

// queryByCommand asks as a person does.
func (e *env) queryByCommand(ctx context.Context, sql string) ([]map[string]any, error) {
	out, errs, code := tidemill(ctx, e.vars, "query", "--config", e.dir, "--format", "json", sql)
	if code != 0 {
		return nil, fmt.Errorf("query: exit %d: %s", code, errs)
	}
	return decodeRows([]byte(out))
}

func decodeRows(out []byte) (rows []map[string]any, err error) {
	dec := json.NewDecoder(bytes.NewReader(out))
	dec.UseNumber()
	for {
		var row map[string]any
		err := dec.Decode(&row)
		if err == io.EOF {
			return rows, nil
		}
		if err != nil {
			return nil, fmt.Errorf("query: %w in %s", err, tail(string(out), 200))
		}
		rows = append(rows, row)
	}
}
