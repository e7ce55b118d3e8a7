package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

const stopLimit = 30 * time.Second

func downCommand() *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:   "down --data DIR",
		Short: "Stop the cluster that glue up started; its data stays",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := newLayout(data)
			if err != nil {
				return err
			}
			s, err := loadSpec(l)
			if err != nil {
				return err
			}
			if len(running(l)) == 0 {
				fmt.Fprintln(cmd.OutOrStdout(), "Nothing runs.")
				return nil
			}
			// OSDs that were added while the others run in one process go first, too.
			return errors.Join(stopOSDs(l, s), terminate(l, []string{"glue"}, stopLimit),
				stopSplit(l, s))
		},
	}
	cmd.Flags().StringVar(&data, "data", "", "folder of the cluster")
	return cmd
}

// stopSplit stops daemons that run as processes: OSDs while the monitors can still hear of it,
// then the manager, the monitors last.
func stopSplit(l layout, s *spec) error {
	var mons []string
	for _, m := range s.Mons {
		mons = append(mons, "mon."+m)
	}
	return errors.Join(stopOSDs(l, s), terminate(l, []string{"mgr." + s.Mgr}, stopLimit),
		terminate(l, mons, stopLimit))
}

// stopOSDs stops the OSDs that are processes.
func stopOSDs(l layout, s *spec) error {
	var osds []string
	for _, o := range s.OSDs {
		osds = append(osds, osdName(o.ID))
	}
	return terminate(l, osds, stopLimit)
}
