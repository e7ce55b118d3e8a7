package mon

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"glue/ceph"
	"glue/cluster/monmap"
	"glue/cluster/osdmap"
	"glue/cluster/servicemap"
	"glue/internal/cephjson"
	"glue/internal/version"
	"glue/mon/service"
	"glue/wire/message"
)

// quorumAge is since when the quorum is as it is, in seconds.
func (c *core) quorumAge(now time.Time) int64 {
	since := c.ledSince
	if c.node.Follows() {
		since = c.told.since
	}
	if since.IsZero() {
		return 0
	}
	return int64(now.Sub(since) / time.Second)
}

// quorumNames are the monitors in the quorum.
func (c *core) quorumNames() []string {
	names := []string{}
	for _, rank := range c.Members() {
		names = append(names, c.mon.Map().Ranks[rank])
	}
	return names
}

func (c *core) leaderName() string {
	if m, ok := c.mon.Map().At(c.Leader()); ok {
		return m.Name
	}
	return ""
}

func (c *core) cmdStatus(r *service.Request) service.Answer {
	if r.Formatted() {
		return r.JSON(c.statusJSON(r.Now))
	}
	return service.Plain(c.statusText(r.Now))
}

func (c *core) statusText(now time.Time) string {
	t := ceph.TimeOf(now)
	var b strings.Builder
	fmt.Fprintf(&b, "  cluster:\n    id:     %v\n    health: %s\n \n", c.fsid,
		strings.Join(c.health.Report(now).Lines(), "\n            "))
	names, wide := c.stats.services.Names(), 3
	for _, name := range names {
		wide = max(wide, len(name))
	}
	row := func(name string) string { return fmt.Sprintf("    %-*s ", wide+1, name+":") }
	fmt.Fprintf(&b, "  services:\n%s%d daemons, quorum %s (age %s)%s\n", row("mon"),
		len(c.mon.Map().Ranks), strings.Join(c.quorumNames(), ","),
		osdmap.Timespan(now.Sub(c.ledSince)), c.outOfQuorum())
	fmt.Fprintf(&b, "%s%s\n", row("mgr"), c.mgr.Map().SummaryText(t))
	fmt.Fprintf(&b, "%s%s", row("osd"), c.osd.Map().StatText(t, strings.Repeat(" ", wide+6),
		false))
	for _, name := range names {
		fmt.Fprintf(&b, "%s%s\n", row(name), c.stats.services.Services[name].Summary())
	}
	b.WriteString(" \n")
	fmt.Fprintf(&b, "  data:\n%s \n", c.stats.get().StatusText())
	b.WriteString(c.stats.progressText())
	return b.String()
}

// outOfQuorum names the monitors that do not take part.
func (c *core) outOfQuorum() string {
	in, out := c.quorumNames(), []string{}
	for _, name := range c.mon.Map().Ranks {
		if !slices.Contains(in, name) {
			out = append(out, name)
		}
	}
	if len(out) == 0 {
		return ""
	}
	return ", out of quorum: " + strings.Join(out, ", ")
}

func (c *core) statusJSON(now time.Time) any {
	m := c.osd.Map().Stat()
	return cephjson.Object{
		{Key: "fsid", Value: c.fsid.String()},
		{Key: "health", Value: c.health.Report(now).JSON(false)},
		{Key: "election_epoch", Value: c.Term()},
		{Key: "quorum", Value: c.Members()},
		{Key: "quorum_names", Value: c.quorumNames()},
		{Key: "quorum_age", Value: c.quorumAge(now)},
		{Key: "monmap", Value: c.mon.Map().SummaryDump()},
		{Key: "osdmap", Value: m},
		{Key: "pgmap", Value: c.stats.get().Status()},
		{Key: "fsmap", Value: cephjson.Object{{Key: "epoch", Value: fileSystems.Epoch},
			{Key: "by_rank", Value: []int{}}, {Key: "up:standby", Value: 0}}},
		{Key: "mgrmap", Value: c.mgr.Map().Summary()},
		{Key: "servicemap", Value: c.serviceMap().Dump()},
		{Key: "progress_events", Value: c.stats.progressJSON()},
	}
}

