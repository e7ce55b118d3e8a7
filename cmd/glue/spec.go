package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"glue/ceph"
	"glue/internal/options"
)

// A spec is what `glue up` keeps of a cluster in DIR/glue.json: how it was created, so that a
// later `glue up` starts the same daemons.
type spec struct {
	Format   int               `json:"format"`
	FSID     string            `json:"fsid"`
	Mons     []string          `json:"mons"`
	Mgr      string            `json:"mgr"`
	OSDs     []osdSpec         `json:"osds"`
	Addr     string            `json:"addr,omitempty"`         // the daemons' IP; none: loopback
	Cluster  string            `json:"cluster_addr,omitempty"` // of OSDs for each other; none: Addr
	PortBase int               `json:"port_base"`
	Msgr1    bool              `json:"msgr1,omitempty"` // monitors have addresses of msgr v1
	Split    bool              `json:"split"`
	Prepared bool              `json:"prepared"`          // OSDs are known, the first pool is there
	Joining  []string          `json:"joining,omitempty"` // monitors that are to be added
	Config   map[string]string `json:"config,omitempty"`
}

// An osdSpec is one OSD: its number, its UUID and the size of its file.
type osdSpec struct {
	ID    int    `json:"id"`
	UUID  string `json:"uuid"`
	Bytes int64  `json:"bytes"`
}

const (
	specFormat = 1
	// Offsets from the port base: monitors 0 to 8, the manager, then one port per OSD.
	mgrPort      = 9
	firstOSDPort = 10
	maxMons      = 9
	// legacyPorts is where monitors' ports of msgr v1 begin: 6789 where the others are from 3300.
	// Other daemons take free ones.
	legacyPorts = ceph.MonPortLegacy - ceph.MonPort
	maxOSDs     = 500
)

var errNoCluster = errors.New("there is no cluster in this folder")

func loadSpec(l layout) (*spec, error) {
	b, err := os.ReadFile(l.spec())
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", l.dir, errNoCluster)
	}
	if err != nil {
		return nil, err
	}
	s := &spec{}
	if err := json.Unmarshal(b, s); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", l.spec(), err)
	}
	if s.Format != specFormat {
		return nil, fmt.Errorf("%s has format %d, this glue knows %d: use the glue that made it",
			l.spec(), s.Format, specFormat)
	}
	if _, err := ceph.ParseUUID(s.FSID); err != nil || len(s.Mons) == 0 {
		return nil, fmt.Errorf("%s is damaged: fsid %q, %d monitors", l.spec(), s.FSID, len(s.Mons))
	}
	return s, nil
}

func (s *spec) save(l layout) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(l.spec(), append(b, '\n'), 0o644)
}

func (s *spec) addr(offset int) netip.AddrPort {
	ip := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	if s.Addr != "" {
		ip, _ = netip.ParseAddr(s.Addr) // checked by newSpec
	}
	return netip.AddrPortFrom(ip, uint16(s.PortBase+offset))
}

func (s *spec) fsid() ceph.UUID {
	u, _ := ceph.ParseUUID(s.FSID) // checked by loadSpec
	return u
}

// monAddrs are the monitors' addresses by id.
func (s *spec) monAddrs() map[string]ceph.AddrVec {
	out := map[string]ceph.AddrVec{}
	for _, name := range s.Mons {
		out[name] = s.monAddr(name)
	}
	return out
}

// monAddr are a monitor's addresses: the first is a, the next b, …
func (s *spec) monAddr(name string) ceph.AddrVec {
	rank := int(name[0] - 'a')
	v := ceph.AddrVec{{Type: ceph.AddrMsgr2, AddrPort: s.addr(rank)}}
	if s.Msgr1 {
		v = append(v, ceph.Addr{Type: ceph.AddrLegacy, AddrPort: s.addr(s.legacyOffset() + rank)})
	}
	return v
}

// legacyOffset is the offset of the first port of msgr v1 from the port base.
func (s *spec) legacyOffset() int {
	if s.PortBase+legacyPorts+maxMons > 65535 {
		return -legacyPorts
	}
	return legacyPorts
}

// addrText is addresses as ceph.conf has them: without nonces.
func addrText(v ceph.AddrVec) string {
	parts := make([]string, len(v))
	for i, a := range v {
		parts[i] = a.Type.String() + ":" + a.HostPort()
	}
	return "[" + strings.Join(parts, ",") + "]"
}

// monHost is the monitors' addresses as mon_host takes them.
func (s *spec) monHost() string {
	var hosts []string
	for _, name := range s.Mons {
		hosts = append(hosts, addrText(s.monAddr(name)))
	}
	return strings.Join(hosts, ",")
}

// checkPorts says which port of the monitors somebody else listens on; other daemons may take
// others.
func (s *spec) checkPorts() error {
	var offsets []int
	for _, name := range append(slices.Clone(s.Mons), s.Joining...) {
		offsets = append(offsets, int(name[0]-'a'))
		if s.Msgr1 {
			offsets = append(offsets, s.legacyOffset()+int(name[0]-'a'))
		}
	}
	for _, o := range offsets {
		ln, err := net.Listen("tcp", s.addr(o).String())
		if err != nil {
			if errors.Is(err, syscall.EADDRNOTAVAIL) {
				return fmt.Errorf("%s is not an address of this machine (%w); see: ip addr",
					s.Addr, err)
			}
			return fmt.Errorf("port %d is taken (%w); stop what uses it, or choose others for a "+
				"new cluster with --port-base", s.PortBase+o, err)
		}
		ln.Close()
	}
	return nil
}

