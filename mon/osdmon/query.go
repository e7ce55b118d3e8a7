package osdmon

import (
	"fmt"
	"maps"
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
	return slices.Concat(s.queries(), s.osdCommands(), s.poolCommands(), s.crushCommands(),
		s.ruleCommands(), s.weightSetCommands())
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
	if r.IsJSON() {
		return r.JSON(m.Dump())
	}
	return service.Plain(m.Text())
}

func (s *Service) cmdInfo(r *service.Request) service.Answer {
	list := s.m.OSDs()
	if r.Has("id") {
		id, bad := s.osdArg(r)
		if bad != nil {
			return *bad
		}
		list = []int32{id}
		if r.IsJSON() {
			return r.JSON(s.m.DumpOSD(id))
		}
	}
	if r.IsJSON() {
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
	if !ok {
		return service.Fail(ceph.EINVAL, "no need to specify both up and down or in and out")
	}
	root := r.Str("bucket")
	if root != "" {
		if id, ok := m.Crush.ItemID(root); !ok {
			return service.Fail(ceph.ENOENT, "bucket '%s' does not exist", root)
		} else if id >= 0 {
			return service.Fail(ceph.EINVAL, "'%s' is not a bucket", root)
		}
	}
	if r.IsJSON() {
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
	rel := s.m.RequireMinCompatClient
	return r.Either(struct {
		Release string `json:"require_min_compat_client"`
	}{rel.String()}, rel.String()+"\n")
}

func (s *Service) cmdProfiles(r *service.Request) service.Answer {
	names := slices.Sorted(maps.Keys(s.m.ECProfiles))
	if names == nil {
		names = []string{}
	}
	return r.Either(names, service.Lines(names))
}

func (s *Service) cmdProfileGet(r *service.Request) service.Answer {
	p, ok := s.m.ECProfiles[r.Need("name")]
	if !ok {
		return service.Fail(ceph.ENOENT, "unknown erasure code profile '%s'", r.Str("name"))
	}
	var lines []string
	for _, k := range slices.Sorted(maps.Keys(p)) {
		lines = append(lines, k+"="+p[k])
	}
	return r.Either(p, service.Lines(lines))
}

// parseProfile reads words of the form k=v.
func parseProfile(text string) map[string]string {
	out := map[string]string{}
	for w := range strings.FieldsSeq(text) {
		k, v, _ := strings.Cut(w, "=")
		out[k] = v
	}
	return out
}

// pgsPerOSD counts the copies of PGs by OSD.
func (s *Service) pgsPerOSD() map[int32]int {
	out := map[int32]int{}
	for _, id := range s.m.PoolIDs() {
		for seed := range s.m.Pool(id).PGNum {
			up, _, _, _ := s.m.PGToUpActing(ceph.PGID{Pool: id, Seed: seed})
			for _, osd := range up {
				out[osd]++
			}
		}
	}
	return out
}

func (s *Service) cmdNUMA(r *service.Request) service.Answer {
	type row struct {
		OSD  int32  `json:"osd"`
		Host string `json:"host"`
	}
	rows := []row{}
	t := texttable.New(texttable.Column{Heading: "OSD"}, texttable.Column{Heading: "HOST"},
		texttable.Column{Heading: "NETWORK"}, texttable.Column{Heading: "STORAGE"},
		texttable.Column{Heading: "AFFINITY"}, texttable.Column{Heading: "CPUS"})
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
