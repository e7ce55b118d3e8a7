package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"glue/ceph"
	"glue/client/rbd"
	"glue/client/rbd/config"
	"glue/internal/texttable"
)

func (r *rbdRun) metaList(ctx context.Context, args []string) error {
	return r.with(ctx, args[0], true, func(i *rbd.Image) error {
		m, err := i.Metadata(ctx)
		if err != nil {
			return err
		}
		if r.json() {
			text := map[string]string{}
			for k, v := range m {
				text[k] = string(v)
			}
			return r.printJSON(text)
		}
		switch len(m) {
		case 0:
			r.printf("There are 0 metadata on this image.\n")
			return nil
		case 1:
			r.printf("There is 1 metadatum on this image:\n\n")
		default:
			r.printf("There are %d metadata on this image:\n\n", len(m))
		}
		table := texttable.New(texttable.Column{Heading: "Key"},
			texttable.Column{Heading: "Value"})
		for _, k := range slices.Sorted(maps.Keys(m)) {
			table.Row(k, string(m[k]))
		}
		r.printf("%s", table)
		return nil
	})
}

func (r *rbdRun) metaGet(ctx context.Context, args []string) error {
	return r.with(ctx, args[0], true, func(i *rbd.Image) error {
		m, err := i.Metadata(ctx)
		if err != nil {
			return err
		}
		v, ok := m[args[1]]
		if !ok {
			return fmt.Errorf("failed to get metadata %s of image %s: %w", args[1], i.Name(),
				ceph.ENOENT)
		}
		r.printf("%s\n", v)
		return nil
	})
}

func (r *rbdRun) metaSet(ctx context.Context, args []string) error {
	return r.with(ctx, args[0], false, func(i *rbd.Image) error {
		return i.SetMetadata(ctx, args[1], []byte(args[2]))
	})
}

func (r *rbdRun) metaRemove(ctx context.Context, args []string) error {
	return r.with(ctx, args[0], false, func(i *rbd.Image) error {
		return i.RemoveMetadata(ctx, args[1])
	})
}

// configGroup is glue rbd config pool, or image.
func (r *rbdRun) configGroup(what string) verbGroup {
	on := func(verb string) func(context.Context, []string) error {
		return func(ctx context.Context, args []string) error {
			if what == "image" {
				return r.with(ctx, args[0], false, func(i *rbd.Image) error {
					return r.config(ctx, i.Config(), verb, args)
				})
			}
			s, err := r.store(ctx, args[0])
			if err != nil {
				return err
			}
			return r.config(ctx, s.Config(), verb, args)
		}
	}
	also := func(name string) func(*cobra.Command) {
		return func(cmd *cobra.Command) { cmd.Aliases = []string{name} }
	}
	return verbGroup{what, "options of one " + what, []verb{
		{"get " + what + " NAME", "print what is set", 2, 2, on("get"), nil},
		{"set " + what + " NAME VALUE", "set an option", 3, 3, on("set"), nil},
		{"rm " + what + " NAME", "take an option back", 2, 2, on("rm"), also("remove")},
		{"ls " + what, "list options and their sources", 1, 1, on("ls"), also("list")},
	}}
}

func (r *rbdRun) config(ctx context.Context, c config.Config, verb string, args []string) error {
	switch verb {
	case "get":
		value, err := c.Own(ctx, args[1])
		if err == nil {
			r.printf("%s\n", value)
		}
		return err
	case "set":
		return c.Set(ctx, args[1], args[2])
	case "rm":
		return c.Remove(ctx, args[1])
	}
	list, err := c.List(ctx)
	switch {
	case err != nil:
		return err
	case r.json():
		return r.printJSON(list)
	}
	table := texttable.New(texttable.Column{Heading: "Name"}, texttable.Column{Heading: "Value"},
		texttable.Column{Heading: "Source"})
	for _, s := range list {
		table.Row(s.Name, s.Value, s.Source)
	}
	r.printf("%s", table)
	return nil
}

func (r *rbdRun) featureEnable(ctx context.Context, args []string) error {
	f, err := rbd.ParseFeatures(strings.Join(args[1:], ","))
	if err != nil {
		return err
	}
	return r.with(ctx, args[0], false, func(i *rbd.Image) error {
		report, done := r.progress("object map")
		err := i.EnableFeatures(ctx, f, report)
		done(err == nil)
		return err
	})
}

func (r *rbdRun) featureDisable(ctx context.Context, args []string) error {
	f, err := rbd.ParseFeatures(strings.Join(args[1:], ","))
	if err != nil {
		return err
	}
	return r.with(ctx, args[0], false, func(i *rbd.Image) error {
		return i.DisableFeatures(ctx, f)
	})
}

func (r *rbdRun) rebuild(ctx context.Context, args []string) error {
	return r.with(ctx, args[0], false, func(i *rbd.Image) error {
		report, done := r.progress("object map")
		err := i.RebuildObjectMap(ctx, report)
		done(err == nil)
		return err
	})
}

func (r *rbdRun) lockFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&r.shared, "shared", "", "share the lock with all who give this tag")
}

