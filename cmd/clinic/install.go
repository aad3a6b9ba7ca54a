package main

import (
	"context"
	"flag"
	"fmt"
	"io"

	"github.com/tidemill/tidemill/internal/servers"
)

// install brings components. With -soft a missing one is reported and is no error.
func install(ctx context.Context, args []string, out, progress io.Writer) error {
	flags := flag.NewFlagSet("clinic install", flag.ContinueOnError)
	soft := flags.Bool("soft", false, "exit 0 even when a component could not be had")
	if err := flags.Parse(args); err != nil {
		return usage(err)
	}
	wanted, err := servers.ComponentsByName(flags.Args()...)
	if err != nil {
		return usage(err)
	}
	err = servers.Install(ctx, progress, flags.Args()...)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	report(out, wanted, true)
	if err != nil && !*soft {
		return environment(err)
	}
	return nil
}

// check reports what is there; with -missing only what is not.
func check(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("clinic check", flag.ContinueOnError)
	missing := flags.Bool("missing", false, "name only what is missing")
	if err := flags.Parse(args); err != nil {
		return usage(err)
	}
	report(out, servers.Components(), !*missing)
	return nil
}

func report(out io.Writer, components []servers.Component, present bool) {
	for _, c := range components {
		if err := c.Check(); err != nil {
			fmt.Fprintf(out, "SKIPPED  %v\n", err)
		} else if present {
			fmt.Fprintf(out, "present  %s\n", c.Title)
		}
	}
}
