//go:build !race

package ingest

// How many simulated worlds a test runs: some 20 seconds of two cores.
const simSeeds, replaySeeds = 10_000, 300
