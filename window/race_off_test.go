//go:build !race

package window

// How many simulated worlds a test runs: some 20 seconds of two cores.
const simSeeds, replaySeeds = 2_500, 200

// How many histories TestCases runs, of six cases each: about a minute of two cores.
const simCases = 400
