// Package pgquery puts together what `ceph pg PGID query` tells of a PG copy, with the keys and the
// nesting of Ceph 16.2. It is pure.
package pgquery

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/cluster/pginfo"
	"glue/cluster/pgstat"
	"glue/internal/cephjson"
	"glue/osd/peering"
)

// A Copy is what a copy knows of itself.
type Copy struct {
	Self    int32
	Machine *peering.Machine
	Map     *osdmap.Map
	Stats   pgstat.PG
	// TrimQueue are the removed snapshots that may have clones here.
	TrimQueue []osdmap.SnapRange
	// Unreadable is for how long a primary of an earlier interval may still serve.
	Unreadable time.Duration
	Recovery   Recovery
}

// A Query is the answer.
type Query struct {
	TrimQueue       string            `json:"snap_trimq"`
	TrimQueueLen    uint32            `json:"snap_trimq_len"`
	State           string            `json:"state"`
	Epoch           ceph.Epoch        `json:"epoch"`
	Up              []int32           `json:"up"`
	Acting          []int32           `json:"acting"`
	BackfillTargets []string          `json:"backfill_targets,omitempty"`
	Members         []string          `json:"acting_recovery_backfill,omitempty"`
	Info            pginfo.InfoDump   `json:"info"`
	Peers           []pginfo.InfoDump `json:"peer_info"`
	RecoveryState   []any             `json:"recovery_state"`
	Scrubber        *Scrubber         `json:"scrubber,omitempty"` // of an active primary
	AgentState      struct{}          `json:"agent_state"`
}

// A Scrubber says whether a scrub goes on, and in which interval it began.
type Scrubber struct {
	Since  string `json:"epoch_start"`
	Active bool   `json:"active"`
	Deep   bool   `json:"deep,omitempty"`
}

// Of is the answer about a copy.
func Of(c *Copy) *Query {
	m, st := c.Machine, &c.Stats
	q := &Query{TrimQueue: osdmap.FormatSnaps(c.TrimQueue), TrimQueueLen: st.SnapTrimQueueLen,
		State: st.State.String(), Epoch: c.Map.Epoch, Up: append([]int32{}, st.Up...),
		Acting: append([]int32{}, st.Acting...), BackfillTargets: texts(m.BackfillTargets()),
		Info: m.Info().Dump(st), Peers: []pginfo.InfoDump{}}
	if members := m.Members(); m.IsPrimary() && (len(members) > 0 || m.Status().Source >= 0) {
		q.Members = texts(slices.Sorted(slices.Values(append(members, c.Self))))
	}
	q.Info.History.PriorReadableUntilUB = cephjson.Float(c.Unreadable.Seconds())
	for _, o := range m.Peers() {
		q.Peers = append(q.Peers, m.Peer(o).Info.DumpPeer(shard(o)))
	}
	q.RecoveryState = states(c)
	if m.IsPrimary() && st.State.Has(pgstat.Active) {
		q.Scrubber = &Scrubber{Since: epoch(0)}
		if st.State.Has(pgstat.Scrubbing) {
			*q.Scrubber = Scrubber{epoch(m.Info().History.SameIntervalSince), true,
				st.State.Has(pgstat.DeepScrub)}
		}
	}
	return q
}

func shard(osd int32) ceph.PGShard { return ceph.PGShard{OSD: osd, Shard: ceph.NoShard} }

func texts(osds []int32) []string {
	out := make([]string, len(osds))
	for i, o := range osds {
		out[i] = strconv.Itoa(int(o))
	}
	return out
}

// states are the levels of the state of which Ceph tells something, the innermost first.
func states(c *Copy) []any {
	st := c.Machine.Status()
	out := []any{}
	for _, l := range st.Levels {
		head := State{l.Name, ceph.TimeOf(l.Since).String()}
		if tell := levels[l.Name]; tell != nil {
			out = append(out, tell(c, &st, head))
		}
	}
	return out
}