// serviceMap is what the manager has last told; stock begins with an empty one of epoch 1.
func (c *core) serviceMap() *servicemap.Map {
	if c.stats.services.Epoch == 0 {
		return &servicemap.Map{Epoch: 1, Modified: c.mon.Map().Created}
	}
	return &c.stats.services
}

// quorumStatus is "ceph quorum_status".
func (c *core) quorumStatus(now time.Time) any {
	return cephjson.Object{
		{Key: "election_epoch", Value: c.Term()},
		{Key: "quorum", Value: c.Members()},
		{Key: "quorum_names", Value: c.quorumNames()},
		{Key: "quorum_leader_name", Value: c.leaderName()},
		{Key: "quorum_age", Value: c.quorumAge(now)},
		{Key: "features", Value: quorumFeatures()},
		{Key: "monmap", Value: c.mon.Map().Dump()},
	}
}

func quorumFeatures() cephjson.Object {
	return cephjson.Object{
		{Key: "quorum_con", Value: fmt.Sprint(ceph.FeaturesAll)},
		{Key: "quorum_mon", Value: monmap.FeatureNames(monmap.FeaturesPacific)},
	}
}

// monStatus is "ceph tell mon.X mon_status".
func (c *core) monStatus() any {
	features := append(cephjson.Object{
		{Key: "required_con", Value: fmt.Sprint(ceph.FeaturesRequired)},
		{Key: "required_mon", Value: monmap.FeatureNames(monmap.FeaturesPacific)},
	}, quorumFeatures()...)
	return cephjson.Object{
		{Key: "name", Value: c.opt.Name}, {Key: "rank", Value: c.rank()},
		{Key: "state", Value: c.state()}, {Key: "election_epoch", Value: c.Term()},
		{Key: "quorum", Value: c.Members()}, {Key: "quorum_age", Value: c.quorumAge(c.now())},
		{Key: "features", Value: features},
		{Key: "outside_quorum", Value: []string{}}, {Key: "extra_probe_peers", Value: []string{}},
		{Key: "sync_provider", Value: []string{}}, {Key: "monmap", Value: c.mon.Map().Dump()},
		{Key: "feature_map", Value: c.featureMap()}, {Key: "stretch_mode", Value: false},
	}
}

// featureMap counts the connected peers by kind and features. This monitor counts itself.
func (c *core) featureMap() cephjson.Object {
	count := map[ceph.EntityType]map[uint64]int{ceph.TypeMon: {ceph.FeaturesAll: 1}}
	for _, s := range c.ordered() {
		t := s.peer.Name.Type
		if count[t] == nil {
			count[t] = map[uint64]int{}
		}
		count[t][s.peer.Features]++
	}
	out := cephjson.Object{}
	for _, t := range []ceph.EntityType{ceph.TypeMon, ceph.TypeMDS, ceph.TypeOSD, ceph.TypeClient,
		ceph.TypeMgr} {
		list := []any{}
		for _, f := range slices.Sorted(maps.Keys(count[t])) {
			list = append(list, cephjson.Object{
				{Key: "features", Value: fmt.Sprintf("0x%x", f)},
				{Key: "release", Value: "luminous"}, {Key: "num", Value: count[t][f]},
			})
		}
		if len(list) > 0 {
			out = append(out, cephjson.Member{Key: t.String(), Value: list})
		}
	}
	return out
}

