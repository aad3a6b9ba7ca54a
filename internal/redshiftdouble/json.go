package redshiftdouble

import (
	"bytes"
	"encoding/json"
)

// jsonString is a string as JSON, without Go's escapes for HTML.
func jsonString(s string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // strings always encode
	return bytes.TrimRight(b.Bytes(), "\n")
}
