package rados

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"glue/auth/keyring"
	"glue/ceph"
	"glue/internal/conffile"
)

// defaultPort is the monitors' msgr2 port.
const defaultPort = 3300

// Options say which cluster to connect to and as whom. The zero value is what the stock tools do
// without flags.
type Options struct {
	// ConfFile is the ceph.conf; empty: $CEPH_CONF, else /etc/ceph/ceph.conf, ~/.ceph/config,
	// ./ceph.conf, the first that is there.
	ConfFile string
	Name     ceph.AuthName // whose key; zero: client.admin
	Keyring  string        // file with the key; empty: what the configuration says
	MonHost  string        // the monitors' addresses; empty: what the configuration says
	Log      *slog.Logger  // nil: none
	// Set are options that matter more than what the file and the cluster say of them.
	Set map[string]string

	// Seeds are the monitors of who knows them and its key already: no file is read then.
	Seeds []ceph.AddrVec
	FSID  ceph.UUID   // with Seeds
	Key   keyring.Key // with Seeds
}

// A config is what Options and the configuration file come to.
type config struct {
	name   ceph.AuthName
	key    keyring.Key
	seeds  []ceph.AddrVec
	fsid   ceph.UUID
	host   string
	values map[string]string
	set    map[string]string
	log    *slog.Logger
}

// load reads the configuration file and the keyring and finds the monitors.
func load(ctx context.Context, opt Options) (config, error) {
	cfg := config{name: opt.Name, log: opt.Log, set: opt.Set}
	if cfg.name == (ceph.AuthName{}) {
		cfg.name = ceph.AuthName{Type: ceph.TypeClient, ID: "admin"}
	}
	if cfg.log == nil {
		cfg.log = slog.New(slog.DiscardHandler)
	}
	if len(opt.Seeds) > 0 {
		cfg.seeds, cfg.fsid, cfg.key = opt.Seeds, opt.FSID, opt.Key
		cfg.values = map[string]string{}
		cfg.host, _ = os.Hostname()
		return cfg, nil
	}
	file, err := readConf(opt.ConfFile)
	if err != nil && (opt.ConfFile != "" || opt.MonHost == "") {
		return cfg, err
	}
	cfg.values = map[string]string{}
	if err == nil {
		cfg.values = file.For(cfg.name.Type.String(), cfg.name.ID)
	}
	maps.Copy(cfg.values, opt.Set)
	if s := cfg.values["fsid"]; s != "" {
		if cfg.fsid, err = ceph.ParseUUID(s); err != nil {
			return cfg, fmt.Errorf("fsid in ceph.conf: %w", err)
		}
	}
	hosts := opt.MonHost
	if hosts == "" {
		hosts = cfg.values["mon_host"]
	}
	if hosts == "" {
		return cfg, errors.New("no monitor is named: set mon_host in ceph.conf or use -m")
	}
	if cfg.seeds, err = ParseMonHosts(ctx, hosts); err != nil {
		return cfg, err
	}
	cfg.host, _ = os.Hostname()
	if required := cfg.values["auth_client_required"]; required == "none" {
		return cfg, nil
	}
	cfg.key, err = findKey(cfg, opt.Keyring)
	return cfg, err
}

