package osdmap

import (
	"bytes"
	"maps"
	"net/netip"
	"slices"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/crush"
)

// Empty is the map before the first epoch: apply an incremental for epoch 1 to it.
func Empty() *Map {
	m := &Map{Crush: crush.New()}
	m.index()
	return m
}

// Clone is a copy whose top-level fields may be replaced, and whose slices and maps may be edited
// after being cloned themselves. Tests and tools use it; daemons make incrementals.
func (m *Map) Clone() *Map {
	n := *m
	n.encoded, n.hasCRC, n.crush = nil, false, encodedCrush{}
	n.Pools, n.PoolNames = maps.Clone(m.Pools), maps.Clone(m.PoolNames)
	n.State, n.Weight = slices.Clone(m.State), slices.Clone(m.Weight)
	n.Info, n.XInfo = slices.Clone(m.Info), slices.Clone(m.XInfo)
	n.UUIDs, n.PrimaryAffinity = slices.Clone(m.UUIDs), slices.Clone(m.PrimaryAffinity)
	n.ownAddrs()
	n.PGTemp, n.PrimaryTemp = maps.Clone(m.PGTemp), maps.Clone(m.PrimaryTemp)
	n.PGUpmap, n.PGUpmapItems = maps.Clone(m.PGUpmap), maps.Clone(m.PGUpmapItems)
	n.Blocklist, n.RangeBlocklist = maps.Clone(m.Blocklist), maps.Clone(m.RangeBlocklist)
	n.ECProfiles = maps.Clone(m.ECProfiles)
	n.index()
	return &n
}

// Exists says whether the cluster has an OSD of this number.
func (m *Map) Exists(osd int32) bool {
	return osd >= 0 && osd < m.MaxOSD && m.State[osd].Has(OSDExists)
}

// IsUp says whether an OSD is there and up.
func (m *Map) IsUp(osd int32) bool { return m.Exists(osd) && m.State[osd].Has(OSDUp) }

// IsDown says whether an OSD is down or not there.
func (m *Map) IsDown(osd int32) bool { return !m.IsUp(osd) }

// IsIn says whether an OSD is there and has a weight.
func (m *Map) IsIn(osd int32) bool { return m.Exists(osd) && m.Weight[osd] != 0 }

// IsOut says whether an OSD has no weight or is not there.
func (m *Map) IsOut(osd int32) bool { return !m.IsIn(osd) }

// IsDestroyed says whether an OSD's number is kept for a replacement disk.
func (m *Map) IsDestroyed(osd int32) bool { return m.Exists(osd) && m.State[osd].Has(OSDDestroyed) }

// HasState says whether an OSD is there and has all the states.
func (m *Map) HasState(osd int32, s State) bool { return m.Exists(osd) && m.State[osd].Has(s) }

// NodeFlag says whether a flag (OSDNoUp, OSDNoDown, OSDNoIn, OSDNoOut) holds for an OSD: set on
// itself, on a CRUSH bucket above it, or on its device class.
func (m *Map) NodeFlag(osd int32, flag State) bool {
	if m.HasState(osd, flag) || State(m.CrushNodeFlags[osd]).Has(flag) {
		return true
	}
	if len(m.DeviceClassFlags) > 0 {
		class, ok := m.Crush.ClassID(m.Crush.ItemClass(osd))
		if ok && State(m.DeviceClassFlags[class]).Has(flag) {
			return true
		}
	}
	if len(m.CrushNodeFlags) > 0 {
		for id, ok := m.Crush.Parent(osd); ok; id, ok = m.Crush.Parent(id) {
			if State(m.CrushNodeFlags[id]).Has(flag) {
				return true
			}
		}
	}
	return false
}

// Addrs are an OSD's addresses for clients, nil when it is not there.
func (m *Map) Addrs(osd int32) ceph.AddrVec {
	if !m.Exists(osd) {
		return nil
	}
	return m.ClientAddrs[osd]
}

