package osdmap

import (
	"fmt"
	"maps"
	"slices"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/crush"
)

// Commit makes the next epoch from a change: it returns the new map, sealed for publication, and
// the encoded incremental with the new map's checksum in it. inc gets its FullCRC.
func (m *Map) Commit(inc *Incremental) (*Map, []byte, error) {
	n, err := m.apply(inc)
	if err != nil {
		return nil, nil, err
	}
	n.seal()
	inc.FullCRC, inc.HasCRC = n.crc, true
	return n, inc.Encode(), nil
}

// Apply makes the next epoch. Parts that inc does not touch are shared with m. It fails with
// ErrCRC when the result is not what the writer of inc had; then ask for a full map.
func (m *Map) Apply(inc *Incremental) (*Map, error) {
	n, err := m.apply(inc)
	if err != nil {
		return nil, err
	}
	n.seal()
	if inc.HasCRC && inc.FullCRC != n.crc {
		return nil, fmt.Errorf("osdmap epoch %d: %w: %08x, stated %08x",
			inc.Epoch, ErrCRC, n.crc, inc.FullCRC)
	}
	return n, nil
}

// Read makes a map of its encoding, or of the map before it and that of the incremental.
func Read(before *Map, raw []byte) (*Map, error) {
	if before == nil {
		return Decode(raw)
	}
	inc, err := DecodeIncremental(raw)
	if err != nil {
		return nil, err
	}
	return before.Apply(inc)
}

// Step is the map of epoch e behind cur, and its incremental if there is one, of the full maps and
// incrementals of a message. It is nil if neither leads there.
func Step(read func(before *Map, raw []byte) (*Map, error), cur *Map, e ceph.Epoch,
	full, incs map[ceph.Epoch][]byte,
) (*Map, []byte, error) {
	if raw, ok := full[e]; ok {
		m, err := read(nil, raw)
		return m, incs[e], err
	}
	raw, ok := incs[e]
	if !ok || cur == nil || cur.Epoch != e-1 {
		return nil, nil, nil
	}
	m, err := read(cur, raw)
	return m, raw, err
}

func (m *Map) apply(inc *Incremental) (*Map, error) {
	if inc.Epoch != m.Epoch+1 {
		return nil, fmt.Errorf("osdmap epoch %d: incremental for epoch %d does not follow",
			m.Epoch, inc.Epoch)
	}
	if inc.Epoch > 1 && inc.FSID != m.FSID {
		return nil, fmt.Errorf("osdmap epoch %d: incremental of cluster %v, not %v",
			m.Epoch, inc.FSID, m.FSID)
	}
	if len(inc.FullMap) > 0 {
		return Decode(inc.FullMap)
	}
	n := *m
	n.encoded, n.hasCRC = nil, false
	n.FSID, n.Epoch, n.Modified = inc.FSID, inc.Epoch, inc.Modified
	if inc.NewFlags >= 0 {
		n.Flags = Flags(inc.NewFlags)
	}
	if err := n.applyMaxOSD(inc); err != nil {
		return nil, err
	}
	n.applyPools(inc)
	n.applySnaps(inc)
	n.applyWeights(inc)
	n.applyProfiles(inc)
	n.applyStates(inc)
	n.applyBoots(inc)
	n.applyInfos(inc)
	n.applyPlacement(inc)
	n.applyBlocklists(inc)
	n.applySettings(inc)
	return &n, n.applyCrush(inc)
}

// maxOSDs is more than any cluster has; a number beyond would only make us allocate.
const maxOSDs = 1 << 20

// SetMaxOSD resizes everything that is indexed by OSD. The map must not have been published.
func (m *Map) SetMaxOSD(n int32) {
	m.MaxOSD = n
	m.State = resized(m.State, n, 0)
	m.Weight = resized(m.Weight, n, 0)
	m.ClientAddrs = resized(m.ClientAddrs, n, nil)
	m.ClusterAddrs = resized(m.ClusterAddrs, n, nil)
	m.HBBackAddrs = resized(m.HBBackAddrs, n, nil)
	m.HBFrontAddrs = resized(m.HBFrontAddrs, n, nil)
	m.Info = resized(m.Info, n, OSDInfo{})
	m.XInfo = resized(m.XInfo, n, OSDXInfo{})
	m.UUIDs = resized(m.UUIDs, n, ceph.UUID{})
	if m.PrimaryAffinity != nil {
		m.PrimaryAffinity = resized(m.PrimaryAffinity, n, WeightIn)
	}
}

