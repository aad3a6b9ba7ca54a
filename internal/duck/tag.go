//go:build !duckdb_arrow

package duck

// Without the tag the driver has no Arrow interface. The undefined name is the message.
var _ = build_with_GOFLAGS_tags_duckdb_arrow
