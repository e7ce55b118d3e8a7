package main

import (
	"context"
	"fmt"
	"strings"

	"glue/client/rbd"
	"glue/internal/texttable"
)

// namespaceGroup is glue rbd namespace.
func (r *rbdRun) namespaceGroup() verbGroup {
	return verbGroup{"namespace", "namespaces of a pool", []verb{
		{"create POOL/NAMESPACE", "make a namespace", 1, 1,
			r.onNamespace((*rbd.Store).CreateNamespace), nil},
		{"ls [POOL]", "list the namespaces", 0, 1, r.namespaceLs, nil},
		{"rm POOL/NAMESPACE", "remove a namespace without images", 1, 1,
			r.onNamespace((*rbd.Store).RemoveNamespace), nil},
	}}
}

// onNamespace is a command that changes one namespace.
func (r *rbdRun) onNamespace(
	f func(s *rbd.Store, ctx context.Context, name string) error,
) func(context.Context, []string) error {
	return func(ctx context.Context, args []string) error {
		pool, name, ok := strings.Cut(args[0], "/")
		if !ok {
			return fmt.Errorf("which namespace? %q is not of the form POOL/NAMESPACE", args[0])
		}
		r.pool, r.anyNamespace = pool, true
		s, err := r.store(ctx)
		if err != nil {
			return err
		}
		return f(s, ctx, name)
	}
}

func (r *rbdRun) namespaceLs(ctx context.Context, args []string) error {
	if len(args) > 0 {
		r.pool = args[0]
	}
	r.anyNamespace = true
	s, err := r.store(ctx)
	if err != nil {
		return err
	}
	list, err := s.Namespaces(ctx)
	if err != nil {
		return err
	}
	if r.json() {
		out := []map[string]string{}
		for _, name := range list {
			out = append(out, map[string]string{"name": name})
		}
		return r.printJSON(out)
	}
	if len(list) == 0 {
		return nil
	}
	table := texttable.New(texttable.Column{Heading: "NAME"})
	for _, name := range list {
		table.Row(name)
	}
	r.printf("%s", table)
	return nil
}