// resized is a copy of s with n elements.
func resized[T any](s []T, n int32, fill T) []T {
	out := make([]T, n)
	for i := copy(out, s); i < int(n); i++ {
		out[i] = fill
	}
	return out
}

// applyMaxOSD also checks that every OSD that inc names is within the limit.
func (m *Map) applyMaxOSD(inc *Incremental) error {
	if inc.NewMaxOSD > maxOSDs {
		return fmt.Errorf("osdmap epoch %d: %w: max_osd %d", inc.Epoch, denc.ErrInvalid,
			inc.NewMaxOSD)
	}
	if inc.NewMaxOSD >= 0 {
		m.SetMaxOSD(inc.NewMaxOSD)
	}
	for _, named := range [][]int32{
		keys(inc.NewWeight), keys(inc.NewPrimaryAffinity), keys(inc.NewState),
		keys(inc.NewUpClient), keys(inc.NewUpCluster), keys(inc.NewUpThru),
		keys(inc.NewLastClean), keys(inc.NewLost), keys(inc.NewXInfo), keys(inc.NewUUID),
		keys(inc.NewHBBack), keys(inc.NewHBFront),
	} {
		for _, osd := range named {
			if osd < 0 || osd >= m.MaxOSD {
				return fmt.Errorf("osdmap epoch %d: %w: osd.%d, max_osd is %d",
					inc.Epoch, denc.ErrInvalid, osd, m.MaxOSD)
			}
		}
	}
	for id, p := range inc.NewPools {
		if p.PGNum == 0 || p.PGPNum == 0 {
			return fmt.Errorf("osdmap epoch %d: %w: pool %d without PGs",
				inc.Epoch, denc.ErrInvalid, id)
		}
	}
	return nil
}

func keys[K comparable, V any](m map[K]V) []K { return slices.Collect(maps.Keys(m)) }

// edited is a copy of the map if anything is to change in it, else the map itself.
func edited[K comparable, V any](m map[K]V, changes int) map[K]V {
	if changes == 0 {
		return m
	}
	out := make(map[K]V, len(m)+changes)
	maps.Copy(out, m)
	return out
}

func (m *Map) applyPools(inc *Incremental) {
	if inc.NewPoolMax != -1 {
		m.PoolMax = int32(inc.NewPoolMax)
	}
	m.Pools = edited(m.Pools, len(inc.NewPools)+len(inc.OldPools))
	for id, p := range inc.NewPools {
		q := *p
		q.LastChange = m.Epoch
		m.Pools[id] = &q
	}
	m.PoolNames = edited(m.PoolNames, len(inc.NewPoolNames)+len(inc.OldPools))
	maps.Copy(m.PoolNames, inc.NewPoolNames)
	for _, id := range inc.OldPools {
		delete(m.Pools, id)
		delete(m.PoolNames, id)
	}
	if len(inc.NewPoolNames)+len(inc.OldPools) > 0 {
		m.index()
	}
}

func (m *Map) applySnaps(inc *Incremental) {
	m.NewRemovedSnaps, m.NewPurgedSnaps = inc.NewRemovedSnaps, inc.NewPurgedSnaps
	m.RemovedSnapsQueue = edited(m.RemovedSnapsQueue,
		len(inc.NewRemovedSnaps)+len(inc.NewPurgedSnaps))
	for pool, r := range inc.NewRemovedSnaps {
		m.RemovedSnapsQueue[pool] = UnionSnaps(m.RemovedSnapsQueue[pool], r)
	}
	for pool, r := range inc.NewPurgedSnaps {
		left := SubtractSnaps(m.RemovedSnapsQueue[pool], r)
		if len(left) == 0 {
			delete(m.RemovedSnapsQueue, pool)
		} else {
			m.RemovedSnapsQueue[pool] = left
		}
	}
}

func (m *Map) applyWeights(inc *Incremental) {
	if len(inc.NewWeight) > 0 {
		m.Weight = slices.Clone(m.Weight)
		m.State = slices.Clone(m.State)
		m.XInfo = slices.Clone(m.XInfo)
	}
	for osd, w := range inc.NewWeight {
		m.Weight[osd] = w
		if w > 0 {
			m.State[osd] &^= OSDAutoOut | OSDNew
			m.State[osd] |= OSDExists
			m.XInfo[osd].OldWeight = 0
		}
	}
	if len(inc.NewPrimaryAffinity) > 0 {
		m.ownAffinity()
	}
	for osd, a := range inc.NewPrimaryAffinity {
		m.PrimaryAffinity[osd] = a
	}
}

