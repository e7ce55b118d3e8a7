package osd

import (
	"fmt"
	"maps"
	"slices"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/osd/records"
	"glue/store/objectstore"
	"glue/wire/message"
)

// mapAt is the map of an epoch, from memory or the store.
func (d *Daemon) mapAt(e ceph.Epoch) (*osdmap.Map, error) {
	if m := d.maps.Map(e); m != nil {
		return m, nil
	}
	raw, err := d.store.Meta(records.MapKey(e))
	if err != nil {
		return nil, fmt.Errorf("read osdmap %d: %w", e, err)
	}
	m, err := d.opt.ReadMap(nil, raw)
	if err != nil {
		return nil, fmt.Errorf("osdmap %d: %w", e, err)
	}
	d.maps.Add(m, nil)
	return m, nil
}

// mapsTogether bounds the maps that one transaction stores, in bytes: a small store's journal takes
// no more than twice as much at once, and an OSD that was away gets many maps in a message.
const mapsTogether = 128 << 10

// handleMaps takes new maps in order, stores them, and hands them to the shards.
func (d *Daemon) handleMaps(b *message.MOSDMap) {
	cur := d.osdmap.Load()
	have := d.super.Newest
	if b.Newest <= have {
		return
	}
	t := new(objectstore.Transaction) // a new one each time, since the store keeps it
	var taken []*osdmap.Map
	size := 0
	for e := have + 1; e <= b.Newest; e++ {
		m, inc, err := osdmap.Step(d.opt.ReadMap, cur, e, b.Maps, b.Incrementals)
		if err != nil {
			d.log.Error("osdmap does not decode", "epoch", e, "err", err)
			break
		}
		if m == nil {
			if e, cur = d.skipTo(e, b), nil; e == 0 {
				break
			}
			e-- // the loop adds one
			continue
		}
		full := m.Encode()
		if size += len(full) + len(inc); size > mapsTogether && len(t.Ops) > 0 {
			if !d.storeMaps(t) {
				return
			}
			t, size = new(objectstore.Transaction), len(full)+len(inc)
		}
		t.PutMeta(records.MapKey(e), full)
		if inc != nil {
			t.PutMeta(records.IncrementalKey(e), inc)
		}
		d.notePools(cur, m)
		d.maps.Add(m, inc)
		cur = m
		taken = append(taken, m)
	}
	if len(taken) > 0 {
		d.takeMaps(t, taken, b.Oldest)
	}
	if d.super.Newest < b.Newest {
		d.mon.Subscribe("osdmap", uint64(d.super.Newest)+1, false)
	}
}

// skipTo is the next epoch that the message has in full, when the monitors have trimmed those
// between; zero if there is none.
func (d *Daemon) skipTo(e ceph.Epoch, b *message.MOSDMap) ceph.Epoch {
	for _, f := range slices.Sorted(maps.Keys(b.Maps)) {
		if f > e {
			clear(d.super.Pools) // pools may have come and gone unseen
			return f
		}
	}
	return 0
}

// notePools keeps in which epoch each pool appeared.
func (d *Daemon) notePools(old, m *osdmap.Map) {
	for id := range d.super.Pools {
		if m.Pools[id] == nil {
			delete(d.super.Pools, id)
		}
	}
	if old == nil && m.Epoch > 1 {
		return
	}
	for id, p := range m.Pools {
		if old == nil || old.Pools[id] == nil {
			d.super.Pools[id] = poolLife{Created: m.Epoch, Fewest: p.PGNum}
			continue
		}
		if l, ok := d.super.Pools[id]; ok {
			l.Fewest = min(l.Fewest, p.PGNum)
			d.super.Pools[id] = l
		}
	}
}

const (
	keptMaps    = 500 // epochs that are kept in any case
	droppedMaps = 500 // that are dropped at a time, at most
)

// takeMaps stores new maps and publishes them.
func (d *Daemon) takeMaps(t *objectstore.Transaction, taken []*osdmap.Map, oldest ceph.Epoch) {
	newest := taken[len(taken)-1]
	s := &d.super
	if s.Oldest == 0 {
		s.Oldest = taken[0].Epoch
	}
	keep := min(oldest, max(newest.Epoch, keptMaps)-keptMaps, s.Oldest+droppedMaps)
	for ; s.Oldest < keep; s.Oldest++ {
		t.RmMeta(records.MapKey(s.Oldest))
		t.RmMeta(records.IncrementalKey(s.Oldest))
	}
	s.Newest = newest.Epoch
	d.putSuper(t)
	if !d.storeMaps(t) {
		return
	}
	d.osdmap.Store(newest)
	d.mon.Got("osdmap", uint64(newest.Epoch))
	for _, m := range taken {
		d.checkDown(m)
	}
	d.checkMe(newest)
	pools := maps.Clone(s.Pools)
	for _, sh := range d.shards {
		sh.post(event{kind: evMaps, maps: taken, pools: pools})
	}
	d.mapTaken(newest)
}

// storeMaps submits a transaction with maps. Those above the newest of the superblock don't count.
func (d *Daemon) storeMaps(t *objectstore.Transaction) bool {
	err := d.store.Submit(t, d.storeDone)
	if err != nil {
		d.fail(fmt.Errorf("store osdmaps: %w", err))
	}
	return err == nil
}

// storeDone is the completion of what nobody waits for.
func (d *Daemon) storeDone(err error) {
	if err != nil {
		d.fail(fmt.Errorf("store: %w", err))
	}
}

// sharedMaps bounds the increments in one message (osd_map_share_max_epochs).
const sharedMaps = 40

// shareMaps sends a client what it lacks between its epoch and ours.
func (d *Daemon) shareMaps(c link, have, newest ceph.Epoch) {
	m := d.osdmap.Load()
	if have >= newest || m == nil {
		return
	}
	b := &message.MOSDMap{FSID: m.FSID, Oldest: 1, Newest: m.Epoch,
		Incrementals: map[ceph.Epoch][]byte{}, Maps: map[ceph.Epoch][]byte{}}
	if newest-have <= sharedMaps && have > 0 {
		for e := have + 1; e <= newest; e++ {
			raw := d.incAt(e)
			if raw == nil {
				clear(b.Incrementals)
				break
			}
			b.Incrementals[e] = raw
		}
	}
	if len(b.Incrementals) == 0 {
		b.Maps[m.Epoch] = m.Encode()
	}
	c.Send(message.New(b))
}

func (d *Daemon) incAt(e ceph.Epoch) []byte {
	raw := d.maps.Increment(e)
	if raw == nil {
		raw, _ = d.store.Meta(records.IncrementalKey(e))
	}
	return raw
}
