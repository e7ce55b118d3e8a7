package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"glue/ceph"
)

func osdCommand() *cobra.Command {
	cmd := daemonCommand("osd", "Run one OSD, or make one")
	cmd.Long = "Run one OSD. Make one with: glue osd create"
	cmd.AddCommand(osdCreateCommand())
	return cmd
}

// A creation is what the flags of "glue osd create" ask for.
type creation struct {
	data, conf, ring string
	disk, size       string
	force, class     string
	id, replace      int // -1 is any
}

func osdCreateCommand() *cobra.Command {
	var r creation
	cmd := &cobra.Command{
		Use:   "create [DEVICE|FILE]",
		Short: "Add an OSD to the cluster, or take the place of a destroyed one",
		Long: "Make a store on a device or file, get a number for it from the monitors, and put\n" +
			"it into the CRUSH map under this host. In a cluster of glue up (--data) the OSD is\n" +
			"started too, and without a name its file is made in the cluster's folder.\n" +
			"Whatever the disk holds is kept unless --force names it; what is in use is never\n" +
			"touched. If it is interrupted, the same command goes on where it was.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return fmt.Errorf("one device or file at a time, not %d", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				r.disk = args[0]
			}
			c, err := newCreator(r, cmd.OutOrStdout())
			if err != nil {
				return err
			}
			return c.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVar(&r.data, "data", "", "folder of a cluster that glue up made")
	f.StringVarP(&r.conf, "conf", "c", "", "ceph.conf (default /etc/ceph/ceph.conf)")
	f.StringVarP(&r.ring, "keyring", "k", "", "keyring with the key of client.admin or "+
		"client.bootstrap-osd")
	f.StringVar(&r.size, "size", "", "size of a file that is made (default 10G)")
	f.StringVar(&r.force, "force", "", "destroy what the disk holds, named by its kind, which "+
		"the refusal says: ext4, gpt, glue, data, …")
	f.StringVar(&r.class, "class", "", "device class (default: hdd or ssd, as the disk says)")
	f.IntVar(&r.id, "id", -1, "number of the OSD; one that is free or destroyed")
	f.IntVar(&r.replace, "replace", -1, "take the number and place of this destroyed OSD")
	return cmd
}

// Files of an OSD's folder, named as Ceph names them.
const (
	uuidFile   = "fsid"
	numberFile = "whoami"
	planFile   = "create.json" // while the OSD is being made
)

// diskUUID is the OSD's UUID as its folder says; zero where it does not.
func diskUUID(dir string) (ceph.UUID, error) {
	b, err := os.ReadFile(filepath.Join(dir, uuidFile))
	if errors.Is(err, os.ErrNotExist) {
		return ceph.UUID{}, nil
	}
	if err != nil {
		return ceph.UUID{}, err
	}
	u, err := ceph.ParseUUID(strings.TrimSpace(string(b)))
	if err != nil {
		return u, fmt.Errorf("%s: %w", filepath.Join(dir, uuidFile), err)
	}
	return u, nil
}
