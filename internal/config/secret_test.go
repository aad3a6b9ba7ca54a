package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/tidemill/tidemill/internal/config"
)

// Every way of printing a secret hides it, on its own and inside other values.
func TestSecretsDoNotPrint(t *testing.T) {
	for _, v := range []any{
		config.NewSecret(canary),
		config.NewURL("postgres://tm:" + canary + "@db/dwh?sslmode=disable&password=" + canary),
		config.NewURL("postgres://tm:" + canary + "%zz@db/dwh"),
		config.NewURL("duckdb:wh.db?key=" + canary),
		&config.SASL{User: "tm", Password: config.NewSecret(canary)},
		[]any{config.SASL{Password: config.NewSecret(canary)}},
	} {
		var logged bytes.Buffer
		log := slog.New(slog.NewTextHandler(&logged, nil))
		log.Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&logged, nil)).Info("x", "v", v)
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		all := fmt.Sprint(v) + fmt.Sprintf("%v %+v %#v %s %q", v, v, v, v, v) + string(b) + logged.String()
		if strings.Contains(all, canary) {
			t.Errorf("%T shows its secret: %s", v, all)
		}
	}
}

func TestSize(t *testing.T) {
	for text, want := range map[string]config.Size{"0": 0, "1024": 1024, "512MB": 512e6, "2 GiB": 2 << 30, "1.5kb": 1500, "64mib": 64 << 20} {
		var s config.Size
		if err := s.UnmarshalText([]byte(text)); err != nil || s != want {
			t.Errorf("%q = %d, %v", text, s, err)
		}
	}
	for _, text := range []string{"", "lots", "-1", "1XB", "NaN", "1e300", "GiB"} {
		var s config.Size
		if err := s.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was accepted as %d", text, s)
		}
	}
	if got := config.Size(3<<20).String() + " " + config.Size(1500).String(); got != "3MiB 1500" {
		t.Error(got)
	}
}
