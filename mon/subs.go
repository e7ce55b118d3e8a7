package mon

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"glue/auth/caps"
	"glue/ceph"
	"glue/cluster/commands"
	"glue/mon/configmon"
	"glue/mon/logmon"
	"glue/mon/mgrmon"
	"glue/mon/monmon"
	"glue/wire/message"
)

// Bounds of what one message with OSD maps carries.
const (
	maxMapsPerMessage = 40
	maxMapBytes       = 8 << 20
)

// A subscription is a peer's wish to hear of one kind of map from a version on.
type subscription struct {
	next uint64 // the version wanted next
	once bool
}

// A topic is a row of the table of what can be subscribed to.
type topic struct {
	name   string // of the subscription; with a trailing "-" or ":" a prefix
	svc    string // the caps' service
	need   caps.Perm
	source string // the service whose changes concern it
	send   func(c *core, s *session, what string, sub *subscription)
}

var topics = []topic{
	{"monmap", "", 0, "mon", sendMonMapSub},
	{"config", "", 0, "config", sendConfigSub},
	{"osdmap", "osd", caps.R, "osd", sendOSDMapSub},
	{"mgrmap", "mgr", caps.R, "mgr", sendMgrMapSub},
	{"mgrdigest", "mgr", caps.X, "", nil}, // sent by time
	{"servicemap", "mgr", caps.R, "", sendServiceMapSub},
	{"osd_pg_creates", "osd", caps.W, "", nil}, // OSDs make PGs from the map
	{"fsmap", "mds", caps.R, "", sendFSMapSub},
	{"fsmap.user", "mds", caps.R, "", sendFSMapSub},
	{"mdsmap", "mds", caps.R, "", sendNothing},
	{logTopic, "log", caps.R, "log", sendLogSub},
	{"kv:", "config-key", caps.R, "config-key", sendKVSub},
}

// logTopic begins the names of the subscriptions to the cluster log; the lowest level follows.
const logTopic = "log-"

// findTopic finds the row of a subscription's name.
func findTopic(what string) *topic {
	for i := range topics {
		t := &topics[i]
		prefix := strings.HasSuffix(t.name, "-") || strings.HasSuffix(t.name, ":")
		if what == t.name || prefix && strings.HasPrefix(what, t.name) {
			return t
		}
	}
	return nil
}

// maxSubs bounds the subscriptions of one session.
const maxSubs = 64

// subscribe takes the wishes of a peer; what its caps do not allow is passed over, as stock does.
// Everybody may have the monitor map and their own configuration; all else is for who may read the
// monitors, and the manager map for all of those: without it they could not run at all.
func (c *core) subscribe(s *session, b *message.MMonSubscribe) {
	if b.Hostname != "" {
		s.host = b.Hostname
	}
	for _, what := range slices.Sorted(maps.Keys(b.What)) {
		item := b.What[what]
		t := findTopic(what)
		if t == nil || len(s.subs) >= maxSubs ||
			t.svc != "" && (!s.allowed("mon", caps.R) || !s.allowed(t.svc, t.need) && !s.basic(t)) {
			continue
		}
		if t.name == logTopic { // one level at a time: the new one replaces that of before
			maps.DeleteFunc(s.subs, func(name string, _ *subscription) bool {
				return strings.HasPrefix(name, logTopic)
			})
		}
		sub := &subscription{next: item.Start, once: item.Flags&message.SubscribeOnce != 0}
		s.subs[what] = sub
		c.offer(s, what, t, sub)
	}
}

// basic says whether a topic is open to every authenticated peer that may talk to the monitors.
func (s *session) basic(t *topic) bool { return t.name == "mgrmap" }

func (c *core) offer(s *session, what string, t *topic, sub *subscription) {
	if t.send == nil {
		return
	}
	before := sub.next
	if t.send(c, s, what, sub); sub.once && sub.next != before {
		delete(s.subs, what)
	}
}

// publish tells subscribers what has changed.
func (c *core) publish() {
	changed := c.flow.changed
	if len(changed) == 0 {
		return
	}
	c.flow.changed = nil
	if changed["mon"] {
		c.checkPlace()
	}
	if changed["config"] {
		if err := c.configure(); err != nil {
			c.log.Error("configuration not taken", "err", err)
		}
	}
	for _, s := range c.ordered() {
		for _, what := range slices.Sorted(maps.Keys(s.subs)) {
			sub := s.subs[what]
			if t := findTopic(what); changed[t.source] {
				c.offer(s, what, t, sub)
			}
		}
	}
}

// configFor is the central configuration of a session's entity.
func (c *core) configFor(s *session) map[string]string {
	e := c.whereabouts(s.peer.AuthName)
	if s.host != "" {
		e.Host = s.host
	}
	return c.config.For(e)
}

// whereabouts is a daemon as the masks of settings look at it.
func (c *core) whereabouts(n ceph.AuthName) configmon.Entity {
	e := configmon.Entity{Name: n}
	switch n.Type {
	case ceph.TypeOSD:
		if id, err := commands.ParseOSD(n.ID); err == nil {
			e.Class = c.osd.Map().Crush.ItemClass(id)
			e.Host = c.osd.Metadata(id)["hostname"]
		}
	case ceph.TypeMon:
		e.Host = c.mon.Metadata(n.ID)["hostname"]
	case ceph.TypeMgr:
		e.Host = c.mgr.Metadata(n.ID)["hostname"]
	}
	return e
}

func (c *core) sendMonMap(s *session) {
	s.conn.Send(message.New(&message.MMonMap{Map: monmon.Encode(c.mon.Map())}))
}

func sendMonMapSub(c *core, s *session, _ string, sub *subscription) {
	if e := uint64(c.mon.Map().Epoch); sub.next <= e {
		c.sendMonMap(s)
		sub.next = e + 1
	}
}

