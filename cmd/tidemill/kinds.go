package main

import (
	"github.com/tidemill/tidemill/internal/daemon"
	sinks "github.com/tidemill/tidemill/sinks/all"
	sources "github.com/tidemill/tidemill/sources/all"
)

// kinds are the connectors of this program.
func kinds() daemon.Kinds {
	return daemon.Kinds{Sources: sources.Sources(), Sinks: sinks.Set()}
}