// levels say what there is to tell in a state.
var levels = map[string]func(*Copy, *peering.Status, State) any{
	"Reset":                           plain,
	"Started":                         plain,
	"Started/ReplicaActive":           plain,
	"Started/Primary/Active":          active,
	"Started/Primary/Peering":         peers,
	"Started/Primary/Peering/GetInfo": getInfo,
	"Started/Primary/Peering/GetLog": func(_ *Copy, st *peering.Status, s State) any {
		return struct {
			State
			Source string `json:"auth_log_shard"`
		}{s, shard(st.Source).String()}
	},
	"Started/Primary/Peering/GetMissing": getMissing,
	"Started/Primary/Peering/WaitUpThru": comment(
		"waiting for osdmap to reflect a new up_thru for this osd"),
	"Started/Primary/Peering/Down": comment(
		"not enough up instances of this PG to go active"),
	"Started/Primary/Peering/Incomplete": comment(
		"not enough complete instances of this PG"),
	"Started/Primary/WaitActingChange": comment("waiting for pg acting set to change"),
}

// A State is what is told of every state.
type State struct {
	Name      string `json:"name"`
	EnterTime string `json:"enter_time"`
}

func plain(_ *Copy, _ *peering.Status, s State) any { return s }

func comment(text string) func(*Copy, *peering.Status, State) any {
	return func(_ *Copy, _ *peering.Status, s State) any {
		return struct {
			State
			Comment string `json:"comment"`
		}{s, text}
	}
}

// A Peering is "Started/Primary/Peering": whom the PG waits for.
type Peering struct {
	State
	Past      []Past    `json:"past_intervals"`
	Probing   []string  `json:"probing_osds"`
	Blocked   string    `json:"blocked,omitempty"`
	Down      []int32   `json:"down_osds_we_would_probe"`
	BlockedBy []Blocker `json:"peering_blocked_by"`
	Details   []Detail  `json:"peering_blocked_by_detail,omitempty"`
}

// Past are past intervals.
type Past struct {
	First        string     `json:"first"`
	Last         string     `json:"last"`
	Participants []OSD      `json:"all_participants"`
	Intervals    []Interval `json:"intervals"`
}

// An OSD is a member of a set.
type OSD struct {
	OSD int32 `json:"osd"`
}

// An Interval is one that may have taken writes.
type Interval struct {
	First  string `json:"first"`
	Last   string `json:"last"`
	Acting string `json:"acting"`
}

// A Blocker is an OSD that is down and has to be heard or declared lost first.
type Blocker struct {
	OSD     int32      `json:"osd"`
	LostAt  ceph.Epoch `json:"current_lost_at"`
	Comment string     `json:"comment"`
}

// A Detail is another reason.
type Detail struct {
	Detail string `json:"detail"`
}

func peers(c *Copy, st *peering.Status, s State) any {
	p := Peering{State: s, Past: []Past{past(c.Machine.Past())}, Probing: texts(st.Probe),
		Down: st.Down, BlockedBy: []Blocker{}}
	if st.IsBlocked {
		p.Blocked = "peering is blocked due to down osds"
	}
	for _, o := range slices.Sorted(maps.Keys(st.Blocked)) {
		p.BlockedBy = append(p.BlockedBy, Blocker{o, st.Blocked[o],
			"starting or marking this osd lost may let us proceed"})
	}
	if st.HistoryBound {
		p.Details = []Detail{{"peering_blocked_by_history_les_bound"}}
	}
	return p
}

func epoch(e ceph.Epoch) string { return strconv.FormatUint(uint64(e), 10) }

func past(i *pginfo.PastIntervals) Past {
	out := Past{First: epoch(i.First), Last: epoch(i.Last), Participants: []OSD{},
		Intervals: []Interval{}}
	for _, o := range i.Participants {
		out.Participants = append(out.Participants, OSD{o})
	}
	for _, rw := range i.RW {
		out.Intervals = append(out.Intervals, Interval{epoch(rw.First), epoch(rw.Last),
			strings.Join(texts(rw.Acting), ",")})
	}
	return out
}

// A Request is a copy that was asked; an info that it has sent is in peer_info.
type Request struct {
	OSD string `json:"osd"`
}

func requests(st *peering.Status) []Request {
	out := []Request{}
	for _, o := range texts(st.Asked) {
		out = append(out, Request{o})
	}
	return out
}

func getInfo(_ *Copy, st *peering.Status, s State) any {
	return struct {
		State
		From []Request `json:"requested_info_from"`
	}{s, requests(st)}
}

func getMissing(_ *Copy, st *peering.Status, s State) any {
	return struct {
		State
		From []Request `json:"peer_missing_requested"`
	}{s, requests(st)}
}
