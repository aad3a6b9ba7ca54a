package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/tidemill/tidemill/console"
	"github.com/tidemill/tidemill/internal/config"
	"github.com/tidemill/tidemill/internal/daemon"
	"github.com/tidemill/tidemill/internal/telemetry"
)

func (c *cli) runCommand() *cobra.Command {
	var format string
	var quiet bool
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the project",
		Long: `Run the project until interrupted: read the sources, seal windows, publish them.

On a terminal it shows a live status; otherwise it prints a line per published window and per
change of state. A changed configuration is taken over while it runs, when it is valid. The
first Ctrl-C stops gracefully, a second one at once: nothing is lost either way.

Telemetry follows the standard OTEL_ variables; Prometheus metrics are at /metrics.`,
		Example: `  tidemill run --config ./clinic
  OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 tidemill run`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().StringVar(&format, "log-format", "text", "text or json, for lines that are not the live status")
	complete(cmd, "log-format", []string{"text", "json"})
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "print no line per published window")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if format != "text" && format != "json" {
			return usage(cmd, fmt.Errorf("--log-format %s: must be text or json", format))
		}
		return c.run(cmd.Context(), format, quiet)
	}
	return cmd
}

// run starts the daemon and shows what it does.
func (c *cli) run(ctx context.Context, format string, quiet bool) error {
	screen := c.screen()
	screen.live = screen.live && format == "text"
	v := viewer{screen: screen, quiet: quiet || screen.live, json: format == "json", command: c.command, program: c.program}
	log, err := telemetry.NewLogger(screen, format, slog.LevelInfo, screen.live)
	if err != nil {
		return err
	}
	v.log = log
	d := daemon.New(daemon.Options{
		Dir: c.dir, Env: c.env, Kinds: kinds(), Log: log, Version: version(),
		Ready: v.ready,
		Event: v.event,
	})
	g, gctx := errgroup.WithContext(ctx)
	shown, done := context.WithCancel(gctx)
	g.Go(func() error { defer done(); return d.Run(gctx) })
	g.Go(func() error { return v.show(shown, d.Status) })
	err = g.Wait()
	if err == nil || errors.Is(err, context.Canceled) && ctx.Err() != nil {
		fmt.Fprintf(screen, "stopped; %s goes on from here\n", c.command("run"))
		return nil
	}
	return err
}

// viewer shows what the daemon does, to a person or to a log.
type viewer struct {
	screen *screen
	log    *slog.Logger
	quiet  bool // no line per window
	json   bool

	program program
	command func(name string, args ...string) string
}

// ready says where to look, once.
func (v *viewer) ready(p *config.Project, i daemon.Info) {
	if v.json {
		v.log.Info("running", telemetry.KeyProject, p.Name, "api", i.API)
		return
	}
	fmt.Fprintf(v.screen, "tidemill runs project %s; API and metrics at http://%s\n", p.Name, i.API)
	fmt.Fprintf(v.screen, "  look:   %s\n", v.command("status", "--watch"))
	fmt.Fprintf(v.screen, "  query:  %s\n", v.command("query", "'select * from "+exampleTable(p)+" limit 10'"))
	if len(p.Pipelines) > 0 {
		fmt.Fprintf(v.screen, "  verify: %s\n", v.command("verify"))
	}
	if len(p.Sources) == 0 || len(p.Pipelines) == 0 {
		fmt.Fprintf(v.screen, "  add:    %s, %s; they are taken over while this runs\n", v.command("new source", "NAME"), v.command("new pipeline", "NAME"))
	}
	fmt.Fprintf(v.screen, "  stop:   Ctrl-C\n\n")
}

// exampleTable is a table to try a query on: the first view, or the table of fences, which is always there.
func exampleTable(p *config.Project) string {
	for _, pl := range p.Pipelines {
		for _, t := range pl.Tables {
			if !t.IsReplica() {
				return t.Name
			}
		}
	}
	return "information_schema.tables"
}

// event prints what has just happened.
func (v *viewer) event(e daemon.Event) {
	switch {
	case e.Published != nil:
		if !v.quiet {
			v.published(e)
		}
	case e.Err != nil && v.json:
		v.log.Error(e.What, telemetry.KeyUnit, e.Unit, telemetry.KeyError, e.Err.Error())
	case e.Err != nil:
		fmt.Fprintf(v.screen, "%s %s: %s\n", e.At.UTC().Format("15:04:05"), e.What, indent(v.program.asCalled(errorBlock(e.Err))))
	case v.json:
		v.log.Info(e.What, telemetry.KeyUnit, e.Unit)
	default:
		fmt.Fprintf(v.screen, "%s %s\n", e.At.UTC().Format("15:04:05"), e.What)
	}
}

func (v *viewer) published(e daemon.Event) {
	p := e.Published
	after := p.Published.Sub(p.WindowEnd)
	if v.json {
		v.log.Info("published", telemetry.KeyPipeline, p.Name, telemetry.KeyWindow, p.Window, telemetry.KeySlice, p.Slice,
			telemetry.KeyRows, p.Rows, telemetry.KeyLag, after)
		return
	}
	when := "after"
	if after < 0 { // a slice need not wait for the end
		when, after = "before", -after
	}
	fmt.Fprintf(v.screen, "%s pipeline %s published %s: %s rows, %s, visible %s %s the window's end\n", e.At.UTC().Format("15:04:05"),
		p.Name, windowText(*p), thousands(p.Rows), count(len(p.Tables), "table"), rough(after), when)
}

// indent moves the lines after the first under it.
func indent(s string) string { return strings.ReplaceAll(s, "\n", "\n         ") }

// show redraws the live status twice a second until ctx ends.
func (v *viewer) show(ctx context.Context, status func() console.Status) error {
	if !v.screen.live {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		s := status()
		if s.Started.IsZero() {
			continue // not up yet
		}
		if err := v.screen.draw(renderStatus(s, width(v.screen.out), s.At, v.program)); err != nil && !errors.Is(err, io.ErrClosedPipe) {
			return fmt.Errorf("showing the status: %w", err)
		}
	}
}
