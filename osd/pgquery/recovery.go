package pgquery

import (
	"cmp"
	"maps"
	"slices"

	"glue/ceph"
	"glue/cluster/pginfo"
	"glue/osd/peering"
	"glue/osd/recovery"
	"glue/wire/message"
)

// Recovery is what a primary has under way to give every copy every object.
type Recovery struct {
	Sources []pginfo.UnfoundSource    // who may have objects that are missing
	Pulls   []Move                    // to this copy
	Pushes  []Move                    // to others
	Targets map[int32]*recovery.Chunk // where each backfill target is
}

// A Move is an object on its way from or to an OSD.
type Move struct {
	Object   ceph.HObject
	Version  ceph.Eversion
	OSD      int32
	Progress message.Progress
}

// Active is "Started/Primary/Active": how far recovery is.
type Active struct {
	State
	Unfound  []pginfo.UnfoundSource `json:"might_have_unfound"`
	Progress Progress               `json:"recovery_progress"`
}

// Progress is "recovery_progress".
type Progress struct {
	Targets     []string `json:"backfill_targets"`
	Waiting     []string `json:"waiting_on_backfill"`
	LastStarted string   `json:"last_backfill_started"`
	Mine        Run      `json:"backfill_info"`
	Peers       []any    `json:"peer_backfill_info"` // an OSD, its Run, the next OSD, …
	InFlight    []string `json:"backfills_in_flight"`
	Recovering  []string `json:"recovering"`
	Backend     Backend  `json:"pg_backend"`
}

// A Run is the run of objects that a backfill compares.
type Run struct {
	Begin   string   `json:"begin"`
	End     string   `json:"end"`
	Objects []Listed `json:"objects"`
}

// A Listed object is one of a Run.
type Listed struct {
	Object  string `json:"object"`
	Version string `json:"version"`
}

// Backend is what is on its way.
type Backend struct {
	Pulls  []PullFrom `json:"pull_from_peer"`
	Pushes []Pushing  `json:"pushing"`
}

// PullFrom are the objects that an OSD sends.
type PullFrom struct {
	From  string `json:"pull_from"`
	Pulls []Info `json:"pulls"`
}

// Pushing is an object that is sent, and to whom.
type Pushing struct {
	Object string   `json:"pushing"`
	To     []PushTo `json:"pushing_to"`
}

// PushTo is to whom an object is sent, and how far that is.
type PushTo struct {
	To   string `json:"pushing_to"`
	Info Info   `json:"push_info"`
}

// An Info is how far an object is.
type Info struct {
	Progress struct {
		First  bool   `json:"first?"`
		Data   bool   `json:"data_complete?"`
		DataTo uint64 `json:"data_recovered_to"`
		Omap   bool   `json:"omap_complete?"`
		OmapTo string `json:"omap_recovered_to"`
	} `json:"recovery_progress"`
	Object struct {
		Object  string `json:"object"`
		Version string `json:"at_version"`
	} `json:"recovery_info"`
}

func info(m *Move) (out Info) {
	p := &out.Progress
	p.First, p.Data, p.DataTo = m.Progress.First, m.Progress.DataComplete, m.Progress.DataTo
	p.Omap, p.OmapTo = m.Progress.OmapComplete, m.Progress.OmapTo
	out.Object.Object, out.Object.Version = m.Object.String(), m.Version.String()
	return out
}

func active(c *Copy, _ *peering.Status, s State) any {
	r := &c.Recovery
	a := Active{State: s, Unfound: r.Sources}
	p := &a.Progress
	p.Targets, p.Waiting = texts(c.Machine.BackfillTargets()), []string{}
	p.InFlight, p.Recovering, p.Peers = []string{}, []string{}, []any{}
	p.Mine = run(nil, nil)
	least := ceph.HObject{}
	for i, o := range slices.Sorted(maps.Keys(r.Targets)) {
		k := r.Targets[o]
		if k.Scanning() {
			p.Waiting = append(p.Waiting, shard(o).String())
		}
		if i == 0 || k.Begin.Compare(least) < 0 {
			least = k.Begin
			p.Mine = run(k, k.Mine())
		}
		p.Peers = append(p.Peers, shard(o).String(), run(k, k.Of()))
		p.InFlight = append(p.InFlight, names(k.Pushing())...)
	}
	p.LastStarted = least.String()
	for _, list := range [][]Move{r.Pulls, r.Pushes} {
		for i := range list {
			p.Recovering = append(p.Recovering, list[i].Object.String())
		}
	}
	for _, list := range []*[]string{&p.InFlight, &p.Recovering} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	p.Backend = backend(r)
	return a
}

func names(objects map[ceph.HObject]bool) []string {
	out := make([]string, 0, len(objects))
	for o := range objects {
		out = append(out, o.String())
	}
	return out
}

func run(c *recovery.Chunk, objects map[ceph.HObject]ceph.Eversion) Run {
	out := Run{Begin: "MIN", End: "MIN", Objects: []Listed{}}
	if c != nil {
		out.Begin, out.End = c.Begin.String(), c.End.String()
	}
	for _, o := range slices.SortedFunc(maps.Keys(objects), ceph.HObject.Compare) {
		out.Objects = append(out.Objects, Listed{o.String(), objects[o].String()})
	}
	return out
}

// backend groups what is pulled by whom it comes from, and what is pushed by object.
func backend(r *Recovery) Backend {
	out := Backend{Pulls: []PullFrom{}, Pushes: []Pushing{}}
	slices.SortFunc(r.Pulls, func(a, b Move) int {
		return cmp.Or(cmp.Compare(a.OSD, b.OSD), a.Object.Compare(b.Object))
	})
	slices.SortFunc(r.Pushes, func(a, b Move) int {
		return cmp.Or(a.Object.Compare(b.Object), cmp.Compare(a.OSD, b.OSD))
	})
	for i := range r.Pulls {
		m := &r.Pulls[i]
		if i == 0 || m.OSD != r.Pulls[i-1].OSD {
			out.Pulls = append(out.Pulls, PullFrom{From: shard(m.OSD).String()})
		}
		last := &out.Pulls[len(out.Pulls)-1]
		last.Pulls = append(last.Pulls, info(m))
	}
	for i := range r.Pushes {
		m := &r.Pushes[i]
		if i == 0 || m.Object != r.Pushes[i-1].Object {
			out.Pushes = append(out.Pushes, Pushing{Object: m.Object.String()})
		}
		last := &out.Pushes[len(out.Pushes)-1]
		last.To = append(last.To, PushTo{shard(m.OSD).String(), info(m)})
	}
	return out
}
