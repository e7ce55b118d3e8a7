package rbd

import (
	"strings"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/rbdspec"
	"glue/osd/class"
)

const (
	statusPrefix       = "status_global_"
	remoteStatusPrefix = "remote_status_global_"
)

// States in a status (MIRROR_IMAGE_STATUS_STATE_*).
const (
	statusUnknown = 0
	statusError   = 1
)

// A siteStatus is how an image fares at one site (MirrorImageSiteStatus), the local one if the
// UUID is empty. Up means that who reported it still watches the object.
type siteStatus struct {
	UUID        string
	State       uint8
	Description string
	LastUpdate  ceph.Time
	Up          bool
}

func (s *siteStatus) fields(c *denc.Coder, version uint8) {
	if version >= 2 {
		c.Str(&s.UUID)
	}
	c.U8(&s.State)
	c.Str(&s.Description)
	s.LastUpdate.Denc(c)
	c.Bool(&s.Up)
}

// Denc is MirrorImageSiteStatus: version 1 for the local site, 2 for others.
func (s *siteStatus) Denc(c *denc.Coder) {
	v := uint8(2)
	if c.Encoding() && s.UUID == "" {
		v = 1
	}
	sec := c.Begin(v, v)
	s.fields(c, sec.V)
	sec.End()
}

// An instance is who reported a status (entity_inst_t).
type instance class.Entity

// Denc is the name and the address, of any type so that it compares with what watches.
func (i *instance) Denc(c *denc.Coder) {
	name, addr := i.Name, i.Addr
	addr.Type = ceph.AddrAny
	name.Denc(c)
	addr.Denc(c)
	if !c.Encoding() {
		addr.Type = ceph.AddrAny
		i.Name, i.Addr = name, addr
	}
}

// A storedStatus is a status with its reporter (MirrorImageSiteStatusOnDisk).
type storedStatus struct {
	origin instance
	siteStatus
}

func (s *storedStatus) dencOrigin(c *denc.Coder) {
	sec := c.Begin(1, 1)
	s.origin.Denc(c)
	sec.End()
}

// Denc is the reporter, then the status.
func (s *storedStatus) Denc(c *denc.Coder) {
	s.dencOrigin(c)
	s.siteStatus.Denc(c)
}

// An imageStatus is how an image fares everywhere (MirrorImageStatus).
type imageStatus []siteStatus

// Denc is MirrorImageStatus version 2: the local site, if it is valid, and the others.
func (s *imageStatus) Denc(c *denc.Coder) {
	var local siteStatus
	var valid bool
	var remote []siteStatus
	for _, site := range *s {
		if site.UUID == "" {
			local, valid = site, true
		} else {
			remote = append(remote, site)
		}
	}
	sec := c.Begin(2, 1)
	local.fields(c, 1)
	c.Bool(&valid)
	denc.ListFunc(c, &remote, func(c *denc.Coder, r *siteStatus) { r.fields(c, 2) })
	sec.End()
	if !c.Encoding() {
		*s = nil
		if valid {
			*s = imageStatus{local}
		}
		*s = append(*s, remote...)
	}
}

// local is the local site's status; unknown if it reported none.
func (s imageStatus) local() siteStatus {
	for _, site := range s {
		if site.UUID == "" {
			return site
		}
	}
	return siteStatus{}
}

func statusKey(global, uuid string) string {
	if uuid == "" {
		return statusPrefix + global
	}
	return remoteStatusPrefix + global + "_" + uuid
}

// watching is the set of who watches the object.
func watching(ctx class.Context) (map[instance]bool, error) {
	watchers, err := ctx.Watchers()
	if err != nil && !class.IsMissing(err) {
		return nil, err
	}
	set := make(map[instance]bool, len(watchers))
	for _, w := range watchers {
		i := instance(w.Entity)
		i.Addr.Type = ceph.AddrAny
		set[i] = true
	}
	return set, nil
}

