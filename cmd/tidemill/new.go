package main

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/config"
)

//go:embed templates
var templates embed.FS

func (c *cli) newCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "new",
		Short: "Write a commented file to begin with",
		Long:  `Write a commented file into the project folder. Nothing is ever overwritten.`,
	}
	parent(cmd)
	var kind string
	project := &cobra.Command{
		Use: "project NAME", Short: "Begin a project folder", Args: cobra.ExactArgs(1),
		Example: "  tidemill new project clinic --config ./clinic",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.write(cmd, args[0], file{"project.yaml", config.ProjectFile})
		},
	}
	source := &cobra.Command{
		Use: "source NAME", Short: "Add a database to replicate", Args: cobra.ExactArgs(1),
		Example: "  tidemill new source consult --type mysql",
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := kinds().Sources.Kind(kind); err != nil {
				return usage(cmd, err)
			}
			return c.write(cmd, args[0], file{"source-" + kind + ".yaml", "sources/" + args[0] + ".yaml"})
		},
	}
	source.Flags().StringVarP(&kind, "type", "t", "mysql", "kind of source: "+strings.Join(kinds().Sources.Names(), ", "))
	complete(source, "type", kinds().Sources.Names())
	pipeline := &cobra.Command{
		Use: "pipeline NAME", Short: "Add tables to publish", Args: cobra.ExactArgs(1),
		Long: `Add a pipeline: tables that publish together, in one transaction per window. It replicates
the first source of the project; a joined view stands beside it, commented out.`,
		Example: "  tidemill new pipeline care",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.write(cmd, args[0], file{"pipeline.yaml", "pipelines/" + args[0] + ".yaml"})
		},
	}
	job := &cobra.Command{
		Use: "job NAME", Short: "Add SQL that runs when its data is complete", Args: cobra.ExactArgs(1),
		Example: "  tidemill new job daily_visits",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.write(cmd, args[0], file{"job.sql", "jobs/" + args[0] + ".sql"}); err != nil {
				return err
			}
			return c.write(cmd, args[0], file{"job.yaml", "jobs/" + args[0] + ".yaml"})
		},
	}
	cmd.AddCommand(project, source, pipeline, job)
	return cmd
}

// file is a template and where it goes.
type file struct{ template, name string }

func (c *cli) write(cmd *cobra.Command, name string, f file) error {
	if p := config.NameProblem(name); p != "" {
		return usage(cmd, fmt.Errorf("the name %s", p))
	}
	text, err := templates.ReadFile("templates/" + f.template)
	if err != nil {
		return fmt.Errorf("finding a template: %w", err)
	}
	t, err := template.New(f.template).Parse(string(text))
	if err != nil {
		return fmt.Errorf("reading a template: %w", err)
	}
	var b bytes.Buffer
	data := struct{ Name, Env, Source, Tables string }{Name: name, Env: strings.ToUpper(name)}
	data.Source, data.Tables = c.firstSource()
	if err := t.Execute(&b, data); err != nil {
		return fmt.Errorf("filling in a template: %w", err)
	}
	at := filepath.Join(c.dir, filepath.FromSlash(f.name))
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		return fmt.Errorf("making the folder: %w", err)
	}
	if err := create(at, b.Bytes()); errors.Is(err, fs.ErrExist) {
		return usage(cmd, fmt.Errorf("%s exists: it is not overwritten", at))
	} else if err != nil {
		return fmt.Errorf("writing the file: %w", err)
	}
	_, err = fmt.Fprintln(c.out, at)
	return err
}

// create writes a file that must not exist.
func create(name string, text []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

// firstSource is the name of the project's first source and what a pattern of its tables looks like, for examples.
func (c *cli) firstSource() (name, tables string) {
	files, err := filepath.Glob(filepath.Join(c.dir, "sources", "*.yaml"))
	if err != nil || len(files) == 0 {
		return "consult", "clinic.*"
	}
	tables = "clinic.*"
	if text, err := os.ReadFile(files[0]); err == nil && regexp.MustCompile(`(?m)^type: *dynamodb\b`).Match(text) {
		tables = "dynamodb.*" // a table of DynamoDB is in no database
	}
	return strings.TrimSuffix(filepath.Base(files[0]), ".yaml"), tables
}
