package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"glue/client/rados"
)

const statusLimit = 20 * time.Second

func statusCommand() *cobra.Command {
	var data, conf string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status [--data DIR | -c CONF]",
		Short: "Say how the cluster is, as ceph -s does",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if data != "" {
				l, err := newLayout(data)
				if err != nil {
					return err
				}
				if _, err := loadSpec(l); err != nil {
					return err
				}
				conf = l.conf()
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), statusLimit)
			defer cancel()
			c, err := rados.Connect(ctx, rados.Options{ConfFile: conf})
			if err != nil {
				return err
			}
			defer c.Close()
			request := map[string]any{"prefix": "status"}
			if asJSON {
				request["format"] = "json-pretty"
			}
			text, status, err := c.MonCommand(ctx, request, nil)
			if err != nil {
				return fmt.Errorf("status: %w (%s)", err, status)
			}
			_, err = os.Stdout.Write(text)
			return err
		},
	}
	cmd.Flags().StringVar(&data, "data", "", "folder of a cluster that glue up made")
	cmd.Flags().StringVarP(&conf, "conf", "c", "", "ceph.conf of any cluster")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
