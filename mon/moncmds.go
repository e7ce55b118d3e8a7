package mon

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"glue/ceph"
	"glue/cluster/monmap"
	"glue/internal/cephjson"
	"glue/mon/monmon"
	"glue/mon/service"
)

// commands are the commands that need more than one service.
func (c *core) commands() []service.Row {
	return []service.Row{
		{Prefix: "status", Run: c.cmdStatus},
		{Prefix: "fsid", Run: c.cmdFSID},
		{Prefix: "quorum_status", Run: func(r *service.Request) service.Answer {
			status := c.quorumStatus(r.Now)
			return r.Either(status, string(cephjson.Marshal(status, false)))
		}},
		{Prefix: "mon_status", Run: func(r *service.Request) service.Answer {
			return r.JSON(c.monStatus())
		}},
		{Prefix: "sessions", Run: func(r *service.Request) service.Answer {
			return r.JSON(c.sessionList())
		}},
		{Prefix: "features", Run: func(r *service.Request) service.Answer {
			return r.JSON(c.featureMap())
		}},
		{Prefix: "versions", Run: c.cmdVersions},
		{Prefix: "version", Run: c.cmdVersion},
		{Prefix: "mon versions", Run: c.kindVersions("mon")},
		{Prefix: "mgr versions", Run: c.kindVersions("mgr")},
		{Prefix: "osd versions", Run: c.kindVersions("osd")},
		{Prefix: "mds versions", Run: c.kindVersions("mds")},
		{Prefix: "mon count-metadata", Run: c.countMetadata("mon")},
		{Prefix: "mgr count-metadata", Run: c.countMetadata("mgr")},
		{Prefix: "osd count-metadata", Run: c.countMetadata("osd")},
		{Prefix: "mds count-metadata", Run: c.countMetadata("mds")},
		{Prefix: "mon dump", Run: c.cmdMonDump},
		{Prefix: "mon stat", Run: c.cmdMonStat},
		{Prefix: "mon getmap", Run: c.cmdMonGetMap},
		{Prefix: "mon metadata", Run: c.cmdMonMetadata},
		{Prefix: "mon feature ls", Run: c.cmdMonFeatures},
		{Prefix: "node ls", Run: c.cmdNodeList},
		{Prefix: "time-sync-status", Run: c.cmdTimeSync},
		{Prefix: "df", Run: c.cmdDF},
		{Prefix: "report", Run: c.cmdReport},
		c.localRow("injectargs", "injected_args"),
		c.localRow("heap", "heapcmd", "value"),
		c.localRow("ops"),
	}
}

func (c *core) cmdFSID(r *service.Request) service.Answer {
	return r.Either(struct {
		FSID string `json:"fsid"`
	}{c.fsid.String()}, c.fsid.String()+"\n")
}

func (c *core) kindVersions(kind string) func(*service.Request) service.Answer {
	return func(r *service.Request) service.Answer { return r.JSON(versionsOf(c.facts()[kind])) }
}

func (c *core) countMetadata(kind string) func(*service.Request) service.Answer {
	return func(r *service.Request) service.Answer {
		field, out := r.Need("property"), map[string]int{}
		for _, f := range c.facts()[kind] {
			v, ok := f[field]
			if !ok {
				v = "unknown"
			}
			out[v]++
		}
		return r.JSON(out)
	}
}

// monAt is the monitor map of the epoch that a command asks for.
func (c *core) monAt(r *service.Request) (*monmap.Map, *service.Answer) {
	m, err := c.mon.At(ceph.Epoch(r.Int("epoch", 0)))
	if err != nil {
		a := service.Fail(ceph.ENOENT, "there is no map for epoch %d", r.Int("epoch", 0))
		return nil, &a
	}
	return m, nil
}

func (c *core) cmdMonDump(r *service.Request) service.Answer {
	m, bad := c.monAt(r)
	if bad != nil {
		return *bad
	}
	a := r.Either(struct {
		monmap.Dump
		Quorum []int `json:"quorum"`
	}{m.Dump(), c.Members()}, m.Text())
	a.Text = fmt.Sprintf("dumped monmap epoch %d", m.Epoch)
	return a
}

func (c *core) cmdMonStat(r *service.Request) service.Answer {
	m := c.mon.Map()
	type member struct {
		Rank int    `json:"rank"`
		Name string `json:"name"`
	}
	in := []member{}
	for _, rank := range c.Members() {
		in = append(in, member{rank, m.Ranks[rank]})
	}
	return r.Either(struct {
		Epoch   ceph.Epoch `json:"epoch"`
		Release string     `json:"min_mon_release_name"`
		Num     int        `json:"num_mons"`
		Leader  string     `json:"leader"`
		Quorum  []member   `json:"quorum"`
	}{m.Epoch, m.SummaryDump().MinMonReleaseName, len(m.Ranks), c.leaderName(), in},
		fmt.Sprintf("%s, election epoch %d, leader %d %s, quorum %s %s\n", m.Summary(), c.Term(),
			c.Leader(), c.leaderName(), joinInts(c.Members()), strings.Join(c.quorumNames(), ",")))
}