// sendConfigSub sends the configuration when it differs from what the peer has, and always first.
func sendConfigSub(c *core, s *session, _ string, sub *subscription) {
	want := c.configFor(s)
	if s.sent != nil && maps.Equal(s.sent, want) && sub.next != 0 {
		return
	}
	s.sent = want
	sub.next = c.config.Version() + 1
	s.conn.Send(message.New(&message.MConfig{Config: want}))
}

func sendMgrMapSub(c *core, s *session, _ string, sub *subscription) {
	m := c.mgr.Map()
	if e := uint64(m.Epoch); sub.next <= e {
		s.conn.Send(message.New(&message.MMgrMap{Map: mgrmon.Encode(m)}))
		sub.next = e + 1
	}
}

// sendNothing leaves a subscription standing: who is in no file system gets no map of its servers.
func sendNothing(*core, *session, string, *subscription) {}

func sendServiceMapSub(c *core, s *session, _ string, sub *subscription) {
	if b := c.stats.serviceMap; len(b) > 0 && sub.next == 0 {
		s.conn.Send(message.New(&message.MServiceMap{Map: b}))
		sub.next = 1
	}
}

// sendLogSub sends lines of at least a level. A subscription begins with what comes after it.
func sendLogSub(c *core, s *session, what string, sub *subscription) {
	level, ok := logmon.Level(strings.TrimPrefix(what, logTopic))
	if !ok {
		return
	}
	now := c.logs.Version()
	if sub.next == 0 {
		sub.next = now + 1
		return
	}
	if sub.next > now {
		return
	}
	if list := c.logs.Since(sub.next, level); len(list) > 0 {
		s.conn.Send(message.New(&message.MLog{
			Paxos: message.Paxos{Version: now}, FSID: c.fsid, Entries: list,
		}))
	}
	sub.next = now + 1
}

// sendPGMap tells those who follow the log down to what is for debugging of a manager's report. The
// line is not kept: an idle cluster would write it to its disks every few seconds.
func (c *core) sendPGMap() {
	listen := slices.DeleteFunc(c.ordered(), func(s *session) bool {
		return s.subs[logTopic+"debug"] == nil
	})
	if len(listen) == 0 {
		return
	}
	m := c.mgr.Map()
	line := message.LogEntry{Name: ceph.AuthName{Type: ceph.TypeMgr, ID: m.ActiveName},
		Rank:  ceph.EntityName{Type: ceph.TypeMgr, Num: int64(m.ActiveGID)},
		Stamp: ceph.TimeOf(c.now()), Priority: message.LogDebug, Channel: "cluster",
		Message: fmt.Sprintf("pgmap v%d: %s", c.stats.reports, c.stats.get().StatText())}
	for _, s := range listen {
		s.conn.Send(message.New(&message.MLog{FSID: c.fsid, Entries: []message.LogEntry{line},
			Paxos: message.Paxos{Version: c.logs.Version()}}))
	}
}

func sendKVSub(c *core, s *session, what string, sub *subscription) {
	prefix := strings.TrimPrefix(what, "kv:")
	sub.next++
	m := &message.MKVData{Version: sub.next, Prefix: prefix, Data: map[string]message.KVValue{}}
	for k, v := range c.kv.WithPrefix(prefix) {
		m.Data[k] = message.KVValue{Present: true, Value: v}
	}
	s.conn.Send(message.New(m))
}

// sendOSDMapSub sends the newest map whole to who has none, else the steps that it lacks.
func sendOSDMapSub(c *core, s *session, _ string, sub *subscription) {
	newest := c.osd.Map().Epoch
	if sub.next > uint64(newest) {
		return
	}
	c.sendOSDMaps(s, ceph.Epoch(sub.next))
	sub.next = uint64(newest) + 1
}

// sendOSDMaps sends the maps from an epoch on; 0 asks for the newest alone. Who is further behind
// than the history gets a whole map to start from: OSDs the oldest, since they need every epoch
// that there is, others the newest.
func (c *core) sendOSDMaps(s *session, from ceph.Epoch) {
	first, newest := c.osd.Range()
	if from > newest {
		return
	}
	m := &message.MOSDMap{FSID: c.fsid, Oldest: first, Newest: newest}
	isOSD := s.peer.AuthName.Type == ceph.TypeOSD
	if from == 0 || from <= first && !isOSD {
		// Who is behind goes on at Oldest and waits for ever for a map of that epoch that it
		// does not find here: so this message says that there is none before its own.
		m.Oldest = newest
		m.Maps = map[ceph.Epoch][]byte{newest: c.osd.Map().Encode()}
		s.conn.Send(message.New(m))
		return
	}
	size := 0
	if from <= first {
		b, err := c.osd.Full(first)
		if err != nil {
			c.log.Error("OSD map can't be read", "epoch", first, "err", err)
			return
		}
		m.Maps = map[ceph.Epoch][]byte{first: b}
		size, from = len(b), first+1
	}
	for e := from; e <= newest; e++ {
		b, err := c.osd.Incremental(e)
		if err != nil {
			c.log.Error("OSD map can't be read", "epoch", e, "err", err)
			return
		}
		n := len(m.Maps) + len(m.Incrementals)
		if n >= maxMapsPerMessage || n > 0 && size+len(b) > maxMapBytes {
			s.conn.Send(message.New(m))
			m = &message.MOSDMap{FSID: c.fsid, Oldest: first, Newest: newest}
			size = 0
		}
		if m.Incrementals == nil {
			m.Incrementals = map[ceph.Epoch][]byte{}
		}
		m.Incrementals[e] = b
		size += len(b)
	}
	s.conn.Send(message.New(m))
}
