package cephjson

import (
	"bytes"
	"encoding/json"
)

// An Object is a JSON object whose keys are data and have an order of their own.
type Object []Member

// A Member is one key and its value.
type Member struct {
	Key   string
	Value any
}

// MarshalJSON is the members in their order.
func (o Object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := enc.Encode(m.Key); err != nil {
			return nil, err
		}
		b.WriteByte(':')
		if err := enc.Encode(m.Value); err != nil {
			return nil, err
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}
