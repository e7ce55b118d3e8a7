package daemon

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"syscall"

	"glue/internal/admin"
	"glue/internal/cephjson"
	"glue/internal/perf"
	"glue/internal/version"
)

// Commands are the rows that every daemon has. counters may be nil, and l for a daemon without a
// log of its own; one that is given follows the option log_level from now on.
func Commands(c *Config, l *Log, counters *perf.Registry) []admin.Command {
	if counters == nil {
		counters = &perf.Registry{}
	}
	if l != nil {
		c.OnChange(l.Follow)
	}
	rows := append(c.commands(), l.commands()...)
	rows = append(rows, perfCommands(counters)...)
	return append(rows, []admin.Command{
		{Prefix: "version", Help: "get ceph version", Run: cmdVersion},
		{Prefix: "git_version", Help: "get git sha1", Run: cmdGitVersion},
		{Prefix: "heap", Signature: "name=heapcmd,type=CephChoices,strings=dump|start_profiler|" +
			"stop_profiler|release|get_release_rate|set_release_rate|stats " +
			"name=value,type=CephString,req=false", Run: l.heap,
			Help: "show heap usage info (of the Go runtime)"},
		{Prefix: "dump_mempools", Help: "get mempool stats", Run: cmdMempools},
	}...)
}

func cmdVersion(admin.Args) (any, error) {
	return struct {
		Version string `json:"version"`
		Release string `json:"release"`
		Type    string `json:"release_type"`
	}{version.Ceph, version.Release, "stable"}, nil
}

// cmdGitVersion is the commit that the binary was built from, or the release where the build does
// not know it.
func cmdGitVersion(admin.Args) (any, error) {
	commit := version.Glue
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				commit = s.Value
			}
		}
	}
	return map[string]string{"git_version": commit}, nil
}

func (l *Log) commands() []admin.Command {
	do := func(f func(*Log) error) func(admin.Args) (any, error) {
		return func(admin.Args) (any, error) {
			if l == nil {
				return admin.None, nil
			}
			return admin.None, f(l)
		}
	}
	return []admin.Command{
		{Prefix: "log flush", Help: "flush log entries to log file",
			Run: do(func(*Log) error { return nil })}, // each line is written at once
		{Prefix: "log dump", Help: "dump recent log entries to log file", Run: do((*Log).Dump)},
		{Prefix: "log reopen", Help: "reopen log file", Run: do((*Log).Reopen)},
	}
}

func perfCommands(r *perf.Registry) []admin.Command {
	const filter = "name=logger,type=CephString,req=false name=counter,type=CephString,req=false"
	return []admin.Command{
		{Prefix: "perf dump", Signature: filter, Help: "dump perfcounters value",
			Run: func(a admin.Args) (any, error) {
				return r.Dump(a.Str("logger"), a.Str("counter")), nil
			}},
		{Prefix: "perf schema", Help: "dump perfcounters schema",
			Run: func(admin.Args) (any, error) { return r.Schema(), nil }},
		{Prefix: "perf histogram dump", Signature: filter, Help: "dump perf histogram values",
			Run: func(a admin.Args) (any, error) {
				return r.Histograms(a.Str("logger"), a.Str("counter")), nil
			}},
		{Prefix: "perf histogram schema", Help: "dump perf histogram schema",
			Run: func(admin.Args) (any, error) { return r.HistogramSchema(), nil }},
		{Prefix: "perf reset", Signature: "name=var,type=CephString",
			Help: "perf reset <name>: perf reset all or one perfcounter name",
			Run: func(a admin.Args) (any, error) {
				if !r.Reset(a.Str("var")) {
					return map[string]string{"error": "Not find: " + a.Str("var")}, nil
				}
				return map[string]string{"success": "perf reset " + a.Str("var")}, nil
			}},
	}
}

// heap answers for the Go runtime, whose heap every daemon of the process shares.
func (l *Log) heap(args admin.Args) (any, error) {
	switch args.Str("heapcmd") {
	case "stats":
		return heapStats(), nil
	case "release":
		before := released()
		debug.FreeOSMemory()
		return fmt.Sprintf("collected garbage and gave %d bytes back to the system\n",
			max(0, int64(released())-int64(before))), nil
	case "dump":
		path, err := l.dumpHeap()
		return fmt.Sprintf("wrote %s; 'go tool pprof' reads it\n", path), err
	}
	return nil, admin.Refuse(syscall.EOPNOTSUPP, "'heap %s' is about tcmalloc, which Glue does "+
		"not use; 'heap stats', 'heap dump' and 'heap release' are about its own heap",
		args.Str("heapcmd"))
}

// dumpHeap writes who allocated what is live, beside the log, or in the folder for temporary files
// where the log is not a file.
func (l *Log) dumpHeap() (string, error) {
	folder, name := os.TempDir(), "glue"
	if l != nil && l.path != "" {
		folder, name = filepath.Split(l.path)
	}
	f, err := os.CreateTemp(folder, name+".profile.*.heap")
	if err != nil {
		return "", err
	}
	runtime.GC() // else the profile is that of the last collection
	return f.Name(), errors.Join(pprof.WriteHeapProfile(f), f.Close())
}

func released() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapReleased
}

func heapStats() string {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	var b strings.Builder
	b.WriteString("Go runtime heap of this process, in bytes:\n")
	for _, row := range []struct {
		n    uint64
		what string
	}{
		{m.HeapAlloc, "live objects and garbage not yet collected"},
		{m.HeapInuse - m.HeapAlloc, "unused parts of spans in use"},
		{m.HeapIdle - m.HeapReleased, "idle, kept for reuse"},
		{m.HeapReleased, "idle, given back to the system"},
		{m.StackInuse, "stacks"},
		{m.Sys - m.HeapSys - m.StackSys, "metadata of the runtime"},
		{m.Sys - m.HeapReleased, "held from the system"},
		{m.NextGC, "heap size that starts the next collection"},
	} {
		fmt.Fprintf(&b, "%14d  %s\n", row.n, row.what)
	}
	fmt.Fprintf(&b, "%14d  collections so far\n%14d  goroutines\n", m.NumGC,
		runtime.NumGoroutine())
	return b.String()
}

// cmdMempools has one pool, the heap: Go's memory is not divided by what it is for.
func cmdMempools(admin.Args) (any, error) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	type pool struct {
		Items uint64 `json:"items"`
		Bytes uint64 `json:"bytes"`
	}
	all := pool{m.HeapObjects, m.HeapAlloc}
	return map[string]any{"mempool": cephjson.Object{
		{Key: "by_pool", Value: map[string]pool{"go_heap": all}}, {Key: "total", Value: all},
	}}, nil
}
