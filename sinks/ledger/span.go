package ledger

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// Span runs one stage of a publish as a child of the publish's span, if there is one. Errors of a sink hold no values,
// so they may be recorded.
func Span(ctx context.Context, name string, fn func(context.Context) error, attributes ...attribute.KeyValue) error {
	ctx, span := start(ctx, name, attributes...)
	return end(span, fn(ctx))
}

// Commit begins the span of a commit, which the transaction's helper runs; the returned function ends it.
func Commit(ctx context.Context) func(error) {
	_, span := start(ctx, "commit")
	return func(err error) { _ = end(span, err) } // returns the caller's own error
}

func start(ctx context.Context, name string, attributes ...attribute.KeyValue) (context.Context, trace.Span) {
	return trace.SpanFromContext(ctx).TracerProvider().Tracer("tidemill/sinks").Start(ctx, name, trace.WithAttributes(attributes...))
}

func end(span trace.Span, err error) error {
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
	}
	span.End()
	return err
}
