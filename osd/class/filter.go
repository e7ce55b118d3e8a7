package class

import (
	"glue/ceph"
	"glue/ceph/denc"
)

// A Filter is one row of a class's table of filters, which a client names "CLASS.NAME" in a listing
// (PGNLS_FILTER). Parse reads the arguments; the coder keeps an error of theirs.
type Filter struct {
	Name  string
	Parse func(c *denc.Coder) Selector
}

// A Selector says which objects a listing keeps.
type Selector struct {
	// Attr is an attribute that Keep is given, as the store names it ("_x" for a client's "x");
	// empty: none. Objects without it are not kept, unless Lacking: then Keep is given nothing.
	Attr    string
	Lacking bool
	Keep    func(name string, attr []byte) bool
}

// AttrIs is the filter "plain" (PGLSPlainFilter): it takes the name of an attribute, as the store
// names it, and the value that the objects to keep have there.
func AttrIs(c *denc.Coder) Selector {
	var s Selector
	var value string
	c.Str(&s.Attr)
	c.Str(&value)
	s.Keep = func(_ string, attr []byte) bool { return string(attr) == value }
	return s
}

// Filter finds a filter of a listing: "plain", or a class's. One that is not known is EINVAL.
func (r *Registry) Filter(name string) (Filter, error) {
	f, ok := r.filters[name]
	if !ok {
		return Filter{}, ceph.EINVAL
	}
	return f, nil
}
