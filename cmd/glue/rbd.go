package main

import "github.com/spf13/cobra"

func rbdCommand() *cobra.Command {
	return &cobra.Command{Use: "rbd", Short: "Block device images, as the stock rbd tool"}
}
