// Package class holds Ceph's object classes: server-side methods that a client calls on one object
// (the CALL op), such as taking a lock or adding a snapshot to an image's header. A class is a
// folder below this package with a table of methods, and one of filters (filter.go); osd/class/all
// puts the tables together.
//
// Invariants: a method acts only on its object and only through its Context; what it changes joins
// the transaction of the request and disappears if the request fails; it reads the object as it was
// before the request, except for existence and size, exactly as Ceph does. Methods are pure: no
// clock, network, disk or shared state. They run on the goroutine that executes the request.
// Inputs come from the network: a method decodes with denc and answers EINVAL for what does not
// decode. The behaviour is specified by src/cls of Ceph 16.2.
package class

import (
	"cmp"
	"fmt"
	"slices"

	"glue/ceph"
)

// Flags say what a method may do; clients need the matching capability.
type Flags uint8

// The flags of a method (CLS_METHOD_*).
const (
	RD      Flags = 1 // reads the object
	WR      Flags = 2 // changes the object
	Promote Flags = 8 // wants the object in the upper tier; no meaning here
)

// A Func is the body of a method: the input to the output, or an answer. An error is a ceph.Errno
// or wraps one; the output is returned with it. A positive result is given as an error of type
// Result and does not undo anything.
type Func func(ctx Context, in []byte) (out []byte, err error)

// A Result is a method's positive return value.
type Result int32

// Error makes a Result fit the return value of a method.
func (r Result) Error() string { return fmt.Sprintf("result %d", int32(r)) }

// A Method is one row of a class's table.
type Method struct {
	Name  string
	Flags Flags
	Func  Func
}

// A Class is a named table of methods, and one of filters.
type Class struct {
	Name    string
	Methods []Method
	Filters []Filter
}

// A Registry finds methods and filters by class and name. It does not change after New.
type Registry struct {
	classes map[string]map[string]Method
	filters map[string]Filter // by "class.name"
}

// New builds a registry of some classes.
func New(classes ...Class) *Registry {
	r := &Registry{classes: make(map[string]map[string]Method, len(classes)),
		filters: map[string]Filter{"plain": {Name: "plain", Parse: AttrIs}}}
	for _, c := range classes {
		m := make(map[string]Method, len(c.Methods))
		for _, row := range c.Methods {
			m[row.Name] = row
		}
		r.classes[c.Name] = m
		for _, row := range c.Filters {
			r.filters[c.Name+"."+row.Name] = row
		}
	}
	return r
}

// Find returns a method. A class or method that is not known is EOPNOTSUPP.
func (r *Registry) Find(class, method string) (Method, error) {
	m, ok := r.classes[class][method]
	if !ok {
		return Method{}, ceph.EOPNOTSUPP
	}
	return m, nil
}

// Classes are the registered classes with their methods, by name.
func (r *Registry) Classes() []Class {
	var out []Class
	for name, methods := range r.classes {
		c := Class{Name: name}
		for _, m := range methods {
			c.Methods = append(c.Methods, m)
		}
		slices.SortFunc(c.Methods, func(a, b Method) int { return cmp.Compare(a.Name, b.Name) })
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b Class) int { return cmp.Compare(a.Name, b.Name) })
	return out
}