// mirrorStatusSet records a report; one about an image that is not mirrored is dropped.
func mirrorStatusSet(ctx class.Context, in []byte) ([]byte, error) {
	var global string
	var s storedStatus
	err := class.Decode(in, func(c *denc.Coder) {
		c.Str(&global)
		s.siteStatus.Denc(c)
	})
	if err != nil {
		return nil, err
	}
	id, err := class.Get(ctx, mirrorGlobalPrefix+global, class.Str)
	if err != nil {
		return nil, nil
	}
	m, err := class.Get(ctx, mirrorImagePrefix+id, class.Of[mirrorImage])
	if err != nil || m.State != imageEnabled {
		return nil, nil
	}
	key := statusKey(global, s.UUID)
	s.UUID, s.Up, s.LastUpdate = "", false, ctx.Now()
	s.origin = instance(ctx.Origin())
	return nil, class.Put(ctx, key, class.Of[storedStatus], s)
}

func mirrorStatusRemove(ctx class.Context, in []byte) ([]byte, error) {
	global, err := class.Input(in, class.Str)
	if err != nil {
		return nil, err
	}
	return nil, removeStatus(ctx, global)
}

// removeStatus removes the status of an image at all sites.
func removeStatus(ctx class.Context, global string) error {
	keys := []string{statusKey(global, "")}
	prefix := remoteStatusPrefix + global + "_"
	err := class.Scan(ctx, prefix, prefix, func(key string, _ []byte) error {
		keys = append(keys, key)
		return nil
	})
	if err != nil && !class.IsMissing(err) {
		return err
	}
	for _, key := range keys {
		if err := class.Remove(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// statusOf reads the status of an image at all sites; ENOENT if there is none.
func statusOf(ctx class.Context, global string, up map[instance]bool) (imageStatus, error) {
	var all imageStatus
	add := func(uuid string, raw []byte) error {
		var s storedStatus
		if err := class.DecodeStored(raw, &s); err != nil {
			return err
		}
		s.Up, s.UUID = up[s.origin], uuid
		all = append(all, s.siteStatus)
		return nil
	}
	raw, err := ctx.OmapVal(statusKey(global, ""))
	if err == nil {
		err = add("", raw)
	}
	if err != nil && !class.IsMissing(err) {
		return nil, err
	}
	prefix := remoteStatusPrefix + global + "_"
	err = class.Scan(ctx, prefix, prefix, func(key string, v []byte) error {
		return add(strings.TrimPrefix(key, prefix), v)
	})
	if err != nil && !class.IsMissing(err) {
		return nil, err
	}
	if len(all) == 0 {
		return nil, ceph.ENOENT
	}
	return all, nil
}

func mirrorStatusGet(ctx class.Context, in []byte) ([]byte, error) {
	global, err := class.Input(in, class.Str)
	if err != nil {
		return nil, err
	}
	up, err := watching(ctx)
	if err != nil {
		return nil, err
	}
	s, err := statusOf(ctx, global, up)
	if err != nil {
		return nil, err
	}
	return class.Encoded(class.Of[imageStatus], s), nil
}

// mirrorStatusList gives images, and the status of those that have one.
func mirrorStatusList(ctx class.Context, in []byte) ([]byte, error) {
	start, max, err := startAndMax(in)
	if err != nil {
		return nil, err
	}
	up, err := watching(ctx)
	if err != nil {
		return nil, err
	}
	images, statuses := map[string]mirrorImage{}, map[string]imageStatus{}
	err = scanImages(ctx, start, max, func(id string, m *mirrorImage) error {
		images[id] = *m
		if s, err := statusOf(ctx, m.GlobalID, up); err == nil {
			statuses[id] = s
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return class.Encode(func(c *denc.Coder) {
		denc.Map(c, &images, (*denc.Coder).Str)
		denc.Map(c, &statuses, (*denc.Coder).Str)
	}), nil
}

// summaryView reads the peers that a summary is for: in which direction images go, and the UUIDs
// of those that receive.
func summaryView(in []byte) (direction uint8, receivers map[string]struct{}, err error) {
	var peers []peer
	err = class.Decode(in, func(c *denc.Coder) {
		if c.Remaining() > 0 {
			denc.List(c, &peers)
		}
	})
	receivers = map[string]struct{}{}
	if len(peers) > 0 {
		direction = peers[0].Direction
	}
	for _, p := range peers {
		if p.Direction == rbdspec.PeerRX {
			continue
		}
		receivers[p.MirrorUUID] = struct{}{}
		if direction != rbdspec.PeerRXTX && direction != p.Direction {
			direction = rbdspec.PeerRXTX
		}
	}
	return direction, receivers, err
}

// mirrorStatusSummary counts images by the state that sums up their sites.
func mirrorStatusSummary(ctx class.Context, in []byte) ([]byte, error) {
	direction, receivers, err := summaryView(in)
	if err != nil {
		return nil, err
	}
	up, err := watching(ctx)
	if err != nil {
		return nil, err
	}
	counts := map[uint8]int32{}
	err = scanImages(ctx, "", ^uint64(0), func(_ string, m *mirrorImage) error {
		s, err := statusOf(ctx, m.GlobalID, up)
		if err != nil && !class.IsMissing(err) {
			return err
		}
		counts[s.summary(direction, receivers)]++
		return nil
	})
	if err != nil {
		return nil, err
	}
	return class.Encode(func(c *denc.Coder) {
		denc.MapFunc(c, &counts, (*denc.Coder).U8, (*denc.Coder).I32)
	}), nil
}

// summary is the state that sums up an image: the local one if images only come in, else the
// worst of all, and unknown as long as a receiver has not reported.
func (s imageStatus) summary(direction uint8, receivers map[string]struct{}) uint8 {
	state := -1
	if l := s.local(); l.Up && direction != rbdspec.PeerTX {
		state = int(l.State)
	}
	silent := 0
	if direction != rbdspec.PeerRX {
		silent = len(receivers)
		for _, site := range s {
			if site.UUID == "" {
				continue
			}
			if _, ok := receivers[site.UUID]; ok && silent > 0 {
				silent--
			}
			state = worse(state, site)
		}
	}
	if state < 0 || silent > 0 {
		return statusUnknown
	}
	return uint8(state)
}

// worse combines a state, -1 for none, with that of a remote site.
func worse(state int, site siteStatus) int {
	remote := statusUnknown
	if site.Up {
		remote = int(site.State)
	}
	switch {
	case site.State == statusError:
		return statusError
	case state < 0:
		return remote
	case state != statusError:
		return min(state, remote)
	}
	return state
}

// mirrorStatusRemoveDown removes reports of who watches no more.
func mirrorStatusRemoveDown(ctx class.Context, _ []byte) ([]byte, error) {
	up, err := watching(ctx)
	if err != nil {
		return nil, err
	}
	for _, prefix := range []string{statusPrefix, remoteStatusPrefix} {
		err := class.Scan(ctx, prefix, prefix, func(key string, v []byte) error {
			var s storedStatus
			c := denc.NewDecoder(v, ceph.FeaturesAll)
			if s.dencOrigin(c); c.Err() != nil {
				return ceph.EIO
			}
			if up[s.origin] {
				return nil
			}
			return ctx.OmapRm(key)
		})
		if err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// instanceOf is who reported the local status of an image: ESTALE if it watches no more.
func instanceOf(ctx class.Context, global string, up map[instance]bool) (instance, error) {
	s, err := class.Get(ctx, statusKey(global, ""), class.Of[storedStatus])
	if err == nil && !up[s.origin] {
		err = ceph.ESTALE
	}
	return s.origin, err
}

func mirrorInstanceGet(ctx class.Context, in []byte) ([]byte, error) {
	global, err := class.Input(in, class.Str)
	if err != nil {
		return nil, err
	}
	up, err := watching(ctx)
	if err != nil {
		return nil, err
	}
	i, err := instanceOf(ctx, global, up)
	if err != nil {
		return nil, err
	}
	return class.Encoded(class.Of[instance], i), nil
}

func mirrorInstanceList(ctx class.Context, in []byte) ([]byte, error) {
	start, max, err := startAndMax(in)
	if err != nil {
		return nil, err
	}
	up, err := watching(ctx)
	if err != nil {
		return nil, err
	}
	found := map[string]instance{}
	err = scanImages(ctx, start, ^uint64(0), func(id string, m *mirrorImage) error {
		if uint64(len(found)) >= max {
			return class.ErrEnough
		}
		if i, err := instanceOf(ctx, m.GlobalID, up); err == nil {
			found[id] = i
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return class.Encode(func(c *denc.Coder) { denc.Map(c, &found, (*denc.Coder).Str) }), nil
}
