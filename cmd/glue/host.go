package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"

	"glue/internal/version"
)

// tuneRuntime trades a little memory for fewer collections: a daemon's live heap is small, so
// doubling it before each collection would collect many times a second under load.
func tuneRuntime() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(200)
	}
}

// hostMetadata is what "ceph mon metadata" and its kin say of this machine.
func hostMetadata(host string) map[string]string {
	m := map[string]string{
		"arch": runtime.GOARCH, "hostname": host, "os": "Linux",
		"ceph_version": version.Long, "ceph_version_short": version.Ceph,
		"ceph_release": version.Release, "glue_version": version.Glue,
		"cpu": firstValue("/proc/cpuinfo", "model name"), "distro": "", "distro_description": "",
		"mem_total_kb": strings.TrimSuffix(firstValue("/proc/meminfo", "MemTotal"), " kB"),
	}
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m["kernel_version"] = strings.TrimSpace(string(b))
	}
	if b, err := os.ReadFile("/proc/sys/kernel/version"); err == nil {
		m["kernel_description"] = strings.TrimSpace(string(b))
	}
	if b, err := os.ReadFile("/etc/os-release"); err == nil {
		for _, line := range strings.Split(string(b), "\n") {
			k, v, _ := strings.Cut(line, "=")
			if u, err := strconv.Unquote(v); err == nil {
				v = u
			}
			switch k {
			case "ID":
				m["distro"] = v
			case "PRETTY_NAME":
				m["distro_description"] = v
			case "VERSION_ID":
				m["distro_version"] = v
			}
		}
	}
	return m
}

// firstValue is the first "key : value" of a /proc file.
func firstValue(file, key string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	for _, line := range strings.Split(string(b), "\n") {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return ""
}
