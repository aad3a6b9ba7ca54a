package sinks

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/tidemill/tidemill/internal/rslint"
	"github.com/tidemill/tidemill/window"
)

// Set maps URL schemes to constructors. Constructors check the address and do no I/O.
type Set struct {
	Stores     map[string]func(address string) (window.Store, error)
	Warehouses map[string]func(address string) (window.Sink, error)
	// Linters judge SQL that people write for a warehouse, without one, by its dialect's name, which is its scheme. A
	// warehouse that is not here judges when it runs.
	Linters map[string]Linter
}

// Linter returns what a warehouse would not run of a text. Templates stand for expressions; oneSelect wants exactly one
// SELECT.
type Linter func(sql string, oneSelect bool) []rslint.Finding

// folderScheme serves store addresses that are plain paths.
const folderScheme = "folder"

// Store returns the store of an address: a path, or a URL such as s3://bucket/prefix?region=eu-west-1.
func (s Set) Store(address string) (window.Store, error) {
	scheme := Scheme(address)
	if scheme == "" {
		scheme = folderScheme
	}
	open, ok := s.Stores[scheme]
	if !ok {
		return nil, unknown("store", scheme, slices.Sorted(maps.Keys(s.Stores)))
	}
	return open(address)
}

// Warehouse returns the sink of an address, such as duckdb:./warehouse.db or postgres://user@host/database.
func (s Set) Warehouse(address string) (window.Sink, error) {
	scheme := Scheme(address)
	open, ok := s.Warehouses[scheme]
	if !ok {
		return nil, unknown("warehouse", scheme, slices.Sorted(maps.Keys(s.Warehouses)))
	}
	return open(address)
}

func unknown(what, scheme string, known []string) error {
	if scheme == "" {
		return fmt.Errorf("the %s address has no scheme; known: %s", what, strings.Join(known, ", "))
	}
	return fmt.Errorf("no %s for the scheme %q; known: %s", what, scheme, strings.Join(known, ", ")) // invariant 2
}

var schemePattern = regexp.MustCompile(`^([a-z][a-z0-9+.-]+):`)

// Scheme is the scheme of an address, empty for a plain path.
func Scheme(address string) string {
	if m := schemePattern.FindStringSubmatch(address); m != nil {
		return m[1]
	}
	return ""
}

// Path splits the address of a local file or folder, scheme:path?options, where the scheme may be left out.
func Path(address string) (path string, options url.Values, err error) {
	path = address
	if scheme := Scheme(address); scheme != "" {
		path = strings.TrimPrefix(address, scheme+":")
	}
	path, query, _ := strings.Cut(path, "?")
	if strings.HasPrefix(path, "//") { // scheme:///absolute/path is meant as a URL
		path = strings.TrimPrefix(path, "//")
	}
	if path == "" {
		return "", nil, fmt.Errorf("the address names no path")
	}
	options, err = url.ParseQuery(query)
	if err != nil {
		return "", nil, fmt.Errorf("the options after ? are not name=value&name=value")
	}
	return path, options, nil
}

// CheckOptions refuses options that are not known or that are given twice (invariant 3).
func CheckOptions(options url.Values, known ...string) error {
	for _, name := range slices.Sorted(maps.Keys(options)) {
		if !slices.Contains(known, name) {
			if len(known) == 0 {
				return fmt.Errorf("unknown option %q; the address takes no options", name)
			}
			return fmt.Errorf("unknown option %q; known: %s", name, strings.Join(known, ", "))
		}
		if len(options[name]) > 1 {
			return fmt.Errorf("option %q is given %d times", name, len(options[name]))
		}
	}
	return nil
}