// A lockerJSON is one holder of the JSON of lock ls.
type lockerJSON struct {
	ID      string `json:"id"`
	Locker  string `json:"locker"`
	Address string `json:"address"`
}

func (r *rbdRun) lockLs(ctx context.Context, args []string) error {
	return r.with(ctx, args[0], true, func(i *rbd.Image) error {
		info, err := i.Lockers(ctx)
		if err != nil {
			return err
		}
		if r.json() {
			out := []lockerJSON{}
			for _, l := range info.Lockers {
				out = append(out, lockerJSON{l.Cookie, l.Name.String(), l.Addr.LegacyString()})
			}
			return r.printJSON(out)
		}
		n := len(info.Lockers)
		if n == 0 {
			return nil
		}
		kind := lockKind(info, "exclusive", "shared")
		if n == 1 {
			r.printf("There is 1 %s lock on this image.\n", kind)
		} else {
			r.printf("There are %d %s locks on this image.\n", n, kind)
		}
		if info.Kind == 2 {
			r.printf("Lock tag: %s\n", info.Tag)
		}
		table := texttable.New(texttable.Column{Heading: "Locker"},
			texttable.Column{Heading: "ID"}, texttable.Column{Heading: "Address"})
		for _, l := range info.Lockers {
			table.Row(l.Name, l.Cookie, l.Addr.LegacyString())
		}
		r.printf("%s", table)
		return nil
	})
}

func (r *rbdRun) lockAdd(ctx context.Context, args []string) error {
	return r.with(ctx, args[0], true, func(i *rbd.Image) error {
		err := i.AddLock(ctx, args[1], r.shared)
		if errors.Is(err, ceph.EBUSY) || errors.Is(err, ceph.EEXIST) {
			return fmt.Errorf("image %s is locked already; see glue rbd lock ls %s: %w", i.Name(),
				args[0], err)
		}
		return err
	})
}

func (r *rbdRun) lockRm(ctx context.Context, args []string) error {
	locker, err := parseLocker(args[2])
	if err != nil {
		return err
	}
	return r.with(ctx, args[0], true, func(i *rbd.Image) error {
		return i.BreakLock(ctx, args[1], locker)
	})
}

func (r *rbdRun) expiresFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&r.expires, "expires-in", "0s", "keep it for so long, such as 48h")
}

func (r *rbdRun) imageFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&r.imageID, "image", "", "name to give it; its old one if not said")
}

func (r *rbdRun) forceFlag(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&r.force, "force", false, "although it is to be kept longer")
}

func (r *rbdRun) trashMv(ctx context.Context, args []string) error {
	keep, err := time.ParseDuration(r.expires)
	if err != nil || keep < 0 {
		return fmt.Errorf("--expires-in %q is not a time such as 48h", r.expires)
	}
	s, name, err := r.spec(ctx, args[0])
	if err != nil {
		return err
	}
	return s.TrashMove(ctx, name, keep)
}

// A trashJSON is one image of the JSON of trash ls.
type trashJSON struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

func (r *rbdRun) trashLs(ctx context.Context, args []string) error {
	s, err := r.store(ctx, args...)
	if err != nil {
		return err
	}
	list, err := s.TrashList(ctx)
	if err != nil {
		return err
	}
	out := []trashJSON{}
	table := texttable.New(texttable.Column{Heading: "ID"}, texttable.Column{Heading: "NAME"},
		texttable.Column{Heading: "DELETED_AT"}, texttable.Column{Heading: "STATUS"})
	for _, e := range list {
		out = append(out, trashJSON{e.ID, e.Name})
		status := "expired at "
		if e.Deferred.After(time.Now()) {
			status = "protected until "
		}
		table.Row(e.ID, e.Name, e.Deleted.Local().Format(time.ANSIC),
			status+e.Deferred.Local().Format(time.ANSIC))
		if !r.long && !r.json() {
			r.printf("%s %s\n", e.ID, e.Name)
		}
	}
	switch {
	case r.json():
		return r.printJSON(out)
	case r.long && len(list) > 0:
		r.printf("%s", table)
	}
	return nil
}

func (r *rbdRun) trashRestore(ctx context.Context, args []string) error {
	s, id, err := r.spec(ctx, args[0])
	if err != nil {
		return err
	}
	return s.TrashRestore(ctx, id, r.imageID)
}

func (r *rbdRun) trashRm(ctx context.Context, args []string) error {
	s, id, err := r.spec(ctx, args[0])
	if err != nil {
		return err
	}
	report, done := r.progress("remove")
	err = s.TrashRemove(ctx, id, r.force, report)
	done(err == nil)
	return err
}

func (r *rbdRun) trashPurge(ctx context.Context, args []string) error {
	s, err := r.store(ctx, args...)
	if err != nil {
		return err
	}
	list, err := s.TrashList(ctx)
	if err != nil {
		return err
	}
	for _, e := range list {
		if e.Deferred.After(time.Now()) {
			continue
		}
		if err := s.TrashRemove(ctx, e.ID, false, nil); err != nil {
			return err
		}
	}
	return nil
}
