package main

import (
	"regexp"
	"slices"
)

// suite is a set of Go benchmarks that answer one question.
type suite struct {
	name    string // for -only
	title   string
	pkg     string
	pattern string // of go test -bench
	time    string // of go test -benchtime
	units   []string
	reaches []reach
	ratios  []ratio
	once    bool   // too long to repeat: no A/A control
	limits  string // what the figures say, and what limits them now
}

// reach is a number to reach (DESIGN §11).
type reach struct {
	name *regexp.Regexp
	unit string
	want float64
	most bool // at most, not at least
}

// ratio compares two benchmarks of the same run.
type ratio struct {
	of, to, unit string
	want         float64
}

func atLeast(name, unit string, want float64) reach {
	return reach{regexp.MustCompile(name), unit, want, false}
}

func atMost(name, unit string, want float64) reach {
	return reach{regexp.MustCompile(name), unit, want, true}
}

var suites = []suite{
	{
		name: "decode", title: "Binlog rows to Arrow builders, one core", pkg: "./sources/mysql/rows", pattern: "^BenchmarkRows$", time: "1s",
		units: []string{"rows/s", "B/s", "allocs/op"},
		reaches: []reach{
			atLeast("tidemill", "rows/s", 3e6), atMost("tidemill", "allocs/op", 0),
		},
		ratios: []ratio{
			{"Rows/mariadb/tidemill-1", "Rows/mariadb/go-mysql", "rows/s", 5},
			{"Rows/mysql/tidemill-1", "Rows/mysql/go-mysql", "rows/s", 5},
		},
		limits: "Ten columns, 117 bytes a row in the log. `-1` and `-4` are partitions: with more than one every key is hashed. go-mysql is its own decoder in its fastest setting, on the same bytes in the same run.",
	},
	{
		name: "stream", title: "A server's log over the wire: tidemill, go-mysql, raw", pkg: "./sources/mysql", pattern: "^BenchmarkStream$", time: "3x",
		units: []string{"rows/s", "B/s", "cpu-s/Mrow", "allocs/row"},
		reaches: []reach{
			atLeast("10_columns/tidemill", "rows/s", 3e6), atLeast("one_row_transactions/tidemill", "rows/s", 150e3),
			atMost("_columns/tidemill", "allocs/row", 0.2),
		},
		ratios: slices.Concat(streamRatios("mariadb"), streamRatios("mysql")),
		limits: "The server runs on the same cores. `tidemill` is a whole source: packets, checksums, groups, rows into four partitions of builders that are thrown away. `go-mysql` parses rows in its fastest setting, `go-mysql-raw` " +
			"hands events out unparsed, `raw` reads packets and looks at nothing: the limit of the wire. A transaction of one row costs the text of its position, one allocation. Limit: at the raw rate the server alone keeps one of the two cores busy, and reading, checking and decoding 1.2 GB a second would have to fit the other; the decoder alone makes about 1 GB/s (above).",
	},
	{
		name: "tolog", title: "MariaDB to the durable log", pkg: "./bench", pattern: "^BenchmarkLog$", time: "1x",
		units: []string{"rows/s", "cpu-s"},
		reaches: []reach{
			atLeast("/rows", "rows/s", 800e3), atLeast("/one_row_transactions", "rows/s", 150e3), atLeast("/first_load", "rows/s", 400e3),
		},
		limits: "From the start of the source's owner until a checkpoint says that every row is acknowledged. `cpu-s` is the owner's, with the broker when that is embedded; the server and Kafka run on the same cores.",
	},
	{
		name: "dynamodb", title: "A DynamoDB stream to the durable log", pkg: "./sources/dynamodb", pattern: "^BenchmarkStreamToLog$", time: "1000000x",
		units: []string{"records/s", "cpu-sec/record", "peak-RSS-bytes"}, reaches: []reach{atLeast("", "records/s", 100e3)},
		limits: "Eight shards of a stand-in that serves HTTP in the same process, on the same cores, with a CPU of its own in the figures; AWS gives 2 MB a second and shard.",
	},
	{
		name: "log", title: "Rows to the durable embedded log", pkg: "./ingest", pattern: "^BenchmarkDurableLog$", time: "2s",
		units: []string{"rows/s", "allocs/op"}, reaches: []reach{atLeast("group=100000", "rows/s", 800e3), atLeast("group=1$", "rows/s", 150e3)},
		limits: "Synced before the checkpoint. `group` is rows of one transaction.",
	},
	{
		name: "window", title: "Log to collapsed window to Parquet", pkg: "./window", pattern: "^BenchmarkLogToParquet$", time: "3x",
		units: []string{"rows/s"}, reaches: []reach{atLeast("/pipeline", "rows/s", 700e3)},
		limits: "One million rows, a quarter of them changing a key again. `fetch_only` is what the same client needs only to fetch them: the raw limit.",
	},
	{
		name: "view", title: "Joined view: 50 k changes on 5 M + 5 M + 1 M rows", pkg: "./window/state", pattern: "^BenchmarkView$", time: "3x",
		units: []string{"sec/op"}, reaches: []reach{atMost("", "sec/op", 0.4)},
		limits: "State update included. Limit: DuckDB divides no table of fewer than 122,880 rows among threads, and what a window touches is fewer: copying the neighbours out of 5 M rows (0.1 s), the difference of the view before and after (0.12 s) and the Parquet of 90 k rows of 22 columns (0.1 s) follow each other.",
	},
	{
		name: "line", title: "The whole line: MariaDB's log to rows that a query sees", pkg: "./bench", pattern: "^BenchmarkLine$", time: "1x",
		units: []string{"rows/s", "cpu-s", "start-s", "s-collapse", "s-parquet", "s-load", "s-apply"},
		reaches: []reach{
			atLeast("duckdb/inserts", "rows/s", 500e3), atLeast("postgres/inserts", "rows/s", 250e3),
		},
		limits: "A backlog of 1 M inserts, or of 5 updates each of 100 k keys, in transactions of 10 k rows; the clock runs from the start of the daemon until the last row is visible. The log is durable, the warehouse commits are synced. Limit: reading the log takes 0.8 s of it; then the one window waits for its Parquet and its load in turn, PostgreSQL's COPY longest.",
	},
	{
		name: "grows", title: "The joined view over more state and more changes", pkg: "./window/state", pattern: "^BenchmarkViewGrows$", time: "3x",
		units:  []string{"sec/op", "cpu-ms"},
		limits: "Rows of each of the two large tables, changes of one window; a window that changes more than 30 % of the anchors is evaluated whole, in buckets.",
	},
	{
		name: "visible", title: "From a window's end to its rows in a query, 1 M rows in every window", pkg: "./bench", pattern: "^BenchmarkVisible$", time: "1x",
		units: []string{"p50-s", "p99-s", "rows-in-the-largest-window"}, reaches: []reach{atMost("", "p99-s", 10)},
		limits: "Fifteen windows of 20 s, the next one's rows coming meanwhile; embedded broker, DuckDB warehouse, MariaDB on the same cores. Of fifteen windows p99 is the worst.",
	},
	{
		name: "restart", title: "From a daemon's start to its first publish, 5 M rows of state", pkg: "./bench", pattern: "^BenchmarkRestart$", time: "1x",
		units:  []string{"s-to-publish"},
		limits: "A joined view, windows of 5 s, one window to catch up with. Without its state file the daemon takes it from the last snapshot in the lake and the log.",
	},
	{
		name: "large", title: "A window of 10 GB under 2 GB of memory", pkg: "./bench", pattern: "^BenchmarkLargeWindow$", time: "1x", once: true,
		units: []string{"peak-RSS-bytes", "bytes-in-the-window", "s-to-write"}, reaches: []reach{atMost("", "peak-RSS-bytes", 2<<30)},
		limits: "Rows of about 1 kB, each key twice, through Kafka; `memory: 256MiB`, `memory_limit=256MB` of the warehouse, GOMEMLIMIT=512MiB. The peak of the daemon's resident memory, with DuckDB's and the program's own pages. What is past the source's slice size is published before the window ends.",
	},
	{
		name: "idle", title: "An idle daemon with 100 tables, windows of 10 s", pkg: "./bench", pattern: "^BenchmarkIdle$", time: "1x",
		units: []string{"RSS-bytes", "anonymous-bytes", "core-%"},
		reaches: []reach{
			atMost("", "RSS-bytes", 150<<20), atMost("", "core-%", 2),
		},
		limits: "After the first load, over a minute. Some 100 MB of RSS are pages of the program itself, most of them DuckDB's, which the system may take back; `anonymous-bytes` is what the daemon itself holds.",
	},
}

// streamRatios compare the readers of one server's log.
func streamRatios(server string) (out []ratio) {
	for _, table := range []string{"10_columns", "60_columns", "one_row_transactions"} {
		of := func(reader string) string { return "Stream/" + server + "/" + table + "/" + reader }
		out = append(out, ratio{of("tidemill"), of("go-mysql"), "rows/s", map[bool]float64{true: 5, false: 0}[table == "10_columns"]}, ratio{of("tidemill"), of("go-mysql-raw"), "rows/s", 0.7}, ratio{of("tidemill"), of("raw"), "rows/s", 0.7})
	}
	return out
}
