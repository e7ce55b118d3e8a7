package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"glue/ceph"
	"glue/osd/offline"
	"glue/store/blockstore"
	"glue/store/objectstore"
)

// An objectCopy is one object of a store, and the command about it.
type objectCopy struct {
	store objectstore.Store
	pg    ceph.SPG
	id    ceph.HObject
	key   string
	value []byte
	out   io.Writer
	tx    objectstore.Transaction // what the command changes
}

// copyCommands are those of ceph-objectstore-tool. Those with takes read a value; key says that
// they are about one attribute or key; changes that they need --force.
var copyCommands = []struct {
	name                string
	key, takes, changes bool
	run                 func(*objectCopy) error
}{
	{"get-bytes", false, false, false, (*objectCopy).getBytes},
	{"set-bytes", false, true, true, func(o *objectCopy) error {
		o.tx.Touch(o.pg, o.id)
		o.tx.Truncate(o.pg, o.id, 0)
		o.tx.Write(o.pg, o.id, 0, o.value)
		return nil
	}},
	{"list-attrs", false, false, false, func(o *objectCopy) error {
		attrs, err := o.store.GetAttrs(o.pg, o.id)
		for _, name := range slices.Sorted(maps.Keys(attrs)) {
			fmt.Fprintln(o.out, name)
		}
		return err
	}},
	{"get-attr", true, false, false, func(o *objectCopy) error {
		v, err := o.store.GetAttr(o.pg, o.id, o.key)
		return o.print(v, err)
	}},
	{"set-attr", true, true, true, func(o *objectCopy) error {
		o.tx.SetAttr(o.pg, o.id, o.key, o.value)
		return nil
	}},
	{"rm-attr", true, false, true, func(o *objectCopy) error {
		_, err := o.store.GetAttr(o.pg, o.id, o.key)
		o.tx.RmAttr(o.pg, o.id, o.key)
		return err
	}},
	{"list-omap", false, false, false, func(o *objectCopy) error {
		for kv, err := range o.store.OmapScan(o.pg, o.id, "") {
			if err != nil {
				return err
			}
			fmt.Fprintln(o.out, kv.Key)
		}
		return nil
	}},
	{"get-omap", true, false, false, func(o *objectCopy) error {
		v, err := o.omap()
		return o.print(v, err)
	}},
	{"set-omap", true, true, true, func(o *objectCopy) error {
		o.tx.OmapSet(o.pg, o.id, map[string][]byte{o.key: o.value})
		return nil
	}},
	{"rm-omap", true, false, true, func(o *objectCopy) error {
		_, err := o.omap()
		o.tx.OmapRm(o.pg, o.id, []string{o.key})
		return err
	}},
	{"get-omaphdr", false, false, false, func(o *objectCopy) error {
		v, err := o.store.OmapHeader(o.pg, o.id)
		return o.print(v, err)
	}},
	{"set-omaphdr", false, true, true, func(o *objectCopy) error {
		o.tx.OmapSetHeader(o.pg, o.id, o.value)
		return nil
	}},
	{"remove", false, false, true, func(o *objectCopy) error {
		_, err := o.store.Stat(o.pg, o.id)
		o.tx.Remove(o.pg, o.id)
		return err
	}},
}

func (o *objectCopy) print(b []byte, err error) error {
	if err != nil {
		return err
	}
	_, err = o.out.Write(b)
	return err
}

func (o *objectCopy) omap() ([]byte, error) {
	m, err := o.store.OmapGet(o.pg, o.id, []string{o.key})
	v, ok := m[o.key]
	if err == nil && !ok {
		err = fmt.Errorf("no omap key %q: %w", o.key, ceph.ENOENT)
	}
	return v, err
}

// getBytes writes the data a little at a time.
func (o *objectCopy) getBytes() error {
	st, err := o.store.Stat(o.pg, o.id)
	const step = 4 << 20
	for at := uint64(0); err == nil && at < st.Size; at += step {
		var b []byte
		b, err = o.store.Read(o.pg, o.id, at, min(step, st.Size-at))
		err = o.print(b, err)
	}
	return err
}

func storeObjectCommand() *cobra.Command {
	var force bool
	var names []string
	for _, c := range copyCommands {
		name := c.name
		if c.key {
			name += " KEY"
		}
		if c.takes {
			name += " [FILE]"
		}
		names = append(names, name)
	}
	cmd := &cobra.Command{
		Use:   "object PATH PG OBJECT COMMAND [KEY] [FILE]",
		Short: "Look at, or change, this store's copy of an object",
		Long: "Look at, or change, this store's copy of an object, as with\n" +
			"ceph-objectstore-tool. OBJECT is a name or a line of \"glue store list PATH PG\".\n" +
			"Attributes of users have _ before their name; _ alone is the object's info. Values\n" +
			"come from FILE or from standard input. The other copies and the log of the PG know\n" +
			"nothing of a change, which is damage for a scrub to find unless it mends some.\n" +
			"COMMAND is one of:\n  " +
			strings.Join(names, "\n  "),
		Args: cobra.RangeArgs(4, 6),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runCopyCommand(cmd, args, force)
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "do change it")
	return cmd
}

func runCopyCommand(cmd *cobra.Command, args []string, force bool) error {
	o := &objectCopy{out: cmd.OutOrStdout()}
	rest := args[4:]
	for _, c := range copyCommands {
		if c.name != args[3] {
			continue
		}
		if c.key && len(rest) > 0 {
			o.key, rest = rest[0], rest[1:]
		}
		if c.key && o.key == "" || len(rest) > 1 || len(rest) == 1 && !c.takes {
			return fmt.Errorf("wrong arguments for %s; try: %s --help", c.name,
				cmd.CommandPath())
		}
		if c.changes && !force {
			return fmt.Errorf("%s changes this copy only, which nobody hears of; export PG %s "+
				"first, then add --force", c.name, args[1])
		}
		var err error
		switch {
		case c.takes && len(rest) == 1:
			o.value, err = os.ReadFile(rest[0])
		case c.takes:
			o.value, err = io.ReadAll(cmd.InOrStdin())
		}
		if err != nil {
			return err
		}
		return o.in(args, c.run)
	}
	return fmt.Errorf("%q is no command about an object; try: %s --help", args[3],
		cmd.CommandPath())
}

// in runs f on the store and makes its changes.
func (o *objectCopy) in(args []string, f func(*objectCopy) error) error {
	return withStore(args[0], func(s *blockstore.Store) (err error) {
		o.store = s
		if o.pg, err = offline.Find(s, args[1]); err != nil {
			return err
		}
		if o.id, err = offline.FindObject(s, o.pg, args[2]); err == nil {
			err = f(o)
		}
		if err == nil && !o.tx.Empty() {
			err = offline.Change(s, &o.tx)
		}
		if errors.Is(err, ceph.ENODATA) {
			err = fmt.Errorf("no attribute %q: %w", o.key, err)
		}
		return err
	})
}
