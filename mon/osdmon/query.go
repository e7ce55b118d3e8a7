package osdmon

import (
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"strings"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/commands"
	"glue/cluster/osdmap"
	"glue/internal/cephjson"
	"glue/internal/texttable"
	"glue/mon/service"
)

// Commands are all commands on the OSD map.
func (s *Service) Commands() []service.Row {
	return slices.Concat(s.queries(), s.osdCommands(), s.flagRows(), s.poolCommands(),
		s.tierCommands(), s.crushCommands(), s.ruleCommands(), s.weightSetCommands())
}

func (s *Service) queries() []service.Row {
	return []service.Row{
		{Prefix: "osd stat", Run: s.cmdStat},
		{Prefix: "osd dump", Run: s.cmdDump},
		{Prefix: "osd info", Run: s.cmdInfo},
		{Prefix: "osd tree", Run: s.cmdTree},
		{Prefix: "osd tree-from", Run: s.cmdTree},
		{Prefix: "osd ls", Run: s.cmdList},
		{Prefix: "osd ls-tree", Run: s.cmdListTree},
		{Prefix: "osd getmap", Run: s.cmdGetMap},
		{Prefix: "osd getcrushmap", Run: s.cmdGetCrush},
		{Prefix: "osd getmaxosd", Run: s.cmdGetMaxOSD},
		{Prefix: "osd find", Run: s.cmdFind},
		{Prefix: "osd metadata", Run: s.cmdMetadata},
		{Prefix: "osd map", Run: s.cmdMap},
		{Prefix: "pg map", Run: s.cmdPGMap},
		{Prefix: "osd lspools", Run: s.cmdLsPools},
		{Prefix: "osd blocklist ls", Run: s.cmdBlocklistList},
		{Prefix: "osd blacklist ls", Run: s.cmdBlocklistList},
		{Prefix: "osd get-require-min-compat-client", Run: s.cmdGetMinCompat},
		{Prefix: "osd erasure-code-profile ls", Run: s.cmdProfiles},
		{Prefix: "osd erasure-code-profile get", Run: s.cmdProfileGet},
		{Prefix: "osd utilization", Run: s.cmdUtilization},
		{Prefix: "osd numa-status", Run: s.cmdNUMA},
		{Prefix: "osd last-stat-seq", Run: s.cmdLastSeq},
	}
}

// at is the map of the epoch that a command asks for.
func (s *Service) at(r *service.Request) (*osdmap.Map, *service.Answer) {
	e := r.Int("epoch", 0)
	m, err := s.At(ceph.Epoch(e))
	if err != nil || e < 0 {
		a := service.Fail(ceph.ENOENT, "there is no map for epoch %d", e)
		return nil, &a
	}
	return m, nil
}

func (s *Service) cmdStat(r *service.Request) service.Answer {
	return r.Either(s.m.Stat(), s.m.StatText(ceph.TimeOf(r.Now), "", true))
}

func (s *Service) cmdDump(r *service.Request) service.Answer {
	m, bad := s.at(r)
	if bad != nil {
		return *bad
	}
	if r.Formatted() {
		return r.JSON(m.Dump())
	}
	return service.Plain(m.Text())
}

func (s *Service) cmdInfo(r *service.Request) service.Answer {
	list := s.m.OSDs()
	if r.Has("id") {
		id, bad := s.osdArg(r)
		if bad != nil {
			bad.Err = ceph.EINVAL // also for one that is not there, as stock has it
			return *bad
		}
		list = []int32{id}
		if r.Formatted() {
			return r.JSON(s.m.DumpOSD(id))
		}
	}
	if r.Formatted() {
		out := []osdmap.OSDDump{}
		for _, id := range list {
			out = append(out, s.m.DumpOSD(id))
		}
		return r.JSON(out)
	}
	var lines []string
	for _, id := range list {
		lines = append(lines, strings.TrimSuffix(s.m.OSDText(id), "\n"))
	}
	return service.Plain(service.Lines(lines))
}

