package sources_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/sources"
)

type well struct{ depth int }

func (*well) Prepare(context.Context) ([]ingest.Schema, error)         { return nil, nil }
func (*well) Run(context.Context, ingest.Resume, ingest.Emitter) error { return nil }

type wellConfig struct{ Depth int }

var set = sources.Set{{
	Name:   "well",
	Config: func() any { return &wellConfig{Depth: 3} },
	New: func(_ sources.Env, c any) (ingest.Source, error) {
		if c.(*wellConfig).Depth == 0 {
			return nil, errors.New("depth must not be 0")
		}
		return &well{depth: c.(*wellConfig).Depth}, nil
	},
}}

func TestNewDecodesOverTheDefaults(t *testing.T) {
	src, err := set.New("well", sources.Env{Name: "w"}, func(into any) error { return nil })
	if err != nil || src.(*well).depth != 3 {
		t.Fatalf("got %v, %v", src, err)
	}
	src, err = set.New("well", sources.Env{Name: "w"}, func(into any) error { into.(*wellConfig).Depth = 7; return nil })
	if err != nil || src.(*well).depth != 7 {
		t.Fatalf("got %v, %v", src, err)
	}
}

func TestNewReports(t *testing.T) {
	bad := errors.New("depth: must be a whole number")
	if _, err := set.New("well", sources.Env{}, func(any) error { return bad }); !errors.Is(err, bad) {
		t.Errorf("decode error: got %v", err)
	}
	_, err := set.New("well", sources.Env{Name: "w"}, func(into any) error { into.(*wellConfig).Depth = 0; return nil })
	if err == nil || err.Error() != "making source w: depth must not be 0" {
		t.Errorf("constructor error: got %v", err)
	}
	_, err = set.New("wel", sources.Env{}, nil)
	if err == nil || !strings.Contains(err.Error(), `did you mean "well"?`) {
		t.Errorf("unknown kind: got %v", err)
	}
}
