package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// ClaimsTopic holds the claims: one partition, kept for ever.
const ClaimsTopic = "tm.claims"

// ErrSuperseded says that another owner has claimed the unit since.
var ErrSuperseded = errors.New("another owner has taken over")

// ClaimRecord is a claim as it lies in the claims topic.
type ClaimRecord struct {
	Unit  string    `json:"unit"` // source/<name>, pipeline/<name>
	Owner string    `json:"owner"`
	At    time.Time `json:"at"`
	Epoch int64     `json:"-"` // offset + 1 (invariant 1)
}

// EnsureClaims creates the claims topic when it is missing.
func EnsureClaims(ctx context.Context, cl *Client, replication int) error {
	return EnsureTopics(ctx, cl, Topic{Name: ClaimsTopic, Partitions: 1, Replication: replication})
}

// Claim takes a unit: it appends a claim and returns its epoch. Every earlier owner of the unit is superseded from then on.
func Claim(ctx context.Context, cl *Client, unit, owner string) (int64, error) {
	v, err := json.Marshal(ClaimRecord{Unit: unit, Owner: owner, At: time.Now().UTC()})
	if err != nil {
		return 0, fmt.Errorf("claiming %s: %w", unit, err)
	}
	r, err := cl.ProduceSync(ctx, &kgo.Record{Topic: cl.Name(ClaimsTopic), Key: []byte(unit), Value: v}).First()
	if err != nil {
		return 0, fmt.Errorf("claiming %s: %w", unit, err)
	}
	return r.Offset + 1, nil
}

// LatestClaims reads the newest claim of every unit.
func LatestClaims(ctx context.Context, cfg Config) (map[string]ClaimRecord, error) {
	records, err := ReadAll(ctx, cfg, ClaimsTopic)
	if err != nil {
		return nil, err
	}
	out := map[string]ClaimRecord{}
	for _, r := range records {
		if c, ok := parseClaim(r); ok {
			out[c.Unit] = c
		}
	}
	return out, nil
}

// WatchClaim returns ErrSuperseded when a claim of the unit with a higher epoch appears, and ctx's error when ctx ends.
func WatchClaim(ctx context.Context, cfg Config, unit string, epoch int64) error {
	// epoch is the offset after the claim's own.
	at := map[string]map[int32]kgo.Offset{cfg.Prefix + ClaimsTopic: {0: kgo.NewOffset().At(epoch)}}
	cl, err := New(cfg, kgo.ConsumePartitions(at))
	if err != nil {
		return err
	}
	defer cl.Close()
	for {
		fetches := cl.PollFetches(ctx)
		if err := fetchError(ctx, fetches); err != nil {
			return fmt.Errorf("watching the claims of %s: %w", unit, err)
		}
		for it := fetches.RecordIter(); !it.Done(); {
			if c, ok := parseClaim(it.Next()); ok && c.Unit == unit {
				return fmt.Errorf("%w: %s of epoch %d, claimed by %s with epoch %d", ErrSuperseded, unit, epoch, c.Owner, c.Epoch)
			}
		}
	}
}

// parseClaim skips what is not a claim: the topic's offsets count, not its content.
func parseClaim(r *kgo.Record) (ClaimRecord, bool) {
	var c ClaimRecord
	if err := json.Unmarshal(r.Value, &c); err != nil || c.Unit == "" {
		return ClaimRecord{}, false
	}
	c.Epoch = r.Offset + 1
	return c, true
}
