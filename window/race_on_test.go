//go:build race

package window

// With the race detector a world takes ten times as long.
const simSeeds, replaySeeds = 150, 20

const simCases = 40
