// Package host reads what the kernel and the distribution say of this machine. Anybody may call
// it, from any goroutine.
package host

import (
	"os"
	"strconv"
	"strings"
	"syscall"

	"glue/internal/version"
)

// Metadata is what "ceph mon metadata" and its kin say of this machine (collect_sys_info).
func Metadata(name string) map[string]string {
	m := map[string]string{
		"arch": machine(), "hostname": name, "os": "Linux",
		"ceph_version": version.Long, "ceph_version_short": version.Ceph,
		"ceph_release": version.Release, "glue_version": version.Glue,
		"cpu": firstValue("/proc/cpuinfo", "model name"), "distro": "", "distro_description": "",
		"mem_total_kb": strings.TrimSuffix(firstValue("/proc/meminfo", "MemTotal"), " kB"),
		"mem_swap_kb":  strings.TrimSuffix(firstValue("/proc/meminfo", "SwapTotal"), " kB"),
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

// machine is what uname calls this architecture.
func machine() string {
	var u syscall.Utsname
	if syscall.Uname(&u) != nil {
		return ""
	}
	var b []byte
	for _, c := range u.Machine {
		if c == 0 {
			break
		}
		b = append(b, byte(c))
	}
	return string(b)
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
