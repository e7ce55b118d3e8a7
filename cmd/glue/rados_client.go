package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"glue/ceph"
	"glue/client/rados"
	"glue/internal/cephjson"
)

// A clientRun is one run of a rados or rbd verb: its flags, its streams and the cluster.
type clientRun struct {
	data, conf, keyring, monHost, id, name string

	pool, namespace, format string

	in       io.Reader
	out, err io.Writer
	cluster  *rados.Cluster
}

// register declares the flags that say which cluster and pool, named as those of the stock tools.
func (r *clientRun) register(cmd *cobra.Command) {
	f := cmd.PersistentFlags()
	f.StringVar(&r.data, "data", "", "folder of a cluster that glue up made")
	f.StringVarP(&r.conf, "conf", "c", "", "ceph.conf of any cluster (default $CEPH_CONF)")
	f.StringVarP(&r.keyring, "keyring", "k", "", "file with the key")
	f.StringVarP(&r.monHost, "mon-host", "m", "", "the monitors' addresses")
	f.StringVar(&r.id, "id", "", "client to authenticate as, such as admin")
	f.StringVarP(&r.name, "name", "n", "", "entity to authenticate as, such as client.admin")
	f.StringVarP(&r.pool, "pool", "p", "", "pool")
	f.StringVarP(&r.format, "format", "f", "plain", "plain, json or json-pretty")
}

// connectLimit is how long a verb waits for the cluster to answer at all.
const connectLimit = 30 * time.Second

// open connects to the cluster that the flags name.
func (r *clientRun) open(ctx context.Context) error {
	opt := rados.Options{ConfFile: r.conf, Keyring: r.keyring, MonHost: r.monHost}
	if r.data != "" {
		l, err := newLayout(r.data)
		if err != nil {
			return err
		}
		if _, err := os.Stat(l.conf()); errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("there is no cluster in %s; make one with: glue up --data %s",
				l.dir, r.data)
		}
		opt.ConfFile = l.conf()
	}
	switch {
	case r.name != "":
		name, err := ceph.ParseAuthName(r.name)
		if err != nil {
			return err
		}
		opt.Name = name
	case r.id != "":
		opt.Name = ceph.AuthName{Type: ceph.TypeClient, ID: r.id}
	}
	ctx, cancel := context.WithTimeout(ctx, connectLimit)
	defer cancel()
	c, err := rados.Connect(ctx, opt)
	if errors.Is(err, ceph.EACCES) {
		return fmt.Errorf("%w\nThe key is not the cluster's: choose another entity with --id or "+
			"another keyring with -k", err)
	}
	if err != nil {
		return err
	}
	r.cluster = c
	return nil
}

// group is a command that only has others under it: alone it prints its help, with a word that
// it does not know it fails.
func group(use, short string) *cobra.Command {
	run := func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		return fmt.Errorf("%s has no command %q; try: %s --help", cmd.CommandPath(), args[0],
			cmd.CommandPath())
	}
	return &cobra.Command{Use: use, Short: short, RunE: run}
}

// openPool is the pool that the flags name, with its namespace.
func (r *clientRun) openPool(ctx context.Context) (*rados.IOCtx, error) {
	if r.pool == "" {
		return nil, errors.New("which pool? name it with -p POOL; glue rados lspools lists them")
	}
	x, err := r.cluster.OpenPool(ctx, r.pool)
	if err != nil {
		return nil, fmt.Errorf("error opening pool %s: %w", r.pool, err)
	}
	return x.WithNamespace(r.namespace), nil
}

func (r *clientRun) json() bool { return r.format == "json" || r.format == "json-pretty" }

// printJSON prints a value in the format asked for, as the stock tools do.
func (r *clientRun) printJSON(v any) error {
	b := cephjson.Marshal(v, r.format == "json-pretty")
	if r.format == "json-pretty" {
		b = append(b, '\n')
	}
	_, err := r.out.Write(b)
	return err
}

func (r *clientRun) printf(format string, args ...any) {
	fmt.Fprintf(r.out, format, args...)
}

// A verb is one command of glue rados or glue rbd: its arguments, what it does and its flags.
type verb struct {
	use, short string
	min, max   int // number of arguments; max -1 is any
	run        func(ctx context.Context, args []string) error
	flags      func(*cobra.Command)
}

// command builds the cobra command of a verb that runs with a connection to the cluster.
func (r *clientRun) command(v verb) *cobra.Command {
	cmd := &cobra.Command{
		Use: v.use, Short: v.short,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < v.min || v.max >= 0 && len(args) > v.max {
				return fmt.Errorf("wrong number of arguments; usage: %s", cmd.UseLine())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			r.in, r.out, r.err = cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr()
			if err := r.open(cmd.Context()); err != nil {
				return err
			}
			defer r.cluster.Close()
			return v.run(cmd.Context(), args)
		},
	}
	if v.flags != nil {
		v.flags(cmd)
	}
	return cmd
}

// openInput opens a file to read, "-" is stdin.
func (r *clientRun) openInput(path string) (io.ReadCloser, error) {
	if path == "-" {
		return io.NopCloser(r.in), nil
	}
	return os.Open(path)
}

type nopWriteCloser struct{ io.Writer }

func (nopWriteCloser) Close() error { return nil }

// openOutput makes a file, "-" is stdout.
func (r *clientRun) openOutput(path string) (io.WriteCloser, error) {
	if path == "-" {
		return nopWriteCloser{r.out}, nil
	}
	return os.Create(path)
}
