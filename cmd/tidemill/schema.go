package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/elt"
	"github.com/tidemill/tidemill/internal/config"
)

func (c *cli) schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use: "schema DIR", Short: "Write the JSON Schemas of the project files", Args: cobra.ExactArgs(1), Hidden: true,
		RunE: func(_ *cobra.Command, args []string) error {
			files, err := schemas()
			if err != nil {
				return err
			}
			errs := []error{os.MkdirAll(args[0], 0o755)}
			for _, name := range slices.Sorted(maps.Keys(files)) {
				errs = append(errs, os.WriteFile(filepath.Join(args[0], name), files[name], 0o644))
			}
			if err := errors.Join(errs...); err != nil {
				return fmt.Errorf("writing the schemas: %w", err)
			}
			return nil
		},
	}
}

func schemas() (map[string][]byte, error) {
	configs := map[string]any{}
	for _, k := range kinds().Sources {
		configs[k.Name] = k.Config()
	}
	return config.Schemas(configs, elt.Spec{})
}