// osdArg reads "id"; the OSD must exist.
func (s *Service) osdArg(r *service.Request) (int32, *service.Answer) {
	text := r.Str("id")
	id, err := commands.ParseOSD(text)
	if err != nil {
		a := service.Fail(ceph.EINVAL, "unable to parse osd id value '%s'", text)
		return -1, &a
	}
	if !s.m.Exists(id) {
		a := service.Fail(ceph.ENOENT, "osd.%d does not exist", id)
		return -1, &a
	}
	return id, nil
}

func (s *Service) cmdTree(r *service.Request) service.Answer {
	m, bad := s.at(r)
	if bad != nil {
		return *bad
	}
	f, ok := osdmap.ParseTreeFilter(r.Strs("states"))
	switch {
	case !ok:
		return service.Fail(ceph.EINVAL, "states are up, down, in, out and destroyed")
	case f&osdmap.TreeIn != 0 && f&osdmap.TreeOut != 0:
		return service.Fail(ceph.EINVAL, "cannot specify both 'in' and 'out'")
	case bits.OnesCount(uint(f&(osdmap.TreeUp|osdmap.TreeDown|osdmap.TreeDestroyed))) > 1:
		return service.Fail(ceph.EINVAL,
			"can specify only one of 'up', 'down' and 'destroyed'")
	}
	root := r.Str("bucket")
	if root != "" {
		if id, ok := m.Crush.ItemID(root); !ok {
			return service.Fail(ceph.ENOENT, "bucket '%s' does not exist", root)
		} else if id >= 0 {
			return service.Fail(ceph.EINVAL, "'%s' is not a bucket", root)
		}
	}
	if r.Formatted() {
		return r.JSON(m.TreeDump(f, root))
	}
	return service.Plain(m.TreeText(f, root))
}

func (s *Service) cmdList(r *service.Request) service.Answer {
	m, bad := s.at(r)
	if bad != nil {
		return *bad
	}
	return listOSDs(r, m.OSDs())
}

func listOSDs(r *service.Request, ids []int32) service.Answer {
	if ids == nil {
		ids = []int32{}
	}
	var lines []string
	for _, id := range ids {
		lines = append(lines, fmt.Sprint(id))
	}
	return r.Either(ids, service.Lines(lines))
}

func (s *Service) cmdListTree(r *service.Request) service.Answer {
	m, bad := s.at(r)
	if bad != nil {
		return *bad
	}
	id, ok := m.Crush.ItemID(r.Need("name"))
	if !ok {
		return service.Fail(ceph.ENOENT, "\"%s\" does not exist", r.Str("name"))
	}
	list := []int32{id}
	if id < 0 {
		list = slices.Clone(m.Crush.Leaves(id))
	}
	slices.Sort(list)
	return listOSDs(r, slices.Compact(list))
}

func (s *Service) cmdGetMap(r *service.Request) service.Answer {
	e := ceph.Epoch(r.Int("epoch", int64(s.m.Epoch)))
	b, err := s.Full(e)
	if err != nil {
		return service.Fail(ceph.ENOENT, "there is no map for epoch %d", e)
	}
	return service.Answer{Data: b, Text: fmt.Sprintf("got osdmap epoch %d", e)}
}

func (s *Service) cmdGetCrush(r *service.Request) service.Answer {
	m, bad := s.at(r)
	if bad != nil {
		return *bad
	}
	return service.Answer{Data: denc.Marshal(m.Crush, ceph.FeaturesAll),
		Text: fmt.Sprint(m.CrushVersion)}
}

func (s *Service) cmdGetMaxOSD(r *service.Request) service.Answer {
	return r.Either(struct {
		Epoch ceph.Epoch `json:"epoch"`
		Max   int32      `json:"max_osd"`
	}{s.m.Epoch, s.m.MaxOSD}, fmt.Sprintf("max_osd = %d in epoch %d\n", s.m.MaxOSD, s.m.Epoch))
}