func joinInts(list []int) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(list), " ", ","), "[]")
}

func (c *core) cmdMonGetMap(r *service.Request) service.Answer {
	m, bad := c.monAt(r)
	if bad != nil {
		return *bad
	}
	return service.Answer{Data: monmon.Encode(m), Text: fmt.Sprintf("got monmap epoch %d", m.Epoch)}
}

// named is a daemon's metadata with its name first.
func named(key string, name any, facts map[string]string) cephjson.Object {
	out := cephjson.Object{{Key: key, Value: name}}
	for _, k := range slices.Sorted(maps.Keys(facts)) {
		out = append(out, cephjson.Member{Key: k, Value: facts[k]})
	}
	return out
}

func (c *core) cmdMonMetadata(r *service.Request) service.Answer {
	if r.Has("id") {
		name := strings.TrimPrefix(r.Str("id"), "mon.")
		if c.mon.Map().Rank(name) < 0 {
			return service.Fail(ceph.ENOENT, "requested mon not found")
		}
		return r.JSON(c.mon.Metadata(name))
	}
	list := []any{}
	for _, name := range c.mon.Map().Ranks {
		list = append(list, named("name", name, c.mon.Metadata(name)))
	}
	return r.JSON(list)
}

func (c *core) cmdMonFeatures(r *service.Request) service.Answer {
	m := c.mon.Map()
	all := monmap.FeatureNames(monmap.FeaturesPacific)
	have := monmap.FeatureNames(m.PersistentFeatures)
	if r.Formatted() {
		return r.JSON(cephjson.Object{
			{Key: "all", Value: cephjson.Object{{Key: "supported", Value: all},
				{Key: "persistent", Value: all}}},
			{Key: "monmap", Value: cephjson.Object{{Key: "persistent", Value: have},
				{Key: "optional", Value: []string{}}, {Key: "required", Value: have}}},
		})
	}
	a, h := strings.Join(all, ","), strings.Join(have, ",")
	return service.Plainf("all features\n\tsupported: [%s]\n\tpersistent: [%s]\n"+
		"on current monmap (epoch %d)\n\tpersistent: [%s]\n\trequired: [%s]\n", a, a, m.Epoch, h, h)
}

func (c *core) cmdNodeList(r *service.Request) service.Answer {
	host := func(f map[string]string) string {
		if h := f["hostname"]; h != "" {
			return h
		}
		return "unknown"
	}
	mons, mgrs, osds := map[string][]string{}, map[string][]string{}, map[string][]int32{}
	for _, name := range c.mon.Map().Ranks {
		h := host(c.mon.Metadata(name))
		mons[h] = append(mons[h], name)
	}
	for _, name := range c.mgr.Names() {
		h := host(c.mgr.Metadata(name))
		mgrs[h] = append(mgrs[h], name)
	}
	for _, id := range c.osd.Map().OSDs() {
		h := host(c.osd.Metadata(id))
		osds[h] = append(osds[h], id)
	}
	all := cephjson.Object{{Key: "mon", Value: mons}, {Key: "osd", Value: osds},
		{Key: "mgr", Value: mgrs}}
	for _, m := range all {
		if m.Key == r.Str("type") {
			return r.JSON(m.Value)
		}
	}
	return r.JSON(all)
}

func (c *core) cmdDF(r *service.Request) service.Answer {
	detail := r.Str("detail") == "detail"
	d, m := c.stats.get(), c.osd.Map()
	if r.Formatted() {
		return r.JSON(d.DF(m, detail))
	}
	return service.Plain(d.DFText(m, detail))
}

// cmdReport gathers the state of the cluster in one document, for bug reports.
func (c *core) cmdReport(r *service.Request) service.Answer {
	a := r.JSON(cephjson.Object{
		{Key: "cluster_fingerprint", Value: c.fsid.String()},
		{Key: "timestamp", Value: ceph.TimeOf(r.Now).String()},
		{Key: "health", Value: c.health.Report(r.Now).JSON(true)},
		{Key: "quorum", Value: c.Members()},
		{Key: "monmap", Value: c.mon.Map().Dump()},
		{Key: "osdmap", Value: c.osd.Map().Dump()},
		{Key: "crushmap", Value: c.osd.Map().Crush.Dump()},
		{Key: "mgrmap", Value: c.mgr.Map().Dump()},
		{Key: "pgmap", Value: c.stats.get().Status()},
	})
	a.Text = fmt.Sprintf("report %d", len(a.Data))
	return a
}
