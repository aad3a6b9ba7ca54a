package servers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"
)

// node is a broker's place in its cluster.
type node struct {
	id      int
	heap    string
	cluster *Cluster
	door    *Door
}

// Door is a second listener of a broker, with TLS and a login by PLAIN or SCRAM. The first one stays as it is.
type Door struct {
	Cert, Key      string // PEM files
	User, Password string
}

// NewKafka is one Kafka broker in KRaft mode that is its own controller. Config lines are server properties.
func NewKafka(o Options) *Server { return NewKafkaCluster(1, o).Brokers[0] }

// NewSecureKafka is NewKafka with a secure door, at DoorAddr.
func NewSecureKafka(o Options, d Door) *Server {
	c := &Cluster{}
	c.Brokers = []*Server{newBroker(o, node{id: 1, heap: "-Xmx1g", cluster: c, door: &d})}
	return c.Brokers[0]
}

// DoorAddr is host:port of a broker's secure door, once it has been started.
func (s *Server) DoorAddr() string { return net.JoinHostPort(Loopback, strconv.Itoa(s.extra[1])) }

// Cluster is a Kafka cluster of several brokers on this machine, each also a controller.
type Cluster struct {
	Brokers []*Server
}

// NewKafkaCluster is n brokers with every topic on min(n, 3) of them. Ports are chosen at Start; of the options
// only Dir (its subfolders 1..n) and Config are used when n > 1.
func NewKafkaCluster(n int, o Options) *Cluster {
	c := &Cluster{}
	heap := "-Xmx1g"
	if n > 1 {
		heap = "-Xmx512m"
	}
	for id := 1; id <= n; id++ {
		own := o
		if n > 1 {
			own.Port = 0
			if o.Dir != "" {
				own.Dir = filepath.Join(o.Dir, strconv.Itoa(id))
			}
		}
		c.Brokers = append(c.Brokers, newBroker(own, node{id: id, heap: heap, cluster: c}))
	}
	return c
}

func newBroker(o Options, n node) *Server {
	s := newServer(flavour{
		component: kafkaComponent(),
		prepare:   func(ctx context.Context, s *Server) error { return prepareKafka(ctx, s, n) },
		command:   func(s *Server) (*exec.Cmd, error) { return s.java(n.heap, "kafka.Kafka", s.properties()), nil },
		ready:     func(ctx context.Context, s *Server) error { return kafkaReady(ctx, s, n.id) },
		dsn:       func(s *Server, _ string) string { return s.Addr() },
		stop:      syscall.SIGTERM,
		ports:     n.ports(),
	}, o)
	if n.id > 1 {
		s.Name = fmt.Sprintf("%s broker %d", s.Name, n.id)
	}
	return s
}

// ports are the broker's, its controller's and its door's.
func (n node) ports() int {
	if n.door == nil {
		return 2
	}
	return 3
}

func kafkaComponent() Component {
	return Component{
		Name: "kafka", Title: "Kafka 4",
		Bring: fetchCommand("kafka"),
		check: func() error {
			if _, err := exec.LookPath("java"); err != nil {
				return errors.New("no java in PATH")
			}
			_, err := inCache("kafka/lib/kafka_2.13-*.jar")
			return err
		},
	}
}

// Addrs are the brokers' addresses, to be given to a client as seeds.
func (c *Cluster) Addrs() []string {
	var addrs []string
	for _, b := range c.Brokers {
		addrs = append(addrs, b.Addr())
	}
	return addrs
}

// Start starts all brokers at once: alone, none of them would find a quorum and become ready.
func (c *Cluster) Start(ctx context.Context) error {
	for _, b := range c.Brokers {
		if err := b.choosePorts(false); err != nil {
			return err
		}
	}
	var g errgroup.Group
	for _, b := range c.Brokers {
		g.Go(func() error { return b.Start(ctx) })
	}
	return g.Wait()
}

// Stop stops all brokers politely. They go at once too: one that waits for a controller that left waits long.
func (c *Cluster) Stop(ctx context.Context) error {
	var g errgroup.Group
	for _, b := range c.Brokers {
		g.Go(func() error { return b.Stop(ctx) })
	}
	return g.Wait()
}

// Remove kills all brokers and deletes their folders.
func (c *Cluster) Remove() error {
	var failed []error
	for _, b := range c.Brokers {
		failed = append(failed, b.Remove())
	}
	return errors.Join(failed...)
}

