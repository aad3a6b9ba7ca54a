package dynamofake

import "time"

// bucket is a token bucket that holds one second's worth.
type bucket struct {
	tokens float64
	at     time.Time
}

func (b *bucket) take(now time.Time, rate, n float64) bool {
	b.tokens = min(b.tokens+rate*max(now.Sub(b.at).Seconds(), 0), max(rate, n))
	b.at = now
	if b.tokens < n {
		return false
	}
	b.tokens -= n
	return true
}

func (s *Server) admitN(c *call, name string, rate, n float64, f Failure) *apiError {
	if rate <= 0 {
		return nil
	}
	b := s.buckets[name]
	if b == nil {
		b = &bucket{tokens: rate, at: c.now}
		s.buckets[name] = b
	}
	if !b.take(c.now, rate, n) {
		return f.error()
	}
	return nil
}

func (s *Server) admit(c *call, name string, rate float64, f Failure) *apiError {
	return s.admitN(c, name, rate, 1, f)
}

func (s *Server) admitWrite(c *call, t *table, items int) *apiError {
	return s.admitN(c, "write "+t.id, s.opts.Limits.WriteUnitsPerSec, float64(items), ProvisionedThroughputExceeded)
}

// admitReader limits the calls on one shard: at the same time, and per second.
func (s *Server) admitReader(c *call, sh *shard) *apiError {
	if n := s.opts.Limits.ReadersPerShard; n > 0 && s.reading[sh] >= n {
		return LimitExceeded.error()
	}
	return s.admit(c, "read "+sh.id, s.opts.Limits.GetRecordsRate, LimitExceeded)
}

func (s *Server) doneReading(sh *shard) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reading[sh]--; s.reading[sh] == 0 {
		delete(s.reading, sh)
	}
}
