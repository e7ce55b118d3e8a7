package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"glue/internal/version"
)

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "glue",
		Short: "Storage for virtual machines, files and objects that speaks Ceph",
		Long: "Glue turns the disks of a few hosts into one store for stock Ceph clients.\n" +
			"Start a cluster on this machine with: glue up --data DIR",
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       version.Glue,
	}
	root.AddCommand(upCommand(), downCommand(), statusCommand(), monCommand(), osdCommand(),
		mgrCommand(), radosCommand(), rbdCommand(), storeCommand())
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w; try: %s --help", err, cmd.CommandPath())
	})
	return root
}

// noArgs refuses positional arguments with a message that names them.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%q is not understood here; try: %s --help", args[0], cmd.CommandPath())
	}
	return nil
}
