package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/config"
)

// kind is what a shell may complete an argument to.
type kind int

const (
	ofSources kind = 1 << iota
	ofPipelines
	ofTables // of sources, as a running daemon has found them
	ofJobs
	ofChannels
)

// completeWait bounds how long a Tab may take.
const completeWait = 2 * time.Second

// complete completes arguments of the kinds. Only the first is, unless the command takes several.
func (c *cli) complete(kinds kind, several bool) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 && !several {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return c.names(cmd.Context(), kinds), cobra.ShellCompDirectiveNoFileComp
	}
}

func (c *cli) names(ctx context.Context, kinds kind) (out []cobra.Completion) {
	p, _ := config.Load(c.dir, c.env) // what is wrong with it does not concern the shell
	if kinds&ofSources != 0 {
		for _, s := range p.Sources {
			out = append(out, s.Name)
		}
	}
	if kinds&ofPipelines != 0 {
		for _, pl := range p.Pipelines {
			out = append(out, pl.Name)
		}
	}
	if kinds&ofJobs != 0 {
		out = append(out, c.jobNames()...)
	}
	if kinds&ofChannels != 0 {
		out = append(out, p.Alerts.Channels()...)
	}
	if kinds&ofTables == 0 {
		return out
	}
	client, err := c.client()
	if err != nil {
		return out
	}
	ctx, cancel := context.WithTimeout(ctx, completeWait)
	defer cancel()
	status, _, err := client.status(ctx)
	if err != nil {
		return out
	}
	for _, s := range status.Sources {
		for _, t := range s.Tables {
			out = append(out, s.Name+"."+t.Name)
		}
	}
	return out
}

func (c *cli) jobNames() (out []string) {
	p, _ := config.Load(c.dir, c.env) // what is wrong with it is said elsewhere
	for _, j := range p.Jobs {
		out = append(out, j.Name)
	}
	return out
}
