// Command glue is the whole product in one binary: it starts clusters, runs single daemons and
// drives them from the command line. Each verb has a file of its own; main only hands the
// process's signals and standard streams to them. Nothing here is imported by anyone.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := rootCommand().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "glue:", err)
		os.Exit(exitCode(err))
	}
}

// An exitError carries the exit code of a verb that mirrors a stock tool's.
type exitError struct {
	error
	code int
}

func (e exitError) Unwrap() error { return e.error }

func exitCode(err error) int {
	if e := (exitError{}); errors.As(err, &e) {
		return e.code
	}
	return 1
}
