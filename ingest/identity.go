package ingest

import "context"

// identify checks that the topics are those that the source has written to so far, and remembers the ids of new ones
// (invariant 9). Only a source that begins anew may go on in others.
func (w *Writer) identify(ctx context.Context, topics ...string) error {
	now, err := w.env.identify(ctx, topics...)
	if err != nil {
		return err
	}
	switch cluster, topic := w.log.Changed(now); {
	case w.anew:
	case cluster:
		return integrity("the log of source %s is in the cluster %s, and the brokers are those of %s: set log.brokers back; or run: %s", w.cfg.Source, w.log.Cluster, now.Cluster, ResyncCommand(w.cfg.Source))
	case topic != "":
		return integrity("topic %s was deleted and made anew, so rows of source %s are missing in it; run: %s", topic, w.cfg.Source, ResyncCommand(w.cfg.Source))
	}
	w.log = w.log.And(now)
	return nil
}
