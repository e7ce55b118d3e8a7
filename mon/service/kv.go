package service

import (
	"maps"
	"slices"

	"glue/ceph"
	"glue/ceph/denc"
)

// An Edit is a change to a set of named values: a nil value removes. It is what services of the
// key-value kind prepare and replicate.
type Edit struct {
	Set map[string][]byte
}

// Put wishes a value.
func (e *Edit) Put(key string, value []byte) {
	if e.Set == nil {
		e.Set = map[string][]byte{}
	}
	if value == nil {
		value = []byte{}
	}
	e.Set[key] = value
}

// Remove wishes a key gone.
func (e *Edit) Remove(key string) {
	if e.Set == nil {
		e.Set = map[string][]byte{}
	}
	e.Set[key] = nil
}

// Empty says whether nothing is wished.
func (e *Edit) Empty() bool { return len(e.Set) == 0 }

// Keys are the keys that are touched, in order.
func (e *Edit) Keys() []string { return slices.Sorted(maps.Keys(e.Set)) }

// Denc is a section of the values, each with a presence flag.
func (e *Edit) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	denc.MapFunc(c, &e.Set, (*denc.Coder).Str, func(c *denc.Coder, v *[]byte) {
		present := *v != nil
		c.Bool(&present)
		if present {
			c.Blob(v)
			if *v == nil {
				*v = []byte{}
			}
		}
	})
	s.End()
}

// Encode is the edit's bytes.
func (e *Edit) Encode() []byte { return denc.Marshal(e, ceph.FeaturesAll) }

// DecodeEdit reads an edit. Its values alias b.
func DecodeEdit(b []byte) (*Edit, error) {
	e := &Edit{}
	return e, denc.Unmarshal(b, e, ceph.FeaturesAll)
}

// Write carries the edit out under a prefix.
func (e *Edit) Write(w Writer, prefix string) {
	for _, k := range e.Keys() {
		if v := e.Set[k]; v == nil {
			w.Delete(prefix + k)
		} else {
			w.Set(prefix+k, v)
		}
	}
}

// A Proposal is the changes of several services that are committed together. ID tells the leader
// which of its proposals was applied.
type Proposal struct {
	ID      uint64
	Changes map[string][]byte
}

// Denc is a section of the id and the changes.
func (p *Proposal) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	c.U64(&p.ID)
	denc.MapFunc(c, &p.Changes, (*denc.Coder).Str, (*denc.Coder).Blob)
	s.End()
}