// OSDs lists the OSDs that exist, ascending.
func (m *Map) OSDs() []int32 {
	var out []int32
	for osd := range m.MaxOSD {
		if m.Exists(osd) {
			out = append(out, osd)
		}
	}
	return out
}

// Counts are the numbers of OSDs that exist, that are up, and that are in.
func (m *Map) Counts() (exist, up, in int) {
	for _, osd := range m.OSDs() {
		exist++
		if m.IsUp(osd) {
			up++
		}
		if m.IsIn(osd) {
			in++
		}
	}
	return exist, up, in
}

// Pool is a pool's settings, nil without one.
func (m *Map) Pool(id int64) *Pool { return m.Pools[id] }

// PoolByName finds a pool's number.
func (m *Map) PoolByName(name string) (int64, bool) {
	id, ok := m.names[name]
	return id, ok
}

// PoolIDs lists the pools, ascending.
func (m *Map) PoolIDs() []int64 { return slices.Sorted(maps.Keys(m.Pools)) }

// PoolName is a pool's name, "<unknown>" without one.
func (m *Map) PoolName(id int64) string {
	if name, ok := m.PoolNames[id]; ok {
		return name
	}
	return "<unknown>"
}

// Affinity is an OSD's primary affinity (16.16).
func (m *Map) Affinity(osd int32) uint32 {
	if m.PrimaryAffinity == nil || osd < 0 || osd >= m.MaxOSD {
		return WeightIn
	}
	return m.PrimaryAffinity[osd]
}

// OSDByUUID finds the OSD with a disk's identity, or -1.
func (m *Map) OSDByUUID(u ceph.UUID) int32 {
	for _, osd := range m.OSDs() {
		if m.UUIDs[osd] == u {
			return osd
		}
	}
	return -1
}

// UpFeatures are the features that all OSDs which are up have, 0 when none is up.
func (m *Map) UpFeatures() uint64 {
	all, found := ^uint64(0), false
	for _, osd := range m.OSDs() {
		if f := m.XInfo[osd].Features; m.IsUp(osd) && f != 0 {
			all, found = all&f, true
		}
	}
	if !found {
		return 0
	}
	return all
}

// Blocklisted says whether an address may not talk to OSDs: itself, its whole host, or a range
// that its host is in.
func (m *Map) Blocklisted(a ceph.Addr) bool {
	if len(m.Blocklist) == 0 && len(m.RangeBlocklist) == 0 {
		return false
	}
	a.Type = ceph.AddrAny
	if _, ok := m.Blocklist[a]; ok {
		return true
	}
	if a.IsBlank() {
		return false
	}
	ip := a.AddrPort.Addr()
	host := ceph.Addr{Type: ceph.AddrAny, AddrPort: netip.AddrPortFrom(ip, 0)}
	if _, ok := m.Blocklist[host]; ok {
		return true
	}
	for r := range m.RangeBlocklist {
		if inRange(ip, r) {
			return true
		}
	}
	return false
}

// BlocklistedAny is Blocklisted for any of an entity's addresses.
func (m *Map) BlocklistedAny(v ceph.AddrVec) bool { return slices.ContainsFunc(v, m.Blocklisted) }

// inRange compares the leading bits; the nonce is their number.
func inRange(ip netip.Addr, r ceph.Addr) bool {
	base := r.AddrPort.Addr().Unmap()
	prefix, err := base.Prefix(int(min(r.Nonce, 128)))
	return err == nil && prefix.Contains(ip.Unmap())
}

// SetCrush puts an edited CRUSH map into an incremental.
func (inc *Incremental) SetCrush(v denc.Value) { inc.Crush = denc.Marshal(v, ceph.FeaturesAll) }

// CrushEqual says whether two encoded CRUSH maps are the same.
func CrushEqual(a, b denc.Value) bool {
	return bytes.Equal(denc.Marshal(a, ceph.FeaturesAll), denc.Marshal(b, ceph.FeaturesAll))
}
