package kafka

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Identity is what tells a cluster and its topics from others of the same names. A topic that is deleted and made again has
// another id; its offsets may look as if nothing had happened.
type Identity struct {
	Cluster string            `json:"cluster,omitempty"`
	Topics  map[string]string `json:"topics,omitempty"` // ids by plain name
}

// Identify asks for the ids of the cluster and of topics. Topics that are not there have none, and neither have any of a
// cluster older than Kafka 2.8.
func Identify(ctx context.Context, cl *Client, topics ...string) (Identity, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.AllowAutoTopicCreation = false
	req.Topics = []kmsg.MetadataRequestTopic{} // of none, where nil would be all
	for _, name := range topics {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(cl.Name(name))
		req.Topics = append(req.Topics, t)
	}
	resp, err := req.RequestWith(ctx, cl.Client)
	if err != nil {
		return Identity{}, fmt.Errorf("asking for the ids of topics: %w", err)
	}
	out := Identity{Topics: map[string]string{}}
	if resp.ClusterID != nil {
		out.Cluster = *resp.ClusterID
	}
	for _, t := range resp.Topics {
		err := kerr.ErrorForCode(t.ErrorCode)
		switch {
		case t.Topic == nil || errors.Is(err, kerr.UnknownTopicOrPartition):
		case err != nil && !kerr.IsRetriable(err):
			return Identity{}, fmt.Errorf("asking for the id of topic %s: %w", *t.Topic, err)
		case t.TopicID != [16]byte{}:
			out.Topics[cl.Plain(*t.Topic)] = hex.EncodeToString(t.TopicID[:])
		}
	}
	return out, nil
}

// String is the identity as one text: the cluster and the ids of the topics.
func (i Identity) String() string {
	text := i.Cluster
	for _, name := range slices.Sorted(maps.Keys(i.Topics)) {
		text += "/" + i.Topics[name]
	}
	return text
}

// Changed says what of an identity that was noted earlier is another one now: the cluster, or the topic that it names. What
// one of the two does not know has not changed.
func (i Identity) Changed(now Identity) (cluster bool, topic string) {
	if i.Cluster != "" && now.Cluster != "" && i.Cluster != now.Cluster {
		return true, ""
	}
	for name, id := range i.Topics {
		if other := now.Topics[name]; other != "" && other != id && (topic == "" || name < topic) {
			topic = name
		}
	}
	return false, topic
}

// And adds what is newly known.
func (i Identity) And(now Identity) Identity {
	out := Identity{Cluster: now.Cluster, Topics: map[string]string{}}
	if out.Cluster == "" {
		out.Cluster = i.Cluster
	}
	for _, from := range []map[string]string{i.Topics, now.Topics} {
		for name, id := range from {
			out.Topics[name] = id
		}
	}
	return out
}
