package all

import (
	"github.com/tidemill/tidemill/internal/rslint"
	"github.com/tidemill/tidemill/sinks"
	"github.com/tidemill/tidemill/sinks/duckdb"
	"github.com/tidemill/tidemill/sinks/folder"
	"github.com/tidemill/tidemill/sinks/postgres"
	"github.com/tidemill/tidemill/sinks/redshift"
	"github.com/tidemill/tidemill/sinks/s3"
	"github.com/tidemill/tidemill/window"
)

// Set returns every store and warehouse that tidemill has.
func Set() sinks.Set {
	return sinks.Set{
		Stores: map[string]func(string) (window.Store, error){
			"folder": store(folder.New),
			"s3":     store(s3.New),
		},
		Warehouses: map[string]func(string) (window.Sink, error){
			"duckdb":     warehouse(duckdb.New),
			"postgres":   warehouse(postgres.New),
			"postgresql": warehouse(postgres.New),
			"redshift":   warehouse(redshift.New),
		},
		Linters: map[string]sinks.Linter{
			"redshift": func(sql string, oneSelect bool) []rslint.Finding {
				return rslint.Check(sql, rslint.Options{Templates: true, OneSelect: oneSelect})
			},
		},
	}
}

// store and warehouse turn constructors of structs into constructors of the contract, keeping nil for an error.
func store[T window.Store](open func(string) (T, error)) func(string) (window.Store, error) {
	return func(address string) (window.Store, error) {
		s, err := open(address)
		if err != nil {
			return nil, err
		}
		return s, nil
	}
}

func warehouse[T window.Sink](open func(string) (T, error)) func(string) (window.Sink, error) {
	return func(address string) (window.Sink, error) {
		s, err := open(address)
		if err != nil {
			return nil, err
		}
		return s, nil
	}
}
