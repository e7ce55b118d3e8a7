package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// alive is the pid in a daemon's pid file, or 0 if that daemon does not run or is this process,
// whose starter has written the file already. A pid counts only if
// the process was started for this cluster's folder, so a recycled pid is never signalled.
func alive(l layout, name string) int {
	b, err := os.ReadFile(l.pid(name))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || pid <= 1 || pid == os.Getpid() {
		return 0
	}
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return 0
	}
	args := strings.Split(string(bytes.TrimRight(cmdline, "\x00")), "\x00")
	if !slices.Contains(args, l.dir) || zombie(pid) {
		return 0
	}
	return pid
}

// handOver is how long a starting daemon waits for one that is ending, after kill -9 too, to let
// go of its ports and its store.
const handOver = 5 * time.Second

// patiently repeats f while it fails with an error that may pass, for as long as handOver.
func patiently(ctx context.Context, f func() error, mayPass func(error) bool) error {
	deadline := time.Now().Add(handOver)
	for {
		err := f()
		if err == nil || !mayPass(err) || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// zombie says whether the process has ended and waits for its parent to notice.
func zombie(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return strings.HasPrefix(rest, "Z")
}

// running are the names of all processes of the cluster that are alive.
func running(l layout) []string {
	files, _ := filepath.Glob(l.path("run", "*.pid"))
	var out []string
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".pid")
		if alive(l, name) != 0 {
			out = append(out, name)
		}
	}
	return out
}

// spawn starts this binary with args as a process of its own session, its output appended to the
// daemon's log, and writes its pid file.
func spawn(l layout, name string, args ...string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	out, err := os.OpenFile(l.log(name), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd := exec.Command(self, args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return cmd, writeFile(l.pid(name), []byte(strconv.Itoa(cmd.Process.Pid)+"\n"), 0o644)
}

// terminate asks the named processes to end and waits; what is left after the limit is killed and
// named in the error.
func terminate(l layout, names []string, limit time.Duration) error {
	for _, name := range names {
		if pid := alive(l, name); pid != 0 {
			if err := syscall.Kill(pid, syscall.SIGTERM); err != nil &&
				!errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("stop %s (pid %d): %w", name, pid, err)
			}
		}
	}
	var killed []string
	deadline := time.Now().Add(limit)
	for _, name := range names {
		for alive(l, name) != 0 && time.Now().Before(deadline) {
			time.Sleep(20 * time.Millisecond) // another process's end can only be polled for
		}
		if pid := alive(l, name); pid != 0 {
			killed = append(killed, name)
			syscall.Kill(pid, syscall.SIGKILL)
		}
		os.Remove(l.pid(name))
	}
	if len(killed) > 0 {
		return fmt.Errorf("%s did not end within %v and was killed; what was acknowledged is safe",
			strings.Join(killed, ", "), limit)
	}
	return nil
}

// tail is the last few lines of a daemon's log, for an error message.
func tail(l layout, name string, lines int) string {
	b, err := os.ReadFile(l.log(name))
	if err != nil {
		return ""
	}
	all := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// holdLock takes the folder's lock for as long as the process lives, or says who has it.
func holdLock(l layout) (*os.File, error) {
	f, err := os.OpenFile(l.lock(), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: another glue is starting or running this cluster", l.dir)
	}
	return f, nil
}