// waitPorts is checkPorts that gives a process that is just ending a moment to let go of them.
func (s *spec) waitPorts(ctx context.Context) error {
	return patiently(ctx, s.checkPorts, func(error) bool { return true })
}

// A request is what the flags of `glue up` ask for; zero values mean "not said".
type request struct {
	mons, osds, portBase int
	osdSize              string
	set                  []string
	split                bool
}

const (
	defaultOSDs     = 3
	defaultOSDSize  = "10G"
	defaultPortBase = 3300
	minOSDBytes     = 1 << 30
)

// newSpec is the spec of a cluster to create.
func (r request) newSpec(newUUID func() string) (*spec, error) {
	mons, osds, base := max(r.mons, 1), r.osds, r.portBase
	if osds == 0 {
		osds = defaultOSDs
	}
	if base == 0 {
		base = defaultPortBase
	}
	switch {
	case r.mons < 0 || mons > maxMons:
		return nil, fmt.Errorf("--mons %d: a cluster has 1 to %d monitors", r.mons, maxMons)
	case osds < 0 || osds > maxOSDs:
		return nil, fmt.Errorf("--osds %d: glue up starts 1 to %d OSDs", osds, maxOSDs)
	case base < 1 || base+firstOSDPort+osds > 65535:
		return nil, fmt.Errorf("--port-base %d: the ports up to %d must be below 65536", base,
			base+firstOSDPort+osds)
	}
	size := r.osdSize
	if size == "" {
		size = defaultOSDSize
	}
	bytes, err := diskBytes(size)
	if err != nil {
		return nil, fmt.Errorf("--osd-size: %w", err)
	}
	if bytes < minOSDBytes {
		return nil, fmt.Errorf("--osd-size %s: an OSD needs at least 1G", size)
	}
	config, err := parseSettings(r.set)
	if err != nil {
		return nil, err
	}
	addr, cluster := config["public_addr"], config["cluster_addr"]
	for name, who := range map[string]string{"public_addr": "clients", "cluster_addr": "OSDs"} {
		text := config[name]
		delete(config, name) // daemons take it from ceph.conf
		if ip, err := netip.ParseAddr(text); text != "" && (err != nil || ip.IsUnspecified()) {
			return nil, fmt.Errorf("--set %s=%s: say the IP address of this machine that "+
				"%s reach it at, without a port", name, text, who)
		}
	}
	fewCopies(config, osds)
	s := &spec{Format: specFormat, FSID: newUUID(), Mons: monNames(mons), Mgr: "x",
		Addr: addr, Cluster: cluster, PortBase: base, Msgr1: true, Split: r.split, Config: config}
	for i := range osds {
		s.OSDs = append(s.OSDs, osdSpec{ID: i, UUID: newUUID(), Bytes: bytes})
	}
	return s, nil
}

// fewCopies lets pools be complete in a cluster of fewer OSDs than pools have copies elsewhere.
func fewCopies(config map[string]string, osds int) {
	defaults := map[string]string{"osd_pool_default_size": strconv.Itoa(osds)}
	if osds == 1 {
		defaults["mon_allow_pool_size_one"] = "true"
		defaults["mon_warn_on_pool_no_redundancy"] = "false"
	}
	if _, said := config["osd_pool_default_size"]; said || osds >= defaultOSDs {
		return
	}
	for name, value := range defaults {
		if _, said := config[name]; !said {
			config[name] = value
		}
	}
}

// conflict says why flags that were given do not fit a cluster that exists.
func (r request) conflict(s *spec) error {
	if have := len(s.Mons) + len(s.Joining); r.mons != 0 && r.mons < have {
		return fmt.Errorf("--mons %d: the cluster in this folder has %d; take monitors out with: "+
			"ceph mon rm NAME", r.mons, have)
	}
	if r.mons > maxMons {
		return fmt.Errorf("--mons %d: a cluster has 1 to %d monitors", r.mons, maxMons)
	}
	for _, c := range []struct {
		flag     string
		said, is int
	}{{"--osds", r.osds, len(s.OSDs)},
		{"--port-base", r.portBase, s.PortBase}} {
		if c.said != 0 && c.said != c.is {
			return fmt.Errorf("%s %d: the cluster in this folder was made with %d; leave the "+
				"flag out to start it as it is", c.flag, c.said, c.is)
		}
	}
	return nil
}

// diskBytes reads a size such as 10G.
func diskBytes(text string) (int64, error) {
	o := options.Option{Name: "size", Kind: options.Size}
	v, err := o.Check(text)
	if err != nil {
		return 0, fmt.Errorf("%q is not a size such as 10G", text)
	}
	set := int64(0)
	_, err = fmt.Sscan(v, &set)
	return set, err
}

// parseSettings reads option=value pairs and checks them against the table.
func parseSettings(pairs []string) (map[string]string, error) {
	out := map[string]string{}
	for _, p := range pairs {
		name, value, ok := strings.Cut(p, "=")
		if !ok {
			return nil, fmt.Errorf("--set %s: say option=value", p)
		}
		out[options.Canonical(name)] = value
	}
	if _, err := (options.Set{}).With(out); err != nil {
		return nil, fmt.Errorf("--set: %w", err)
	}
	return out, nil
}

// monDaemons are the names of the monitors, such as "mon.a".
func (s *spec) monDaemons() []string {
	var out []string
	for _, m := range s.Mons {
		out = append(out, "mon."+m)
	}
	return out
}

// splitName cuts "osd.0" into type and id.
func splitName(name string) (typ, id string) {
	typ, id, _ = strings.Cut(name, ".")
	return typ, id
}