func (c *Cluster) voters() string {
	var voters []string
	for i, b := range c.Brokers {
		voters = append(voters, fmt.Sprintf("%d@%s:%d", i+1, Loopback, b.extra[0]))
	}
	return strings.Join(voters, ",")
}

// java runs a main class of Kafka. The wildcard in the class path is java's own, not the shell's.
func (s *Server) java(heap, class string, args ...string) *exec.Cmd {
	dir := filepath.Join(Cache(), "kafka")
	line := []string{heap, "-XX:+UseSerialGC", "-Dlog4j2.configurationFile=" + filepath.Join(dir, "log4j2.xml"),
		"-Djava.io.tmpdir=" + s.temporary(), // Java does not look at TMPDIR
		"-cp", filepath.Join(dir, "lib") + "/*", class}
	return exec.Command("java", append(line, args...)...)
}

func (s *Server) properties() string { return filepath.Join(s.Dir, "server.properties") }

// kafkaSettings: after a kill a broker is admitted again once its old session has run out; 4 s instead of the usual 9
// keeps kill tests short.
const kafkaSettings = `process.roles=broker,controller
node.id=%[1]d
controller.quorum.voters=%[2]s
listeners=PLAINTEXT://127.0.0.1:%[3]d,CONTROLLER://127.0.0.1:%[4]d
controller.listener.names=CONTROLLER
log.dirs=%[5]s
default.replication.factor=%[6]d
min.insync.replicas=%[7]d
offsets.topic.replication.factor=%[6]d
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=%[6]d
transaction.state.log.min.isr=%[7]d
transaction.state.log.num.partitions=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=500
auto.create.topics.enable=false
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=500
`

// kafkaClusterID is any valid id: each of our clusters is alone on its ports.
const kafkaClusterID = "dGlkZW1pbGwtdGVzdHMtMQ"

func prepareKafka(ctx context.Context, s *Server, n node) error {
	copies := min(len(n.cluster.Brokers), 3)
	settings := func(data string) string {
		return fmt.Sprintf(kafkaSettings, n.id, n.cluster.voters(), s.Port, s.extra[0], data, copies, max(1, copies-1)) +
			n.doorSettings(s) + strings.Join(s.config, "\n") + "\n"
	}
	format := []string{"format", "-t", kafkaClusterID, "-c", s.properties()}
	if n.door != nil {
		if err := n.door.writeKeystore(s); err != nil {
			return err
		}
		format = append(format, "--add-scram", fmt.Sprintf("SCRAM-SHA-512=[name=%s,password=%s]", n.door.User, n.door.Password))
	}
	err := s.fill(func(dir string) error {
		if err := os.WriteFile(s.properties(), []byte(settings(dir)), 0o644); err != nil {
			return err
		}
		return s.run(ctx, s.java(n.heap, "kafka.tools.StorageTool", format...))
	})
	if err != nil {
		return err
	}
	return os.WriteFile(s.properties(), []byte(settings(s.data())), 0o644)
}

const kafkaDoor = `listeners=PLAINTEXT://127.0.0.1:%[1]d,CONTROLLER://127.0.0.1:%[2]d,SASL_SSL://127.0.0.1:%[3]d
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512
listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_%[4]s="%[5]s";
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
ssl.keystore.type=PEM
ssl.keystore.location=%[6]s
`

func (n node) doorSettings(s *Server) string {
	if n.door == nil {
		return ""
	}
	return fmt.Sprintf(kafkaDoor, s.Port, s.extra[0], s.extra[1], n.door.User, n.door.Password, s.keystore())
}

func (s *Server) keystore() string { return filepath.Join(s.Dir, "keystore.pem") }

// writeKeystore puts key and certificate into one file, as Kafka wants them.
func (d *Door) writeKeystore(s *Server) error {
	var all []byte
	for _, name := range []string{d.Key, d.Cert} {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		all = append(all, text...)
	}
	return os.WriteFile(s.keystore(), all, 0o600)
}

// kafkaReady holds when the cluster lists this broker, which it does only once the broker may serve clients.
func kafkaReady(ctx context.Context, s *Server, id int) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(s.Addr()), kgo.RetryTimeout(0), kgo.RequestRetries(0))
	if err != nil {
		return err
	}
	defer client.Close()
	meta, err := kadm.NewClient(client).BrokerMetadata(ctx)
	if err != nil {
		return err
	}
	if !slices.Contains(meta.Brokers.NodeIDs(), int32(id)) {
		return errors.New("the broker is not yet admitted to its cluster")
	}
	return nil
}
