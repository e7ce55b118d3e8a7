package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"glue/ceph"
	"glue/osd/offline"
	"glue/store/blockstore"
	"glue/store/disk"
	"glue/store/objectstore"
)

func storeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "store",
		Short: "Look at, check and repair the store of an OSD that does not run",
		Long: "Look at, check and repair the store of an OSD that does not run. PATH is the\n" +
			"folder of the OSD, such as DIR/osd.3. The store is locked meanwhile.",
	}
	cmd.AddCommand(storeInfoCommand(), storeListCommand(), storeFsckCommand(),
		storeExportCommand(), storeImportCommand(), storeRemoveCommand(), storeObjectCommand())
	return cmd
}

// arity refuses any other number of arguments.
func arity(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return fmt.Errorf("%d arguments, not %d; try: %s --help", n, len(args),
				cmd.CommandPath())
		}
		return nil
	}
}

// withStore opens the store in a folder for f.
func withStore(dir string, f func(s *blockstore.Store) error) error {
	s, err := blockstore.Open(dir, blockstore.Options{})
	switch {
	case errors.Is(err, disk.ErrLocked):
		return fmt.Errorf("%s is in use by a daemon; stop that OSD first", dir)
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%w; name the folder of an OSD, such as DIR/osd.3", err)
	case err != nil:
		return err
	}
	return errors.Join(f(s), s.Close())
}

// A storeInfo is what "glue store info" prints.
type storeInfo struct {
	Path       string     `json:"path"`
	StoreUUID  string     `json:"store_uuid"`
	Label      string     `json:"label"`
	Size       int64      `json:"size"`
	Journal    int64      `json:"journal_bytes"`
	DataBlocks uint64     `json:"data_blocks"`
	Generation uint64     `json:"generation"`
	InUse      bool       `json:"in_use"`
	FSID       string     `json:"fsid,omitempty"`
	OSDUUID    string     `json:"osd_uuid,omitempty"`
	OSD        *int32     `json:"whoami,omitempty"`
	OldestMap  ceph.Epoch `json:"oldest_map,omitempty"`
	NewestMap  ceph.Epoch `json:"newest_map,omitempty"`
	PGs        *int       `json:"pgs,omitempty"`
	Available  uint64     `json:"available,omitempty"`
	Data       uint64     `json:"data_bytes,omitempty"`
	Stored     uint64     `json:"stored_bytes,omitempty"`
	Omap       uint64     `json:"omap_bytes,omitempty"`
}

func storeInfoCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "info PATH",
		Short: "What the superblocks say, as JSON; of a store in use only a part",
		Args:  arity(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			sb, err := blockstore.ReadInfo(args[0])
			if err != nil {
				return err
			}
			info := storeInfo{Path: args[0], StoreUUID: sb.UUID, Label: sb.Label, Size: sb.Size,
				Journal: sb.JournalBytes, DataBlocks: sb.DataBlocks, Generation: sb.Generation,
				InUse: sb.InUse}
			if !sb.InUse {
				err = withStore(args[0], func(s *blockstore.Store) error { return info.read(s) })
			}
			if err != nil {
				return err
			}
			return printJSON(cmd.OutOrStdout(), info)
		},
	}
}

// read adds what only an open store tells.
func (i *storeInfo) read(s *blockstore.Store) error {
	u, err := s.Usage()
	if err != nil {
		return err
	}
	i.Available, i.Data, i.Stored, i.Omap = u.Available, u.Data, u.Stored, u.Omap
	super, n, err := offline.Summary(s)
	if errors.Is(err, ceph.ENOENT) {
		return nil // no daemon has opened it yet
	}
	i.FSID, i.OSDUUID, i.OSD = super.FSID.String(), super.UUID.String(), &super.Whoami
	i.OldestMap, i.NewestMap, i.PGs = super.Oldest, super.Newest, &n
	return err
}

func printJSON(w io.Writer, v any) error {
	b, err := json.MarshalIndent(v, "", "    ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", b)
	return err
}

func storeListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list PATH [PG]",
		Short: "The PGs of a store, or the objects of a PG, as JSON, one a line",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 2 {
				return nil
			}
			return arity(1)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			out := json.NewEncoder(cmd.OutOrStdout())
			return withStore(args[0], func(s *blockstore.Store) error {
				if len(args) == 2 {
					return offline.Objects(s, args[1], func(o offline.Object) error {
						return out.Encode(o)
					})
				}
				a, err := offline.Look(s, func(ceph.SPG, int, int) error { return nil })
				if err != nil {
					return err
				}
				for i := range a.PGs {
					if err := out.Encode(a.PGs[i].Row()); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}

// fsckErrors is the exit code for a store with errors, as of e2fsck.
const fsckErrors = 4

func storeFsckCommand() *cobra.Command {
	var deep bool
	cmd := &cobra.Command{
		Use:   "fsck PATH [--deep]",
		Short: "Check the whole structure of a store; exit code 4 if something is wrong",
		Long: "Check the whole structure of a store: extents against the allocator, reference\n" +
			"counts, what pools take, metadata without objects, PG logs, missing sets and\n" +
			"objects' infos; with --deep the checksum of every block. Nothing is repaired but\n" +
			"the counts of what pools take. The exit code is 4 if something is wrong.",
		Args: arity(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			wrong := 0
			err := withStore(args[0], func(s *blockstore.Store) (err error) {
				wrong, err = fsck(cmd.Context(), s, deep, cmd.OutOrStdout(), cmd.ErrOrStderr())
				return err
			})
			if err == nil && wrong > 0 {
				err = exitError{fmt.Errorf("%d errors in %s", wrong, args[0]), fsckErrors}
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&deep, "deep", false, "read all data and verify their checksums")
	return cmd
}

// A ticker writes a line now and then.
type ticker struct {
	w    io.Writer
	next time.Time
}

func (t *ticker) say(format string, args ...any) {
	if now := time.Now(); now.After(t.next) {
		t.next = now.Add(progressPeriod)
		fmt.Fprintf(t.w, format+"\n", args...)
	}
}

func fsck(ctx context.Context, s *blockstore.Store, deep bool, out, progress io.Writer) (
	wrong int, err error,
) {
	u, err := s.Usage()
	if err != nil {
		return 0, err
	}
	tick := &ticker{w: progress, next: time.Now().Add(progressPeriod)}
	r, err := s.FsckProgress(ctx, deep, func(bytes uint64) {
		tick.say("%d of %d MiB read", bytes>>20, u.Data>>20)
	})
	if err != nil {
		return 0, err
	}
	a, err := offline.Look(s, func(pg ceph.SPG, n, of int) error {
		tick.say("PG %v, %d of %d", pg, n+1, of)
		return ctx.Err()
	})
	if err != nil {
		return 0, err
	}
	list := append(r.Errors, a.Wrong...)
	for _, p := range a.PGs {
		for _, w := range p.Wrong {
			list = append(list, fmt.Sprintf("PG %v: %s", p.ID, w))
		}
		if p.Importing {
			fmt.Fprintf(out, "PG %v: the rest of an import, which the daemon removes\n", p.ID)
		}
	}
	for _, w := range list {
		fmt.Fprintln(out, w)
	}
	fmt.Fprintf(out, "%d PGs, %d objects, %d blocks, %d of them shared: %d errors\n", len(a.PGs),
		r.Objects, r.Blocks, r.SharedBlocks, len(list))
	return len(list), nil
}

func storeExportCommand() *cobra.Command {
	var skip bool
	cmd := &cobra.Command{
		Use:   "export PATH PG FILE",
		Short: "Write a PG with its log and objects to a new file",
		Args:  arity(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withStore(args[0], func(s *blockstore.Store) error {
				pg, err := offline.Find(s, args[1])
				if err != nil {
					return err
				}
				return export(s, pg, args[2], skip, cmd.OutOrStdout())
			})
		},
	}
	cmd.Flags().BoolVar(&skip, "skip-damaged", false, "go on at objects that can't be read: they "+
		"will be missing where the file is imported")
	return cmd
}

// export writes the file beside and renames it, so that one with its name is whole.
func export(s objectstore.Store, pg ceph.SPG, path string, skip bool, out io.Writer) error {
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("%s is there already; name a new file", path)
	}
	tmp := path + ".part"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer os.Remove(tmp) // gone once it is renamed
	sum, err := offline.Export(f, s, pg, func(o ceph.HObject, err error) error {
		if !skip {
			return fmt.Errorf("%v: %w; to leave such objects out: --skip-damaged", o, err)
		}
		fmt.Fprintf(out, "left out: %v: %v\n", o, err)
		return nil
	})
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	fmt.Fprintf(out, "PG %v: %d objects, %d bytes, %d omap keys, %d log entries, %d missing\n", pg,
		sum.Objects, sum.Bytes, sum.OmapKeys, sum.LogEntries, sum.Missing)
	return syncFolder(filepath.Dir(path))
}

func storeImportCommand() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "import PATH FILE",
		Short: "Put an exported PG into the store of another OSD of the cluster",
		Long: "Put an exported PG into the store of another OSD of the cluster, which must have\n" +
			"no copy of it. The file is checked to its end first. Start the OSD afterwards: the\n" +
			"cluster takes the PG from there.",
		Args: arity(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := os.Open(args[1])
			if err != nil {
				return err
			}
			defer f.Close()
			return withStore(args[0], func(s *blockstore.Store) error {
				h, sum, err := offline.Import(f, s, force)
				if err != nil {
					return fmt.Errorf("import %s: %w", args[1], err)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "PG %v of osd.%d as of OSD map %d: %d objects, "+
					"%d bytes, %d missing\n", h.PG, h.OSD, h.Epoch, sum.Objects, sum.Bytes,
					sum.Missing)
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "though this OSD has forgotten the maps since")
	return cmd
}

func storeRemoveCommand() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "remove PATH PG --force",
		Short: "Delete a store's copy of a PG",
		Args:  arity(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withStore(args[0], func(s *blockstore.Store) error {
				pg, err := offline.Find(s, args[1])
				if err != nil {
					return err
				}
				if !force {
					return fmt.Errorf("this deletes the copy of PG %v in %s for good; export it "+
						"first, then add --force", pg, args[0])
				}
				return offline.Remove(s, pg)
			})
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "do it")
	return cmd
}
