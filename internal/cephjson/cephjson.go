// Package cephjson prints values as Ceph's JSON formatters do: keys in the order of the struct's
// fields, four spaces per level when pretty, and no escaping of <, > and &. It keeps no state and
// any goroutine may call it.
package cephjson

import (
	"bytes"
	"encoding/json"

	"glue/internal/invariant"
)

// Marshal encodes v on one line, or indented when pretty; either way it ends with a newline when
// pretty and without one otherwise, as the stock daemons answer. v must be encodable: plain
// structs, maps with string keys, slices and scalars.
func Marshal(v any, pretty bool) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if pretty {
		enc.SetIndent("", "    ")
	}
	err := enc.Encode(v)
	invariant.That(err == nil, "value of type %T is not JSON: %v", v, err)
	if pretty {
		return b.Bytes()
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
