package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() { os.Exit(mainCode(os.Args[1:])) }

// exitError carries the exit code of DESIGN §9: 1 runtime, 2 usage or config, 3 environment.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

func usage(err error) error       { return &exitError{2, err} }
func environment(err error) error { return &exitError{3, err} }

func mainCode(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal has its usual, deadly effect: no polite stop may trap anyone, and children die with us. But not
	// within a second: timeout(1) and some supervisors signal both the process and its group, which is one wish.
	context.AfterFunc(ctx, func() { time.AfterFunc(time.Second, stop) })
	err := dispatch(ctx, args)
	var exit *exitError
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, &exit):
		fmt.Fprintln(os.Stderr, "clinic:", err)
		return exit.code
	default:
		fmt.Fprintln(os.Stderr, "clinic:", err)
		return 1
	}
}

func dispatch(ctx context.Context, args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case "install":
			return install(ctx, args[1:], os.Stdout, os.Stderr)
		case "check":
			return check(args[1:], os.Stdout)
		}
	}
	s, err := parse(args)
	if err != nil {
		return err
	}
	return runDemo(ctx, s, os.Stdout)
}

// settings are the demo's flags.
type settings struct {
	config   string
	tidemill string
	patients int
	rate     float64
	seed     uint64
	noDaemon bool
}

func parse(args []string) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("clinic", flag.ContinueOnError)
	flags.StringVar(&s.config, "config", "demo", "project folder; written on the first run, yours afterwards")
	flags.StringVar(&s.tidemill, "tidemill", "", "the tidemill program (default: beside this one)")
	flags.IntVar(&s.patients, "seed-rows", 2000, "patients to begin with; all tables together get about eight rows for each")
	flags.Float64Var(&s.rate, "rate", 40, "operations a second; 0 is as fast as it goes")
	flags.Uint64Var(&s.seed, "rand", 1, "seed of the generator: same seed, same clinic")
	flags.BoolVar(&s.noDaemon, "no-daemon", false, "only the databases and the load, without tidemill")
	if err := flags.Parse(args); err != nil {
		return s, usage(err)
	}
	if flags.NArg() > 0 {
		return s, usage(fmt.Errorf("unknown argument %q; there are: install, check, or flags (see -h)", flags.Arg(0)))
	}
	if s.patients < 1 || s.rate < 0 {
		return s, usage(errors.New("--seed-rows must be 1 or more, and --rate 0 or more"))
	}
	return s, nil
}