// location is an item's place as an object.
func (s *Service) location(id int32) cephjson.Object {
	out := cephjson.Object{}
	for _, at := range s.m.Crush.FullLocation(id) {
		out = append(out, cephjson.Member{Key: at.Type, Value: at.Name})
	}
	slices.SortFunc(out, func(a, b cephjson.Member) int { return strings.Compare(a.Key, b.Key) })
	return out
}

func (s *Service) cmdFind(r *service.Request) service.Answer {
	id, bad := s.osdArg(r)
	if bad != nil {
		return *bad
	}
	out := cephjson.Object{
		{Key: "osd", Value: id},
		{Key: "addrs", Value: s.m.Addrs(id)},
		{Key: "osd_fsid", Value: s.m.UUIDs[id].String()},
	}
	for _, key := range []struct{ from, to string }{
		{"hostname", "host"}, {"pod_name", "pod_name"}, {"container_name", "container_name"},
	} {
		if v := s.meta[id][key.from]; v != "" {
			out = append(out, cephjson.Member{Key: key.to, Value: v})
		}
	}
	return r.JSON(append(out, cephjson.Member{Key: "crush_location", Value: s.location(id)}))
}

func (s *Service) cmdMetadata(r *service.Request) service.Answer {
	one := func(id int32) cephjson.Object {
		out := cephjson.Object{{Key: "id", Value: id}}
		for _, k := range slices.Sorted(maps.Keys(s.meta[id])) {
			out = append(out, cephjson.Member{Key: k, Value: s.meta[id][k]})
		}
		return out
	}
	if r.Has("id") {
		id, bad := s.osdArg(r)
		if bad != nil {
			return *bad
		}
		return r.JSON(one(id))
	}
	list := []any{}
	for _, id := range s.m.OSDs() {
		list = append(list, one(id))
	}
	return r.JSON(list)
}

func setText(osds []int32) string {
	return strings.ReplaceAll(fmt.Sprint(osds), " ", ",")
}

func (s *Service) cmdMap(r *service.Request) service.Answer {
	pool, object := r.Need("pool"), r.Need("object")
	id, ok := s.m.PoolByName(pool)
	if !ok {
		return service.Fail(ceph.ENOENT, "pool %s does not exist", pool)
	}
	raw, err := s.m.ObjectPG(id, object, "", r.Str("nspace"))
	if err != nil {
		return service.Fail(ceph.ENOENT, "pool %s does not exist", pool)
	}
	full := object
	if ns := r.Str("nspace"); ns != "" {
		full = ns + "/" + object
	}
	pg := s.m.RawToPG(raw)
	up, upP, acting, actP := s.m.PGToUpActing(pg)
	return r.Either(cephjson.Object{
		{Key: "epoch", Value: s.m.Epoch}, {Key: "pool", Value: pool}, {Key: "pool_id", Value: id},
		{Key: "objname", Value: full}, {Key: "raw_pgid", Value: raw.String()},
		{Key: "pgid", Value: pg.String()}, {Key: "up", Value: list(up)},
		{Key: "up_primary", Value: upP}, {Key: "acting", Value: list(acting)},
		{Key: "acting_primary", Value: actP},
	}, fmt.Sprintf("osdmap e%d pool '%s' (%d) object '%s' -> pg %v (%v) -> up (%s, p%d) "+
		"acting (%s, p%d)\n", s.m.Epoch, pool, id, full, raw, pg, setText(up), upP,
		setText(acting), actP))
}

func list(v []int32) []int32 {
	if v == nil {
		return []int32{}
	}
	return v
}

