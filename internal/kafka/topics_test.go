package kafka

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// On a cluster whose default is one copy in sync, acks=all would be content with a leader that is alone.
func TestTopicsOfThreeCopiesWantTwoInSync(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(3))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	cl := client(t, Config{Brokers: c.ListenAddrs()})
	if err := EnsureTopics(limit(t), cl, Topic{Name: "three", Partitions: 1, Replication: 3}, Topic{Name: "one", Partitions: 1, Replication: 1}); err != nil {
		t.Fatal(err)
	}
	got, err := cl.admin().DescribeTopicConfigs(limit(t), "three", "one")
	if err != nil {
		t.Fatal(err)
	}
	for _, topic := range got {
		value := "1" // of a cluster that is left as it is
		for _, k := range topic.Configs {
			if k.Key == "min.insync.replicas" {
				value = k.MaybeValue()
			}
		}
		if want := map[string]string{"three": "2", "one": "1"}[topic.Name]; value != want {
			t.Errorf("topic %s: min.insync.replicas is %s, want %s", topic.Name, value, want)
		}
	}
}

// More copies than brokers: the setting is named, not the broker's code alone.
func TestMoreCopiesThanBrokers(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	c.ControlKey(int16(kmsg.CreateTopics), func(r kmsg.Request) (kmsg.Response, error, bool) { // kfake itself makes them
		req := r.(*kmsg.CreateTopicsRequest)
		resp := req.ResponseKind().(*kmsg.CreateTopicsResponse)
		for _, asked := range req.Topics {
			topic := kmsg.NewCreateTopicsResponseTopic()
			topic.Topic, topic.ErrorCode = asked.Topic, kerr.InvalidReplicationFactor.Code
			resp.Topics = append(resp.Topics, topic)
		}
		return resp, nil, true
	})
	err = EnsureTopics(limit(t), client(t, Config{Brokers: c.ListenAddrs()}), Topic{Name: "t", Partitions: 1, Replication: 3})
	if err == nil || !strings.Contains(err.Error(), "set log.replication") {
		t.Errorf("got %v", err)
	}
}

// A topic that another daemon has just made is there for the controller and not yet for the broker that is asked.
func TestTopicsMadeByTwoAtOnce(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "t"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	unknown := 5
	c.ControlKey(int16(kmsg.Metadata), func(r kmsg.Request) (kmsg.Response, error, bool) {
		req := r.(*kmsg.MetadataRequest)
		c.KeepControl()
		if len(req.Topics) != 1 || unknown == 0 {
			return nil, nil, false
		}
		unknown--
		resp := req.ResponseKind().(*kmsg.MetadataResponse)
		topic := kmsg.NewMetadataResponseTopic()
		topic.Topic, topic.ErrorCode = req.Topics[0].Topic, kerr.UnknownTopicOrPartition.Code
		resp.Topics = append(resp.Topics, topic)
		return resp, nil, true
	})
	cl := client(t, Config{Brokers: c.ListenAddrs()})
	if err := EnsureTopics(limit(t), cl, Topic{Name: "t", Partitions: 3}); err != nil {
		t.Error(err)
	}
	if unknown > 0 {
		t.Errorf("the topic should have stayed unknown for %d more requests", unknown)
	}
}
