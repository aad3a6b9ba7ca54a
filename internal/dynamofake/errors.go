package dynamofake

import (
	"encoding/json"
	"fmt"
	"net/http"
)

const (
	modelled = "com.amazonaws.dynamodb.v20120810#" // errors of the service's model
	coral    = "com.amazon.coral.service#"         // errors of AWS's web framework before the service is reached
	validate = "com.amazon.coral.validate#"
	ours     = "dynamofake#" // what AWS would answer and we don't
)

// apiError is an error answer.
type apiError struct {
	status  int
	kind    string // __type
	message string
	extra   map[string]any // further members of the error's shape
}

func (e *apiError) Error() string { return e.kind + ": " + e.message }

func (e *apiError) body() []byte {
	m := map[string]any{"__type": e.kind, "message": e.message}
	for k, v := range e.extra {
		m[k] = v
	}
	b, err := json.Marshal(m)
	if err != nil {
		panic(err) // only strings, numbers and items are put in
	}
	return b
}

func refuse(kind, format string, args ...any) *apiError {
	return &apiError{status: http.StatusBadRequest, kind: kind, message: fmt.Sprintf(format, args...)}
}

func validation(format string, args ...any) *apiError {
	return refuse(validate+"ValidationException", format, args...)
}

func serialization(format string, args ...any) *apiError {
	return refuse(coral+"SerializationException", format, args...)
}

func notFound(format string, args ...any) *apiError {
	return refuse(modelled+"ResourceNotFoundException", format, args...)
}

func inUse(format string, args ...any) *apiError {
	return refuse(modelled+"ResourceInUseException", format, args...)
}

// notImplemented is for what AWS does and we don't. 501 is not retried by the SDK.
func notImplemented(format string, args ...any) *apiError {
	return &apiError{status: http.StatusNotImplemented, kind: ours + "NotImplemented", message: "dynamofake does not implement " + fmt.Sprintf(format, args...)}
}

// wrongType is the framework's answer to JSON of another type than the model's.
func wrongType(got any, want string) *apiError {
	name := "unexpected"
	switch got.(type) {
	case string:
		name = "STRING_VALUE"
	case json.Number:
		name = "NUMBER_VALUE"
	case bool:
		name = "TRUE_VALUE"
	case []any:
		name = "Start of list"
	case map[string]any:
		name = "Start of structure"
	}
	return serialization("%s can not be converted to %s", name, want)
}