// sessionList is "ceph tell mon.X sessions".
func (c *core) sessionList() any {
	list := []any{}
	for _, s := range c.ordered() {
		list = append(list, cephjson.Object{
			{Key: "name", Value: s.peer.Name.String()},
			{Key: "entity_name", Value: s.peer.AuthName.String()},
			{Key: "addrs", Value: s.peer.Addrs},
			{Key: "socket_addr", Value: ceph.Addr{Type: ceph.AddrAny, AddrPort: s.peer.Socket}},
			{Key: "con_type", Value: s.peer.Name.Type.String()},
			{Key: "con_features", Value: s.peer.Features},
			{Key: "con_features_hex", Value: fmt.Sprintf("%x", s.peer.Features)},
			{Key: "con_features_release", Value: "luminous"},
			{Key: "open", Value: !s.closed},
			{Key: "caps", Value: cephjson.Object{{Key: "text", Value: s.peer.Caps}}},
			{Key: "authenticated", Value: true},
			{Key: "global_id", Value: s.peer.GlobalID},
			{Key: "global_id_status", Value: "new_ok"},
			{Key: "osd_epoch", Value: c.osdEpochOf(s)},
			{Key: "remote_host", Value: s.host},
		})
	}
	return list
}

// osdEpochOf is the newest OSD map that a session was sent, 0 if it has not asked for any.
func (c *core) osdEpochOf(s *session) uint64 {
	if sub := s.subs["osdmap"]; sub != nil && sub.next > 0 {
		return sub.next - 1
	}
	return 0
}

// versionsOf counts a kind of daemon by version.
func versionsOf(facts []map[string]string) map[string]int {
	out := map[string]int{}
	for _, f := range facts {
		v := f["ceph_version"]
		if v == "" {
			v = "unknown"
		}
		out[v]++
	}
	return out
}

// facts is what the daemons of each kind have said of themselves.
func (c *core) facts() map[string][]map[string]string {
	out := map[string][]map[string]string{}
	for _, kind := range []string{"mon", "mgr", "osd"} {
		named := c.namedFacts(kind)
		for _, name := range slices.Sorted(maps.Keys(named)) {
			out[kind] = append(out[kind], named[name])
		}
	}
	return out
}

// namedFacts are the facts of the daemons of a kind by their ids; OSDs that are up.
func (c *core) namedFacts(kind string) map[string]map[string]string {
	out := map[string]map[string]string{}
	switch kind {
	case "mon":
		for _, name := range c.mon.Map().Ranks {
			out[name] = c.mon.Metadata(name)
		}
	case "mgr":
		for _, name := range c.mgr.Names() {
			out[name] = c.mgr.Metadata(name)
		}
	case "osd":
		for _, id := range c.osd.Map().OSDs() {
			if c.osd.Map().IsUp(id) {
				out[fmt.Sprint(id)] = c.osd.Metadata(id)
			}
		}
	}
	return out
}

func (c *core) cmdVersions(r *service.Request) service.Answer {
	all := c.facts()
	out, sum := cephjson.Object{}, map[string]int{}
	kinds := []string{"mon", "mgr", "osd", "mds"}
	for name, list := range c.stats.services.Services {
		for _, d := range list {
			all[name] = append(all[name], d.Metadata)
		}
	}
	for _, kind := range append(kinds, c.stats.services.Names()...) {
		v := versionsOf(all[kind])
		for k, n := range v {
			sum[k] += n
		}
		out = append(out, cephjson.Member{Key: kind, Value: v})
	}
	return r.JSON(append(out, cephjson.Member{Key: "overall", Value: sum}))
}

func (c *core) cmdVersion(r *service.Request) service.Answer {
	return r.Either(struct {
		Version string `json:"version"`
	}{version.Long}, version.Long+"\n")
}

// metadata is what this monitor says of its machine.
func (c *core) metadata() map[string]string {
	out := map[string]string{
		"addrs": c.mon.Map().Addrs(c.rank()).String(), "hostname": c.opt.Hostname,
		"ceph_version": version.Long, "ceph_version_short": version.Ceph,
		"ceph_release": version.Release,
	}
	maps.Copy(out, c.opt.Metadata)
	return out
}

// pong answers a ping with the state of this monitor and of the cluster ("ceph ping mon.X").
func (c *core) pong(e event) {
	text := cephjson.Marshal(cephjson.Object{
		{Key: "health", Value: c.health.Report(c.now()).JSON(false)},
		{Key: "mon_status", Value: c.monStatus()}}, false)
	e.s.conn.Send(e.m.Reply(&message.MPing{Text: string(text)}))
}