func readConf(path string) (*conffile.File, error) {
	var tried []string
	for _, p := range confPaths(path) {
		text, err := os.ReadFile(p)
		if errors.Is(err, fs.ErrNotExist) {
			tried = append(tried, p)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read the configuration: %w", err)
		}
		f, err := conffile.Parse(string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
		return f, nil
	}
	return nil, fmt.Errorf("no ceph.conf at %s: name one with -c or CEPH_CONF, or the cluster's "+
		"folder with --data", strings.Join(tried, ", "))
}

func confPaths(path string) []string {
	if path != "" {
		return []string{path}
	}
	if env := os.Getenv("CEPH_CONF"); env != "" {
		return []string{env}
	}
	paths := []string{"/etc/ceph/ceph.conf"}
	if home, err := os.UserHomeDir(); err == nil {
		paths = append(paths, filepath.Join(home, ".ceph", "config"))
	}
	return append(paths, "ceph.conf")
}

// findKey finds the entity's key: an explicit keyring, then key, keyfile and keyring of the
// configuration, then the usual places.
func findKey(cfg config, explicit string) (keyring.Key, error) {
	if explicit == "" {
		if s := cfg.values["key"]; s != "" {
			return keyring.ParseKey(s)
		}
		if p := cfg.values["keyfile"]; p != "" {
			text, err := os.ReadFile(p)
			if err != nil {
				return keyring.Key{}, fmt.Errorf("read the key file: %w", err)
			}
			return keyring.ParseKey(strings.TrimSpace(string(text)))
		}
		explicit = cfg.values["keyring"]
	}
	if explicit == "" {
		explicit = "/etc/ceph/ceph." + cfg.name.String() +
			".keyring,/etc/ceph/ceph.keyring,/etc/ceph/keyring,/etc/ceph/keyring.bin"
	}
	var tried []string
	for _, p := range strings.FieldsFunc(explicit, func(r rune) bool {
		return strings.ContainsRune(",; ", r)
	}) {
		tried = append(tried, p)
		text, err := os.ReadFile(p)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return keyring.Key{}, fmt.Errorf("read the keyring: %w", err)
		}
		ring, err := keyring.Parse(string(text))
		if err != nil {
			return keyring.Key{}, fmt.Errorf("%s: %w", p, err)
		}
		if e, ok := ring.Get(cfg.name); ok {
			return e.Key, nil
		}
	}
	return keyring.Key{}, fmt.Errorf("no key of %v in %s: name a keyring with -k, or another "+
		"entity with --id: %w", cfg.name, strings.Join(tried, ", "), ceph.ENOENT)
}

// ParseMonHosts reads mon_host: monitors separated by commas, blanks or semicolons, each an
// address or a bracketed list of the addresses of one monitor; names are looked up.
func ParseMonHosts(ctx context.Context, s string) ([]ceph.AddrVec, error) {
	var out []ceph.AddrVec
	legacy := ""
	for _, group := range splitMonHosts(s) {
		var v ceph.AddrVec
		for _, part := range strings.FieldsFunc(strings.Trim(group, "[]"), isSeparator) {
			addrs, err := parseMonHost(ctx, part, group)
			if err != nil {
				return nil, err
			}
			if len(addrs) == 0 {
				legacy = part
			}
			v = append(v, addrs...)
		}
		for _, a := range v {
			out = append(out, ceph.AddrVec{a})
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("mon_host %q has no msgr2 address (%s is msgr1 only): add "+
			"v2:IP:3300", s, legacy)
	}
	return out, nil
}

func isSeparator(r rune) bool { return strings.ContainsRune(",; \t", r) }

// splitMonHosts cuts at separators that are not within brackets.
func splitMonHosts(s string) []string {
	depth := 0
	return strings.FieldsFunc(s, func(r rune) bool {
		switch r {
		case '[':
			depth++
		case ']':
			depth--
		}
		return depth == 0 && isSeparator(r)
	})
}

func parseMonHost(ctx context.Context, s, group string) ([]ceph.Addr, error) {
	if ip, err := netip.ParseAddr(strings.Trim(group, "[]")); err == nil {
		return []ceph.Addr{msgr2(netip.AddrPortFrom(ip, defaultPort))}, nil
	}
	a, err := ceph.ParseAddr(s, ceph.AddrMsgr2)
	if err == nil {
		switch {
		case a.Type == ceph.AddrLegacy, a.Type == ceph.AddrMsgr2 && a.AddrPort.Port() == 6789 &&
			!strings.HasPrefix(s, "v2:"):
			return nil, nil
		case a.AddrPort.Port() == 0:
			a.AddrPort = netip.AddrPortFrom(a.AddrPort.Addr(), defaultPort)
		}
		a.Type = ceph.AddrMsgr2
		return []ceph.Addr{a}, nil
	}
	host, port := strings.TrimPrefix(s, "v2:"), uint16(defaultPort)
	if h, p, err := net.SplitHostPort(host); err == nil {
		n, err := net.DefaultResolver.LookupPort(ctx, "tcp", p)
		if err != nil {
			return nil, fmt.Errorf("mon_host %q: %w", s, err)
		}
		host, port = h, uint16(n)
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, fmt.Errorf("mon_host %q is neither an address nor a name that resolves: %w",
			s, err)
	}
	var out []ceph.Addr
	for _, ip := range ips {
		out = append(out, msgr2(netip.AddrPortFrom(ip.Unmap(), port)))
	}
	return out, nil
}

func msgr2(ap netip.AddrPort) ceph.Addr {
	return ceph.Addr{Type: ceph.AddrMsgr2, AddrPort: ap}
}
