package sources

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/metric"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/config"
)

// Env is what a source is given besides its configuration.
type Env struct {
	Project string // its name
	Name    string // of the source in the project
	Log     *slog.Logger
	Meter   metric.Meter
}

// Kind is one kind of source.
type Kind struct {
	Name string // the "type" in a source's file
	// Config returns a pointer to the kind's configuration with its defaults, for decoding and for the JSON Schema.
	Config func() any
	// New makes a source of a configuration that Config returned, decoded and checked.
	New func(env Env, config any) (ingest.Source, error)
}

// Set is the kinds of sources that a program knows.
type Set []Kind

// New makes a source of the named kind. decode fills the configuration strictly (config.Node.Decode).
func (s Set) New(kind string, env Env, decode func(into any) error) (ingest.Source, error) {
	k, err := s.Kind(kind)
	if err != nil {
		return nil, err
	}
	c := k.Config()
	if err := decode(c); err != nil {
		return nil, err // already says where in which file
	}
	src, err := k.New(env, c)
	if err != nil {
		return nil, fmt.Errorf("making source %s: %w", env.Name, err)
	}
	return src, nil
}

// Kind finds a kind by name.
func (s Set) Kind(name string) (Kind, error) {
	i := slices.IndexFunc(s, func(k Kind) bool { return k.Name == name })
	if i < 0 {
		return Kind{}, fmt.Errorf("type: there is no source type %q%s; known: %s", name, config.DidYouMean(name, s.Names()), strings.Join(s.Names(), ", "))
	}
	return s[i], nil
}

// Names lists the kinds in the order of the set.
func (s Set) Names() []string {
	names := make([]string, len(s))
	for i, k := range s {
		names[i] = k.Name
	}
	return names
}
