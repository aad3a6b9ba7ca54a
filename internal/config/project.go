package config

import (
	"slices"
	"time"
)

// ProjectFile is the name of the file that makes a folder a project.
const ProjectFile = "tidemill.yaml"

// Project is a whole project folder.
type Project struct {
	// Name is the project's name; it prefixes nothing by itself, it labels telemetry and the status.
	Name string `yaml:"project" jsonschema:"required,pattern=^[a-z][a-z0-9_]*$,description=The project's name"`
	// Window is the length of every window. It divides a day. Default 15m: short enough for a dashboard, long enough
	// that a warehouse is not kept busy with small commits.
	Window time.Duration `yaml:"window" jsonschema:"description=Length of a window; it must divide a day. Default 15m"`
	// Timezone is the default zone of job intervals. Default UTC. Windows themselves are always UTC.
	Timezone string `yaml:"timezone" jsonschema:"description=IANA zone of job intervals. Default UTC"`
	Log      Log    `yaml:"log" jsonschema:"description=Where the log lives: an embedded broker or a Kafka cluster"`
	// Store is the object store of the lake: a folder or s3://bucket/prefix?region=…. Default ./data/lake.
	Store URL `yaml:"store" jsonschema:"description=Folder or s3://bucket/prefix?region=… for Parquet parts and state. Default ./data/lake"`
	// Warehouse is where views are published: duckdb:PATH, postgres://…, redshift://…. Default duckdb:./data/warehouse.db.
	Warehouse URL `yaml:"warehouse" jsonschema:"description=duckdb:PATH or postgres://user:password@host/database or redshift://user:password@host/database. Default duckdb:./data/warehouse.db"`
	// Listen is the address of the HTTP API. Default 127.0.0.1:7171: the API has a token but no TLS.
	Listen string `yaml:"listen" jsonschema:"description=Address of the HTTP API. Default 127.0.0.1:7171"`
	// Data is the daemon's own folder: lock, token, local state. Default ./data.
	Data string `yaml:"data" jsonschema:"description=Folder of the daemon's own files. Default ./data"`
	// Memory is what windows may hold before they spill to disk, for the whole daemon. Default 1GiB: a window of some
	// million rows stays in memory on a small machine; more buys nothing until windows grow past it.
	Memory Size `yaml:"memory" jsonschema:"description=Memory that open windows may hold before they spill to disk. Default 1GiB"`

	// Catalog registers the lake's tables in a data catalog. Default: none.
	Catalog Catalog `yaml:"catalog" jsonschema:"description=Data catalog that the lake's tables and windows are registered in"`

	// Pools are how much of their work jobs may do at one time, by the pool's name: the sum of the weights of the jobs that run
	// in it. The pool default has 4 unless it is said otherwise: enough to keep a warehouse busy, few enough to leave it to others.
	Pools map[string]int `yaml:"pools" jsonschema:"description=What the jobs of a pool may weigh together while they run. Default: default: 4"`
	// Alerts are the channels that alerts of jobs go to, and who hears of what.
	Alerts Alerts `yaml:"alerts" jsonschema:"description=Channels for alerts of jobs"`

	Dir       string     `yaml:"-"` // the folder, as given
	Sources   []Source   `yaml:"-"` // by file name
	Pipelines []Pipeline `yaml:"-"` // by file name
	Jobs      []Job      `yaml:"-"` // by file name
	Templates []Job      `yaml:"-"` // by file name: kind: template

	// JobsUnread says that there are jobs that are not known: nobody can say that a job does not exist (invariant 6).
	JobsUnread bool `yaml:"-"`

	// SourcesUnread says that there are sources whose names are not known: nobody can say that a source does not exist
	// (invariant 6).
	SourcesUnread bool `yaml:"-"`

	expand *expander
	node   Node
}

// Catalog says which data catalog the lake is registered in.
type Catalog struct {
	Glue     string `yaml:"glue" jsonschema:"pattern=^[a-z0-9_]+$,description=Database of the AWS Glue Data Catalog; it is made when it is not there"`
	Region   string `yaml:"region" jsonschema:"description=Region of the catalog. Default: the SDK's chain"`
	Endpoint string `yaml:"endpoint" jsonschema:"description=URL in place of Glue's own endpoint"`
}

// Log says where the log lives. Exactly one of Embedded and Brokers is set.
type Log struct {
	// Embedded is the data folder of a broker inside the daemon. Default ./data/log when no brokers are given.
	Embedded string `yaml:"embedded" jsonschema:"description=Data folder of a broker inside the daemon. Default ./data/log"`
	// Brokers are the seed addresses of a Kafka cluster.
	Brokers []string `yaml:"brokers" jsonschema:"description=Seed brokers of a Kafka cluster: host:port"`
	TLS     *TLS     `yaml:"tls" jsonschema:"description=TLS to the brokers; an empty mapping uses the system's roots"`
	SASL    *SASL    `yaml:"sasl" jsonschema:"description=Login at the brokers"`
	// Prefix is put before every topic name on a shared cluster. Default none.
	Prefix string `yaml:"prefix" jsonschema:"description=Put before every topic name on a shared cluster"`
	// Replication of topics that the daemon creates on a cluster. Default 3, the usual floor for acks=all to mean much.
	Replication int `yaml:"replication" jsonschema:"description=Replication factor of new topics on a cluster. Default 3"`
	// Partitions of new table topics. Default 4: enough for the readers of one machine; more costs a seal per window each.
	Partitions int `yaml:"partitions" jsonschema:"description=Partitions of new table topics. Default 4"`
	// Session is how long a daemon may be silent before the others on a cluster take over what it ran. Default 10s: what
	// a paused daemon writes later is refused in any case, so this only decides how long a dead one's windows wait.
	Session time.Duration `yaml:"session" jsonschema:"description=How long a daemon on a cluster may be silent before others take over. The brokers' group.min.session.timeout.ms (6s unless changed) is the least. Default 10s"`
}