// ownAffinity makes the list of affinities this map's own, with the default where there was none.
func (m *Map) ownAffinity() {
	if m.PrimaryAffinity == nil {
		m.PrimaryAffinity = resized[uint32](nil, m.MaxOSD, WeightIn)
	} else {
		m.PrimaryAffinity = slices.Clone(m.PrimaryAffinity)
	}
}

func (m *Map) applyProfiles(inc *Incremental) {
	m.ECProfiles = edited(m.ECProfiles, len(inc.NewECProfiles)+len(inc.OldECProfiles))
	for _, name := range inc.OldECProfiles {
		delete(m.ECProfiles, name)
	}
	maps.Copy(m.ECProfiles, inc.NewECProfiles)
}

func (m *Map) applyStates(inc *Incremental) {
	if len(inc.NewState) > 0 {
		m.State = slices.Clone(m.State)
		m.Info = slices.Clone(m.Info)
		m.XInfo = slices.Clone(m.XInfo)
	}
	for osd, s := range inc.NewState {
		if s == 0 {
			s = OSDUp
		}
		if m.State[osd]&s&OSDUp != 0 {
			m.Info[osd].DownAt = m.Epoch
			m.XInfo[osd].DownStamp = m.Modified
		}
		if m.State[osd]&s&OSDExists != 0 {
			m.forget(osd)
		} else {
			m.State[osd] ^= s
		}
	}
}

// forget clears all that is known of an OSD that is destroyed.
func (m *Map) forget(osd int32) {
	m.State[osd], m.Info[osd], m.XInfo[osd] = 0, OSDInfo{}, OSDXInfo{}
	m.UUIDs = slices.Clone(m.UUIDs)
	m.UUIDs[osd] = ceph.UUID{}
	m.ownAffinity()
	m.PrimaryAffinity[osd] = WeightIn
	m.ownAddrs()
	m.ClientAddrs[osd], m.ClusterAddrs[osd] = nil, nil
	m.HBBackAddrs[osd], m.HBFrontAddrs[osd] = nil, nil
}

func (m *Map) ownAddrs() {
	m.ClientAddrs = slices.Clone(m.ClientAddrs)
	m.ClusterAddrs = slices.Clone(m.ClusterAddrs)
	m.HBBackAddrs = slices.Clone(m.HBBackAddrs)
	m.HBFrontAddrs = slices.Clone(m.HBFrontAddrs)
}

func (m *Map) applyBoots(inc *Incremental) {
	if len(inc.NewUpClient)+len(inc.NewUpCluster) > 0 {
		m.ownAddrs()
		m.State = slices.Clone(m.State)
		m.Info = slices.Clone(m.Info)
	}
	for osd, addrs := range inc.NewUpClient {
		m.State[osd] = (m.State[osd] | OSDExists | OSDUp) &^ OSDStop
		m.ClientAddrs[osd] = addrs
		m.HBBackAddrs[osd] = inc.NewHBBack[osd]
		m.HBFrontAddrs[osd] = inc.NewHBFront[osd]
		m.Info[osd].UpFrom = m.Epoch
	}
	for osd, addrs := range inc.NewUpCluster {
		m.ClusterAddrs[osd] = addrs
	}
}

func (m *Map) applyInfos(inc *Incremental) {
	if len(inc.NewUpThru)+len(inc.NewLastClean)+len(inc.NewLost) > 0 {
		m.Info = slices.Clone(m.Info)
	}
	for osd, e := range inc.NewUpThru {
		m.Info[osd].UpThru = e
	}
	for osd, i := range inc.NewLastClean {
		m.Info[osd].LastCleanBegin, m.Info[osd].LastCleanEnd = i.Begin, i.End
	}
	for osd, e := range inc.NewLost {
		m.Info[osd].LostAt = e
	}
	if len(inc.NewXInfo) > 0 {
		m.XInfo = slices.Clone(m.XInfo)
	}
	for osd, x := range inc.NewXInfo {
		m.XInfo[osd] = x
	}
	if len(inc.NewUUID) > 0 {
		m.UUIDs = slices.Clone(m.UUIDs)
	}
	for osd, u := range inc.NewUUID {
		m.UUIDs[osd] = u
	}
}

