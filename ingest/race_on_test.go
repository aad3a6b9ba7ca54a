//go:build race

package ingest

// With the race detector a world takes ten times as long.
const simSeeds, replaySeeds = 400, 50
