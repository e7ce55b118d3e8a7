package mon

import (
	"strings"
	"testing"
	"time"

	"glue/cluster/commands"
	"glue/cluster/osdmap"
	"glue/cluster/pgstat"
	"glue/wire/message"
)

// full has an OSD say how full it is.
func (w *world) full(id int32, nonce uint32, state osdmap.State) {
	w.t.Helper()
	s, _ := w.session("osd."+string(rune('0'+id)), "allow profile osd")
	w.send(s, &message.MOSDFull{OSD: id, Addrs: testAddr(6800+uint16(id), nonce),
		State: uint32(state)})
	w.pass(gatherFor)
}

// TestFullOSDs: pools are as full as the fullest OSD that their rule may use, and only as long as
// that OSD is up and in; who lies or is another incarnation is not believed.
func TestFullOSDs(t *testing.T) {
	w := newWorld(t)
	s, l := w.session("client.admin", "allow *")
	for id := range int32(3) {
		w.boot(id, 1)
	}
	run := func(c string) string {
		t.Helper()
		r, text, out := w.command(s, l, c, nil)
		if r != 0 {
			t.Fatalf("%s: %d %s", c, r, text)
		}
		return out
	}
	run(`{"prefix":"osd crush rm-device-class","ids":["2"]}`)
	run(`{"prefix":"osd crush rule create-replicated","name":"ssd","root":"default","type":"osd",` +
		`"class":"ssd"}`)
	run(`{"prefix":"osd pool create","pool":"all","pg_num":4}`)
	run(`{"prefix":"osd pool create","pool":"ssd","pg_num":4,"rule":"ssd","size":2}`)
	check := func(what, all, ssd string) {
		t.Helper()
		m := w.c.osd.Map()
		for pool, want := range map[string]string{"all": all, "ssd": ssd} {
			id, _ := m.PoolByName(pool)
			got := m.Pools[id].Flags &^ (osdmap.PoolHashPSPool | osdmap.PoolCreating)
			if got.String() != want {
				t.Errorf("%s: pool %s is %q, want %q", what, pool, got, want)
			}
		}
	}
	check("at first", "", "")
	w.full(2, 1, osdmap.OSDNearfull)
	check("osd.2 is near full", "nearfull", "")
	w.full(0, 1, osdmap.OSDBackfillfull)
	check("osd.0 is backfill full", "backfillfull", "backfillfull")
	w.full(2, 1, osdmap.OSDFull|osdmap.OSDUp|osdmap.OSDDestroyed)
	check("osd.2 is full", "full", "backfillfull")
	if m := w.c.osd.Map(); !m.IsUp(2) || m.IsDestroyed(2) {
		t.Error("an OSD has changed other bits of its state")
	}
	health := run(`{"prefix":"health","detail":"detail"}`)
	for _, want := range []string{"HEALTH_ERR", "[ERR] OSD_FULL: 1 full osd(s)",
		"    osd.2 is full", "[WRN] OSD_BACKFILLFULL: 1 backfillfull osd(s)",
		"[WRN] POOL_FULL: 1 pool(s) full", "    pool 'all' is full (no space)",
		"    pool 'ssd' is backfillfull"} {
		if !strings.Contains(health, want) {
			t.Errorf("health has no %q:\n%s", want, health)
		}
	}
	w.full(2, 7, 0)
	check("another incarnation says that it is empty", "full", "backfillfull")
	other, _ := w.session("osd.1", "allow profile osd")
	w.send(other, &message.MOSDFull{OSD: 2, Addrs: testAddr(6802, 1)})
	w.pass(gatherFor)
	check("another OSD says so", "full", "backfillfull")
	run(`{"prefix":"osd out","ids":["2"]}`)
	check("osd.2 is out", "backfillfull", "backfillfull")
	run(`{"prefix":"osd in","ids":["2"]}`)
	check("osd.2 is in", "full", "backfillfull")
	w.reopen()
	check("after a restart", "full", "backfillfull")
	w.full(2, 1, 0)
	w.full(0, 1, 0)
	check("all have room", "", "")
}

// TestQuota: a pool that reaches its quota is full, one of which nothing is known stays as it was,
// and room or a higher quota makes it writable again.
func TestQuota(t *testing.T) {
	for _, field := range []string{"max_objects", "max_bytes"} {
		t.Run(field, func(t *testing.T) { quota(t, field) })
	}
}

func quota(t *testing.T, field string) {
	w, run := operate(t, "vm", "vm", "vm")
	setQuota := func(field, value string) {
		t.Helper()
		run(`{"prefix":"osd pool set-quota","pool":"p","field":"%s","val":"%s"}`, field, value)
	}
	run(`{"prefix":"osd pool create","pool":"p","pg_num":4}`)
	setQuota(field, "3")
	id, _ := w.c.osd.Map().PoolByName("p")
	holds := func(n int64) {
		t.Helper()
		p := pgstat.Pool{} // much of what there is no quota of
		p.Stats.Sum.Objects, p.Stats.Sum.Bytes = 1000, n
		if field == "max_objects" {
			p.Stats.Sum.Objects, p.Stats.Sum.Bytes = n, 1000
		}
		w.c.stats.digest = &pgstat.Digest{Pools: map[int64]pgstat.Pool{id: p}}
		w.pass(time.Minute)
	}
	check := func(what string, want bool) {
		t.Helper()
		f := w.c.osd.Map().Pools[id].Flags
		if f.Has(osdmap.PoolFull) != want || f.Has(osdmap.PoolFullQuota) != want {
			t.Errorf("%s: flags %v", what, f)
		}
	}
	holds(2)
	check("below", false)
	holds(3)
	check("at the quota", true)
	if h := run(`{"prefix":"health","detail":"detail"}`); !strings.Contains(h,
		"    pool 'p' is full (running out of quota)") {
		t.Error(h)
	}
	w.pass(time.Minute)
	if log := run(`{"prefix":"log last","num":20}`); strings.Count(log,
		"pool 'p' is full (reached quota's "+field+": 3") != 1 {
		t.Errorf("the cluster log:\n%s", log)
	}
	w.full(0, 1, osdmap.OSDNearfull)
	check("while an OSD is near full", true)
	w.full(0, 1, 0)
	check("after that", true)
	w.c.stats.digest = nil
	w.pass(time.Minute)
	check("nothing is known", true)
	w.reopen()
	run = w.operator()
	check("after a restart", true)
	holds(2)
	check("with room again", false)
	holds(5)
	check("full again", true)
	setQuota(field, "6")
	w.pass(time.Minute)
	check("with a higher quota", false)
	setQuota("max_objects", "5")
	setQuota("max_bytes", "5")
	w.pass(time.Minute)
	check("with two quotas", true)
	setQuota("max_objects", "0")
	setQuota("max_bytes", "0")
	w.pass(time.Minute)
	check("without a quota", false)
}

// TestHandledOrAbsent: every command is answered, or says which feature it waits for.
func TestHandledOrAbsent(t *testing.T) {
	w := newWorld(t)
	for _, table := range [][]commands.Descriptor{commands.Monitor, commands.OSDMap} {
		for i := range table {
			d := &table[i]
			p := d.Prefix()
			const elsewhere = commands.FlagObsolete | commands.FlagMgr
			if d.Flags&elsewhere != 0 || d.Flags&commands.FlagTell == commands.FlagTell {
				continue
			}
			if w.c.handler[p] == nil && commands.Unavailable[p] == "" {
				t.Errorf("%q has no handler and is not listed as unavailable", p)
			}
		}
	}
}
