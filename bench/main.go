package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"slices"
	"syscall"

	"golang.org/x/perf/benchfmt"
)

func main() {
	only := flag.String("only", "", "regular expression: run the suites whose name matches")
	count := flag.Int("count", 4, "runs of each benchmark; an A/A control needs two, a range more")
	write := flag.String("write", "", "file to write the report to, beside printing it")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *only, *count, *write); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, only string, count int, write string) error {
	pattern, err := regexp.Compile(only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	m, err := thisMachine(ctx)
	if err != nil {
		return err
	}
	var done []measured
	for _, s := range suites {
		if !pattern.MatchString(s.name) {
			continue
		}
		results, err := s.run(ctx, count)
		if err != nil {
			return fmt.Errorf("measuring %s: %w", s.name, err)
		}
		done = append(done, measured{s, results})
	}
	var before string
	if write != "" {
		old, err := os.ReadFile(write)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		before = string(old)
	}
	text := report(m, done, before)
	fmt.Print(text)
	if write == "" {
		return nil
	}
	return os.WriteFile(write, []byte(text), 0o644)
}

// measured is a suite with every figure of every run, in the order of the runs.
type measured struct {
	suite
	results []series
}

// series are the figures of one benchmark in one unit.
type series struct {
	name, unit string
	values     []float64
}

// run runs the suite's Go benchmarks. What they print goes to standard error as it comes.
func (s suite) run(ctx context.Context, count int) ([]series, error) {
	if s.once {
		count = 1
	}
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "-", "-bench", s.pattern, "-benchtime", s.time, "-count", fmt.Sprint(count), "-timeout", "2h", s.pkg)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	results, err := parse(io.TeeReader(out, os.Stderr), s.units)
	if werr := cmd.Wait(); werr != nil {
		return nil, fmt.Errorf("go test %s: %w", s.pkg, werr)
	}
	return results, err
}

// parse reads Go's benchmark format and keeps the wanted units.
func parse(r io.Reader, units []string) ([]series, error) {
	var out []series
	at := map[[2]string]int{}
	reader := benchfmt.NewReader(r, "go test")
	for reader.Scan() {
		res, ok := reader.Result().(*benchfmt.Result)
		if !ok {
			continue // a line of the tests' own
		}
		base, parts := res.Name.Parts()
		name := string(base)
		for _, p := range parts {
			if p[0] == '/' {
				name += string(p)
			}
		}
		for _, unit := range units {
			v, ok := res.Value(unit)
			if !ok {
				continue
			}
			key := [2]string{name, unit}
			if _, known := at[key]; !known {
				at[key] = len(out)
				out = append(out, series{name: name, unit: unit})
			}
			out[at[key]].values = append(out[at[key]].values, v)
		}
	}
	if err := reader.Err(); err != nil {
		return nil, fmt.Errorf("reading benchmark results: %w", err)
	}
	for _, unit := range units {
		if !slices.ContainsFunc(out, func(s series) bool { return s.unit == unit }) {
			return nil, fmt.Errorf("no benchmark printed %s: was it built with duckdb_arrow in GOFLAGS, as by make bench?", unit)
		}
	}
	return out, nil
}