// pgArg reads "pgid" of a PG that exists.
func (s *Service) pgArg(r *service.Request) (ceph.PGID, *service.Answer) {
	text := r.Need("pgid")
	pg, err := ceph.ParsePGID(text)
	if err != nil {
		a := service.Fail(ceph.EINVAL, "invalid pgid '%s'", text)
		return pg, &a
	}
	if p := s.m.Pool(pg.Pool); p == nil || pg.Seed >= p.PGNum {
		a := service.Fail(ceph.ENOENT, "pg '%s' does not exist", text)
		return pg, &a
	}
	return pg, nil
}

func (s *Service) cmdPGMap(r *service.Request) service.Answer {
	pg, bad := s.pgArg(r)
	if bad != nil {
		return *bad
	}
	up, _, acting, _ := s.m.PGToUpActing(pg)
	return r.Either(cephjson.Object{
		{Key: "epoch", Value: s.m.Epoch}, {Key: "raw_pgid", Value: pg.String()},
		{Key: "pgid", Value: pg.String()}, {Key: "up", Value: list(up)},
		{Key: "acting", Value: list(acting)},
	}, fmt.Sprintf("osdmap e%d pg %v (%v) -> up %s acting %s\n", s.m.Epoch, pg, pg, setText(up),
		setText(acting)))
}

func (s *Service) cmdLsPools(r *service.Request) service.Answer {
	type pool struct {
		Num  int64  `json:"poolnum"`
		Name string `json:"poolname"`
	}
	out, lines := []pool{}, []string{}
	for _, id := range s.m.PoolIDs() {
		out = append(out, pool{id, s.m.PoolName(id)})
		lines = append(lines, fmt.Sprintf("%d %s", id, s.m.PoolName(id)))
	}
	return r.Either(out, service.Lines(lines))
}

func (s *Service) cmdBlocklistList(r *service.Request) service.Answer {
	type row struct {
		Addr  string `json:"addr"`
		Until string `json:"until"`
	}
	rows, lines := []row{}, []string{}
	for _, m := range []map[ceph.Addr]ceph.Time{s.m.Blocklist, s.m.RangeBlocklist} {
		for _, a := range slices.SortedFunc(maps.Keys(m), ceph.Addr.Compare) {
			rows = append(rows, row{blocklistText(a), m[a].String()})
			lines = append(lines, blocklistText(a)+" "+m[a].String())
		}
	}
	a := r.Either(rows, service.Lines(lines))
	a.Text = fmt.Sprintf("listed %d entries", len(rows))
	return a
}

func (s *Service) cmdGetMinCompat(r *service.Request) service.Answer {
	return service.Plain(s.m.RequireMinCompatClient.String() + "\n")
}

// cmdLastSeq is the number of an OSD's last report: who waits for it to grow knows that the
// statistics are new.
func (s *Service) cmdLastSeq(r *service.Request) service.Answer {
	seq := s.opt.LastSeq(r.OSD("id"))
	return r.Either(seq, fmt.Sprintf("%d\n", seq))
}

func (s *Service) cmdNUMA(r *service.Request) service.Answer {
	type row struct {
		OSD  int32  `json:"osd"`
		Host string `json:"host"`
	}
	rows := []row{}
	right := texttable.Right
	t := texttable.New(texttable.Column{Heading: "OSD", CellSide: right},
		texttable.Column{Heading: "HOST"},
		texttable.Column{Heading: "NETWORK", CellSide: right},
		texttable.Column{Heading: "STORAGE", CellSide: right},
		texttable.Column{Heading: "AFFINITY", CellSide: right},
		texttable.Column{Heading: "CPUS"})
	for _, id := range s.m.OSDs() {
		host := s.meta[id]["hostname"]
		rows = append(rows, row{id, host})
		t.Row(id, host, "-", "-", "-", "-")
	}
	return r.Either(rows, t.String())
}

// blocklistText is an address as blocklists show it: only ranges have a prefix.
func blocklistText(a ceph.Addr) string {
	if a.Type == ceph.AddrCIDR {
		return a.String()
	}
	return a.LegacyString()
}