// LocalFile is the path of a file. Decoding makes it relative to the project folder.
type LocalFile string

// TLS configures TLS to a Kafka cluster.
type TLS struct {
	CA   LocalFile `yaml:"ca" jsonschema:"description=PEM file of the authority that signed the brokers' certificates"`
	Cert LocalFile `yaml:"cert" jsonschema:"description=PEM file of the client certificate"`
	Key  LocalFile `yaml:"key" jsonschema:"description=PEM file of the client certificate's key"`
}

// SASL is a login at a Kafka cluster.
type SASL struct {
	Mechanism string `yaml:"mechanism" jsonschema:"required,enum=PLAIN,enum=SCRAM-SHA-256,enum=SCRAM-SHA-512"`
	User      string `yaml:"user" jsonschema:"required"`
	Password  Secret `yaml:"password" jsonschema:"required"`
}

// Default is the project before its file is read.
func Default() Project {
	return Project{
		Window:    15 * time.Minute,
		Timezone:  "UTC",
		Log:       Log{Replication: 3, Partitions: 4, Session: 10 * time.Second},
		Store:     NewURL("./data/lake"),
		Warehouse: NewURL("duckdb:./data/warehouse.db"),
		Listen:    "127.0.0.1:7171",
		Data:      "./data",
		Memory:    1 << 30,
		Pools:     map[string]int{"default": 4},
	}
}

// Source is one sources/*.yaml: the envelope that every kind shares, and the rest for the kind's own decode.
type Source struct {
	Name string
	Type string
	File string // relative to the folder
	Node Node
}

// Pipeline is one pipelines/*.yaml: tables that publish together.
type Pipeline struct {
	Kind   string  `yaml:"kind" jsonschema:"required,enum=pipeline"`
	Name   string  `yaml:"name" jsonschema:"required,pattern=^[a-z][a-z0-9_]*$,description=The pipeline's name"`
	Tables []Table `yaml:"tables" jsonschema:"required,minItems=1,description=Output tables; they publish together"`
	// MaxQuarantine is how many rows a publish may put into quarantine, in all its tables together; with more the pipeline
	// stands still. Default 0: no row is missing in a table unless somebody has agreed to it.
	MaxQuarantine int64 `yaml:"max_quarantine" jsonschema:"minimum=0,description=How many rows a publish may keep in tidemill.quarantine instead of its tables because no warehouse can hold one of their values. With more the pipeline stands still. Default 0"`

	File string `yaml:"-"` // relative to the folder
	node Node
}

// Table is one entry of a pipeline: replicas of source tables (Replicate), or one SQL view (Name, SQL, Key).
type Table struct {
	Replicate string `yaml:"replicate" jsonschema:"description=source.schema.table; * stands for any characters in schema and table"`
	Into      string `yaml:"into" jsonschema:"description=Warehouse schema of the replicas"`
	// Mode is how a replica is kept: upsert (the default) mirrors the source table.
	Mode string   `yaml:"mode" jsonschema:"enum=upsert,description=How a replica is kept. Default upsert"`
	Name string   `yaml:"name" jsonschema:"description=schema.table in the warehouse"`
	SQL  string   `yaml:"sql" jsonschema:"description=File of the view's SELECT, relative to this file"`
	Key  []string `yaml:"key" jsonschema:"description=Columns of the view that identify a row"`
	// DistKey and SortKey are how Redshift spreads and sorts the table when it is made. A column that not every table of a pattern
	// has counts for those that have it.
	DistKey string   `yaml:"distkey" jsonschema:"description=Redshift: column that the table is distributed by. Default: as the warehouse address says\\, which is AUTO"`
	SortKey []string `yaml:"sortkey" jsonschema:"description=Redshift: columns that the table is sorted by. Default: as the warehouse address says\\, which is AUTO"`

	Query     string `yaml:"-"` // content of the SQL file
	QueryFile string `yaml:"-"` // relative to the folder
}

// IsReplica reports whether the table replicates source tables as they are.
func (t Table) IsReplica() bool { return t.Replicate != "" }

// Problem is a problem at a path of the pipeline's file, for checks that need more than the file.
func (p *Pipeline) Problem(path, message string) Problem { return p.node.Problem(path, message) }

// Problem is a problem at a path of tidemill.yaml.
func (p *Project) Problem(path, message string) Problem { return p.node.Problem(path, message) }

// Missing lists the references to variables and files that are not there (invariant 5), among all that has been decoded
// so far: decode the sources first. Whoever needs the values must refuse to go on when it is not empty.
func (p *Project) Missing() Problems {
	return slices.Compact(slices.SortedStableFunc(slices.Values(p.expand.missing), compareProblems))
}
