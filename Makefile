# tidemill. `make run` shows it at work on two private databases, `make test` runs every test against real servers.

# duckdb_arrow compiles DuckDB's Arrow interface in; every go command here needs it. What the machine has set stays.
export GOFLAGS := $(strip $(shell go env GOFLAGS) -tags=duckdb_arrow)

# Two packages at a time: each starts servers of its own, and a laptop has to hold them all.
TEST_FLAGS ?= -race -p 2 -timeout 60m
PACKAGES ?= ./...

# Tests that kill a process at a named point need the points compiled in; without the tag they would be skipped.
KILL_TEST ?= go test $(TEST_FLAGS) -tags "duckdb_arrow failpoint" ./internal/failpoint ./sinks/duckdb

# Ten thousand simulated worlds and some thousand random cases: with the race detector they would take ten times as long, so that
# the run above has a few hundred only. One package at a time, since each uses all cores.
SIM_TEST ?= go test -p 1 -timeout 20m ./ingest ./window -v -run '^(TestCrashesAndZombies|TestWorld|TestCases)$$'

.PHONY: run build test chaos bench lint clean

run: build
	@bin/clinic

build:
	go build -o bin/ ./cmd/...

# A component that can't be had is skipped, loudly: named before the tests and once more after them. With
# TIDEMILL_REQUIRE=all, as in CI, it fails instead.
test: bin/clinic
	@bin/clinic install --soft
	@status=0; go test $(TEST_FLAGS) $(PACKAGES) || status=$$?; $(KILL_TEST) || status=$$?; $(SIM_TEST) || status=$$?; bin/clinic check --missing; exit $$status

# Breaks the line on purpose for as long as you like: N SIGKILLs of the daemon on four lines, and a round of every other
# fault for each hundred of them. Each test prints its toll; `-seed` in its output repeats what was drawn.
N ?= 1000
FAULTS = Chaos|Kill|Restart|Zombie|TwoDaemons|BrokersOfThree|ServerKilled|StoreFails|BackendKilled|FullDisks|Bank
chaos: bin/clinic
	@bin/clinic install --soft
	go test ./internal/e2e -run '^Test.*($(FAULTS))' -v -timeout 0 -kills $(N) -rounds $$(( ($(N) + 99) / 100 ))

# Measures the numbers to reach and writes docs/bench.md. Wants a quiet machine and half an hour.
bench:
	go run ./bench -write docs/bench.md

.PHONY: bin/clinic
bin/clinic:
	@go build -o bin/clinic ./cmd/clinic

lint:
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$unformatted" ]; then echo "gofmt -w:" $$unformatted; exit 1; fi
	go vet ./...
	@if command -v golangci-lint >/dev/null; then golangci-lint run ./...; else echo "golangci-lint is not here: only gofmt and go vet were run"; fi

clean:
	rm -rf bin demo
