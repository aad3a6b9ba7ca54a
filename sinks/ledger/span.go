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
	ctx, span := trace.SpanFromContext(ctx).TracerProvider().Tracer("tidemill/sinks").Start(ctx, name, trace.WithAttributes(attributes...))
	defer span.End()
	err := fn(ctx)
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
	}
	return err
}
