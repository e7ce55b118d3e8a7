package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"time"

	"glue/ceph"
	"glue/internal/host"
	"glue/internal/version"
)

// A process that crashes leaves the runtime's words in crash_dir/NAME.panic. When it starts again
// it makes a report of them, as stock daemons write theirs: crash_dir/ID/meta, and an empty file
// done when it is whole. The manager on this host, or the agent ceph-crash, posts it.

// maxPanic is how much of a panic is looked at.
const maxPanic = 256 << 10

// watchCrashes reports a crash of the last run, and has one of this run written down. Without a
// folder to do so a daemon runs all the same.
func watchCrashes(dir, entity string, log *slog.Logger) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		log.Warn("crashes are not written down", "err", err)
		return
	}
	path := filepath.Join(dir, entity+".panic")
	if err := reportCrash(dir, path, entity); err != nil && !errors.Is(err, os.ErrNotExist) {
		log.Warn("the last crash could not be reported", "err", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o640)
	if err == nil {
		err = errors.Join(debug.SetCrashOutput(f, debug.CrashOptions{}), f.Close())
	}
	if err != nil {
		log.Warn("crashes are not written down", "err", err)
	}
}

// reportCrash makes a report of what is in path, if anything is.
func reportCrash(dir, path, entity string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	st, err := os.Stat(path)
	if err != nil || len(b) == 0 {
		return err
	}
	at := st.ModTime().UTC()
	var u ceph.UUID
	rand.Read(u[:])
	stamp := at.Format("2006-01-02T15:04:05.000000Z")
	id := stamp + "_" + u.String()
	meta := crashMeta(string(b[:min(len(b), maxPanic)]))
	meta["crash_id"], meta["timestamp"], meta["entity_name"] = id, stamp, entity
	text, err := json.MarshalIndent(meta, "", "    ")
	if err != nil {
		return err
	}
	tmp := filepath.Join(dir, ".new-"+id)
	err = errors.Join(os.Mkdir(tmp, 0o750), os.WriteFile(filepath.Join(tmp, "meta"), text, 0o640),
		os.WriteFile(filepath.Join(tmp, "log"), b, 0o640),
		os.WriteFile(filepath.Join(tmp, "done"), nil, 0o640))
	if err == nil {
		err = os.Rename(tmp, filepath.Join(dir, id))
	}
	if err != nil {
		return fmt.Errorf("report a crash: %w", err)
	}
	return os.Remove(path)
}

// maxFrames bounds a backtrace.
const maxFrames = 64

var (
	frameFunc = regexp.MustCompile(`^(\S.*)\(.*\)$`)
	frameLine = regexp.MustCompile(`^\t(\S+:\d+)(?: \+(0x[0-9a-f]+))?$`)
)

// crashMeta is what a report says besides when it was and who. The backtrace is that of the
// goroutine that has crashed, the first one: "(function+offset) [file:line]".
func crashMeta(text string) map[string]any {
	name, _ := os.Hostname()
	md := host.Metadata(name)
	message, trace, _ := strings.Cut(text, "\n\n")
	frames, name := []string{}, ""
	for _, line := range strings.Split(trace, "\n") {
		if line == "" || len(frames) == maxFrames {
			break // the other goroutines come after it
		}
		if m := frameFunc.FindStringSubmatch(line); m != nil {
			name = m[1]
		} else if m := frameLine.FindStringSubmatch(line); m != nil && name != "" {
			frames = append(frames, fmt.Sprintf("(%s+%s) [%s]", name, m[2], m[1]))
		}
	}
	return map[string]any{
		"backtrace": frames, "ceph_version": version.Ceph, "glue_version": version.Glue,
		"process_name": "glue", "go_message": message[:min(len(message), 4096)],
		"utsname_hostname": name, "utsname_machine": md["arch"], "utsname_sysname": "Linux",
		"utsname_release": md["kernel_version"], "utsname_version": md["kernel_description"],
		"os_id": md["distro"], "os_name": md["distro_description"],
		"os_version_id": md["distro_version"],
	}
}

// crashReports calls post for the reports in dir that are whole, and puts those that were taken
// into dir/posted, where they are kept for a year.
func crashReports(dir string, post func(meta []byte) error) error {
	list, err := os.ReadDir(dir)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	}
	posted := filepath.Join(dir, "posted")
	for _, e := range list {
		from := filepath.Join(dir, e.Name())
		if !e.IsDir() || e.Name() == "posted" || !isFile(filepath.Join(from, "done")) {
			continue
		}
		meta, err := os.ReadFile(filepath.Join(from, "meta"))
		if err == nil {
			err = post(meta)
		}
		if err == nil {
			err = os.MkdirAll(posted, 0o750)
		}
		if err == nil {
			err = os.Rename(from, filepath.Join(posted, e.Name()))
		}
		if err != nil {
			return fmt.Errorf("post %s: %w", from, err)
		}
	}
	return forgetPosted(posted, time.Now().AddDate(-1, 0, 0))
}

func forgetPosted(dir string, before time.Time) error {
	list, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for _, e := range list {
		if info, err := e.Info(); err == nil && info.ModTime().Before(before) {
			err = os.RemoveAll(filepath.Join(dir, e.Name()))
			if err != nil {
				return err
			}
		}
	}
	return err
}

func isFile(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular()
}
