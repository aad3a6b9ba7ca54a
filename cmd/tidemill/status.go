package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/console"
)

func (c *cli) statusCommand() *cobra.Command {
	var asJSON, watch bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what the daemon is doing",
		Long:  `Show per pipeline the last published window and how far it lies behind now, and per source what it is doing.`,
		Example: `  tidemill status
  tidemill status --watch
  tidemill status --json | jq '.pipelines[].window'`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the status as JSON")
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "keep showing it until interrupted")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		client, err := c.client()
		if err != nil {
			return err
		}
		if !watch {
			s, raw, err := client.status(cmd.Context())
			if err == nil {
				err = c.showStatus(s, raw, asJSON)
			}
			return err
		}
		return c.watchStatus(cmd, client, asJSON)
	}
	return cmd
}

func (c *cli) showStatus(s console.Status, raw []byte, asJSON bool) error {
	text := string(raw)
	if !asJSON {
		text = strings.Join(renderStatus(s, width(c.out), s.At, c.program), "\n") + "\n"
	}
	_, err := io.WriteString(c.out, text)
	return err
}

func (c *cli) watchStatus(cmd *cobra.Command, client *client, asJSON bool) error {
	c.stoppedClean = true // an interrupt is how one leaves
	screen := c.screen()
	for {
		s, raw, err := client.status(cmd.Context())
		if err != nil {
			return err
		}
		if asJSON || !screen.live {
			err = c.showStatus(s, raw, asJSON)
		} else {
			err = screen.draw(renderStatus(s, width(c.out), s.At, c.program))
		}
		if err != nil {
			return fmt.Errorf("showing the status: %w", err)
		}
		select {
		case <-cmd.Context().Done():
			return cmd.Context().Err()
		case <-time.After(time.Second):
		}
	}
}
