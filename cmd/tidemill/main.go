package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

func main() { os.Exit(tidemill()) }

func tidemill() int {
	ctx, stop := stopSignals(context.Background())
	defer stop()
	cli := &cli{in: os.Stdin, out: os.Stdout, err: os.Stderr, env: os.LookupEnv, program: calledAs(os.Args[0])}
	cmd := cli.root()
	cmd.SetArgs(os.Args[1:])
	err := cmd.ExecuteContext(ctx)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) && cli.stoppedClean {
		err = nil
	}
	return cli.program.report(os.Stderr, err)
}

// echo is how long after the first signal another one is taken for its echo: wrappers often pass on what a terminal has
// already sent to the whole group.
const echo = 500 * time.Millisecond

// stopSignals returns a context that the first SIGINT or SIGTERM ends; a second one ends the process at once.
func stopSignals(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	c := make(chan os.Signal, 2)
	signal.Notify(c, syscall.SIGINT, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		select {
		case <-c:
		case <-done:
			return
		}
		cancel()
		for first := time.Now(); ; {
			select {
			case <-c:
				if time.Since(first) > echo {
					os.Exit(exitRuntime)
				}
			case <-done:
				return
			}
		}
	}()
	return ctx, func() { signal.Stop(c); close(done); cancel() }
}

// cli is what the commands share: the process's edges and the flags that every command has.
type cli struct {
	in           io.Reader
	out, err     io.Writer
	env          func(string) (string, bool)
	dir          string // --config
	program      program
	stoppedClean bool
}

func (c *cli) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "tidemill",
		Short: "Replicate databases into a warehouse, one consistent window at a time",
		Long: `tidemill reads the change logs of databases and publishes them to a warehouse in
windows: after every window all tables are one consistent cut of their sources.

A project is a folder with tidemill.yaml, sources/*.yaml, pipelines/*.yaml and jobs/*.yaml.`,
		Example: `  tidemill new project clinic --config ./clinic      begin a project
  tidemill new source consult --type mysql           add a database
  tidemill check                                     is the folder right? (no network)
  tidemill run                                       run it
  tidemill query 'select * from mart.visits'         look at the result`,
		Version:       version(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	parent(root)
	root.SetIn(c.in)
	root.SetOut(c.out)
	root.SetErr(c.err)
	root.SetVersionTemplate("{{.Version}}\n")
	dir := "."
	if d, ok := c.env("TIDEMILL_CONFIG"); ok && d != "" {
		dir = d
	}
	root.PersistentFlags().StringVarP(&c.dir, "config", "c", dir, "project folder (or TIDEMILL_CONFIG)")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usage(cmd, err) })
	if err := root.MarkPersistentFlagDirname("config"); err != nil {
		panic(err)
	}
	root.AddCommand(c.runCommand(), c.checkCommand(), c.statusCommand(), c.queryCommand(), c.verifyCommand(), c.resyncCommand(), c.rebuildCommand(),
		c.tailCommand(), c.newCommand(), c.schemaCommand(), c.devCommand(), c.versionCommand(),
		c.jobCommand(), c.backfillCommand(), c.whyCommand(), c.planCommand(), c.testCommand(), c.renderCommand())
	wrapArgs(root)
	return root
}

// parent makes a command that only has subcommands print its help, or say which subcommand was meant.
func parent(cmd *cobra.Command) {
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		message := fmt.Sprintf("unknown command %q", args[0])
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			message += fmt.Sprintf(" (did you mean %q?)", near[0])
		}
		return errors.New(message)
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.SuggestionsMinimumDistance = 2
}

// wrapArgs makes every complaint about arguments a usage error.
func wrapArgs(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usage(cmd, err)
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		wrapArgs(sub)
	}
}

// version is the module's version, or the commit for a build from a work tree.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	commit, dirty := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			commit = s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "+changes"
		}
	}
	if commit == "" {
		return "devel"
	}
	return "devel-" + commit + dirty
}

func (c *cli) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(c.out, version())
			return err
		},
	}
}