func (m *Map) applyPlacement(inc *Incremental) {
	m.PGTemp = edited(m.PGTemp, len(inc.NewPGTemp))
	for pg, osds := range inc.NewPGTemp {
		if len(osds) == 0 {
			delete(m.PGTemp, pg)
		} else {
			m.PGTemp[pg] = osds
		}
	}
	m.PrimaryTemp = edited(m.PrimaryTemp, len(inc.NewPrimaryTemp))
	for pg, osd := range inc.NewPrimaryTemp {
		if osd == -1 {
			delete(m.PrimaryTemp, pg)
		} else {
			m.PrimaryTemp[pg] = osd
		}
	}
	m.PGUpmap = replaced(m.PGUpmap, inc.NewPGUpmap, inc.OldPGUpmap)
	m.PGUpmapItems = replaced(m.PGUpmapItems, inc.NewPGUpmapItems, inc.OldPGUpmapItems)
}

// replaced is m with what is new put in and then what is old taken out; m itself if nothing is.
func replaced[K comparable, V any](m, put map[K]V, remove []K) map[K]V {
	out := edited(m, len(put)+len(remove))
	maps.Copy(out, put)
	for _, k := range remove {
		delete(out, k)
	}
	return out
}

func (m *Map) applyBlocklists(inc *Incremental) {
	m.Blocklist = extended(m.Blocklist, inc.NewBlocklist, inc.OldBlocklist)
	m.RangeBlocklist = extended(m.RangeBlocklist, inc.NewRangeBlocklist, inc.OldRangeBlocklist)
}

// extended is like replaced, but what is there already stays as it is: a blocklist entry keeps its
// first expiry.
func extended[K comparable, V any](m, put map[K]V, remove []K) map[K]V {
	out := edited(m, len(put)+len(remove))
	for k, v := range put {
		if _, ok := out[k]; !ok {
			out[k] = v
		}
	}
	for _, k := range remove {
		delete(out, k)
	}
	return out
}

func (m *Map) applySettings(inc *Incremental) {
	if inc.NewLastUpChange != (ceph.Time{}) {
		m.LastUpChange = inc.NewLastUpChange
	}
	if inc.NewLastInChange != (ceph.Time{}) {
		m.LastInChange = inc.NewLastInChange
	}
	m.CrushNodeFlags = nonZero(m.CrushNodeFlags, inc.NewCrushNodeFlags)
	m.DeviceClassFlags = nonZero(m.DeviceClassFlags, inc.NewDeviceClassFlags)
	m.ClusterSnapshot, m.ClusterSnapshotEpoch = inc.ClusterSnapshot, 0
	if inc.ClusterSnapshot != "" {
		m.ClusterSnapshotEpoch = inc.Epoch
	}
	for _, r := range []struct {
		to   *float32
		from float32
	}{
		{&m.NearfullRatio, inc.NewNearfullRatio},
		{&m.BackfillfullRatio, inc.NewBackfillfullRatio}, {&m.FullRatio, inc.NewFullRatio},
	} {
		if r.from >= 0 {
			*r.to = r.from
		}
	}
	if r := inc.NewRequireMinCompatClient; r != ReleaseUnknown && r != ReleaseUnchanged {
		m.RequireMinCompatClient = r
	}
	if r := inc.NewRequireOSDRelease; r != ReleaseUnchanged {
		m.RequireOSDRelease = r
		m.upgradeFlags()
	}
	if inc.ChangeStretch {
		m.Stretch = inc.NewStretch
	}
}

// nonZero is m with the changes; a zero removes.
func nonZero(m, changes map[int32]uint32) map[int32]uint32 {
	out := edited(m, len(changes))
	for k, v := range changes {
		if v == 0 {
			delete(out, k)
		} else {
			out[k] = v
		}
	}
	return out
}

func (m *Map) applyCrush(inc *Incremental) error {
	if len(inc.Crush) == 0 {
		return nil
	}
	m.Crush = crush.New()
	if err := denc.Unmarshal(inc.Crush, m.Crush, ceph.FeaturesAll); err != nil {
		return fmt.Errorf("osdmap epoch %d: crush: %w", inc.Epoch, err)
	}
	if m.RequireOSDRelease >= Luminous {
		m.CrushVersion++
	}
	for class := range m.DeviceClassFlags {
		if _, ok := m.Crush.ClassNames[class]; !ok {
			m.DeviceClassFlags = edited(m.DeviceClassFlags, 1)
			delete(m.DeviceClassFlags, class)
		}
	}
	return nil
}
