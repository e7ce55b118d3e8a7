package rados_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"glue/ceph"
	"glue/client/rados"
	"glue/cluster/osdmap"
)

// mgr runs a command of the manager that prints JSON.
func mgr(t *testing.T, c *rados.Cluster, prefix string, v any) {
	t.Helper()
	out, status, err := c.MgrCommand(within(t, 20*time.Second),
		map[string]any{"prefix": prefix, "format": "json"}, nil)
	if err == nil {
		err = json.Unmarshal(out, v)
	}
	if err != nil {
		t.Fatalf("%s: %v %s", prefix, err, status)
	}
}

func until(t *testing.T, what string, limit time.Duration, f func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !f(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

func TestServiceDaemon(t *testing.T) {
	c := connect(t)
	want(t, "status of none", c.SetServiceStatus(nil), ceph.ENOENT)
	want(t, "register", c.RegisterService("suite", "go", map[string]string{"color": "blue"}), nil)
	want(t, "register again", c.RegisterService("suite", "other", nil), ceph.EEXIST)
	want(t, "status", c.SetServiceStatus(map[string]string{"phase": "running"}), nil)
	daemon := func() (gid uint64, color string) {
		var d struct {
			Services map[string]struct{ Daemons map[string]json.RawMessage }
		}
		mgr(t, c, "service dump", &d)
		var one struct {
			GID      uint64
			Metadata struct{ Color string }
		}
		if raw := d.Services["suite"].Daemons["go"]; raw != nil {
			if err := json.Unmarshal(raw, &one); err != nil {
				t.Fatal(err)
			}
		}
		return one.GID, one.Metadata.Color
	}
	until(t, "the daemon is listed", 30*time.Second, func() bool {
		gid, color := daemon()
		return gid == c.InstanceID() && color == "blue"
	})
	until(t, "its status is shown", 30*time.Second, func() bool {
		var s map[string]map[string]struct{ Status struct{ Phase string } }
		mgr(t, c, "service status", &s)
		return s["suite"]["go"].Status.Phase == "running"
	})
	want(t, "goodbye", c.UnregisterService(within(t, 20*time.Second)), nil)
	until(t, "the daemon is forgotten", 30*time.Second, func() bool {
		gid, _ := daemon()
		return gid == 0
	})
	want(t, "goodbye again", c.UnregisterService(within(t, time.Second)), nil)
}

func TestPingMon(t *testing.T) {
	c := connect(t)
	for _, mon := range []string{"a", "0", "a"} {
		text, err := c.PingMon(within(t, 20*time.Second), mon)
		var got struct {
			Status struct{ Name string } `json:"mon_status"`
			Health struct{ Status string }
		}
		if err == nil {
			err = json.Unmarshal([]byte(text), &got)
		}
		if err != nil || got.Status.Name != "a" ||
			!strings.HasPrefix(got.Health.Status, "HEALTH_") {
			t.Errorf("mon.%s says %q, %v", mon, text, err)
		}
	}
	_, err := c.PingMon(within(t, 20*time.Second), "zz")
	want(t, "a monitor that is none", err, ceph.ENOENT)
}

func TestMinCompatible(t *testing.T) {
	c := connect(t)
	if r := c.MinCompatibleOSD(); r != osdmap.Pacific {
		t.Errorf("OSDs have to be of %v", r)
	}
	uses, requires := c.MinCompatibleClient()
	if uses == 0 || uses > osdmap.Pacific || requires > osdmap.Pacific {
		t.Errorf("clients of %v and %v", uses, requires)
	}
}

func TestBlocklist(t *testing.T) {
	c, other := connect(t), connect(t)
	x := pool(t, c)
	ctx := within(t, time.Minute)
	y, err := other.OpenPool(ctx, x.PoolName())
	want(t, "open", err, nil)
	want(t, "write before", y.WriteFull(ctx, "o", []byte("mine")), nil)
	for _, a := range other.Addrs() {
		want(t, "blocklist", c.Blocklist(ctx, a, time.Minute), nil)
	}
	// What comes from us tells the OSD of the map.
	want(t, "write after", x.WriteFull(ctx, "o", []byte("mine")), nil)
	want(t, "write of who is blocklisted", y.WriteFull(ctx, "o", []byte("late")),
		ceph.EBLOCKLISTED)
	if b, err := x.Read(ctx, "o", 0, 0); err != nil || string(b) != "mine" {
		t.Errorf("read %q, %v", b, err)
	}
}

func TestPoolOfRule(t *testing.T) {
	c := connect(t)
	ctx := within(t, time.Minute)
	name := fmt.Sprintf("test-rule-%d", time.Now().UnixNano())
	run := func(cmd map[string]any) {
		t.Helper()
		if _, status, err := c.MonCommand(ctx, cmd, nil); err != nil {
			t.Fatal(err, status)
		}
	}
	run(map[string]any{"prefix": "config set", "who": "mon", "name": "mon_allow_pool_delete",
		"value": "true"})
	run(map[string]any{"prefix": "osd crush rule create-simple", "name": name, "root": "default",
		"type": "osd"})
	want(t, "wait", c.WaitLatestMap(ctx), nil)
	rule, ok := c.Map().Crush.RuleID(name)
	if !ok {
		t.Fatal("there is no rule")
	}
	want(t, "create", c.CreatePoolOfRule(ctx, name, uint8(rule)), nil)
	id, err := c.PoolID(ctx, name)
	if err != nil || int(c.Map().Pools[id].CrushRule) != rule {
		t.Errorf("the pool is of another rule than %d: %v", rule, err)
	}
	want(t, "of no rule", c.CreatePoolOfRule(ctx, name+"-2", 250), ceph.ENOENT)
	want(t, "delete", c.DeletePool(ctx, name), nil)
	run(map[string]any{"prefix": "osd crush rule rm", "name": name})
}

func TestNothingInconsistent(t *testing.T) {
	c := connect(t)
	x := pool(t, c)
	ctx := within(t, time.Minute)
	pgs, err := c.InconsistentPGs(ctx, x.PoolID())
	if err != nil || len(pgs) != 0 {
		t.Errorf("inconsistent PGs %v, %v", pgs, err)
	}
	// A PG is scrubbed soon after it was made, or was not yet.
	for o, err := range c.InconsistentObjects(ctx, ceph.PGID{Pool: x.PoolID()}) {
		if err == nil {
			t.Errorf("object %+v", o)
		} else {
			want(t, "objects of a PG", err, ceph.ENOENT)
		}
	}
}

// TestInconsistentAsStock runs while the pool that GLUE_TEST_DAMAGED names is damaged (damage.py):
// what is listed is what the stock tool lists.
func TestInconsistentAsStock(t *testing.T) {
	name := os.Getenv("GLUE_TEST_DAMAGED")
	if name == "" {
		t.Skip("GLUE_TEST_DAMAGED names no damaged pool")
	}
	c := connect(t)
	ctx := within(t, time.Minute)
	pool, err := c.PoolID(ctx, name)
	want(t, "pool", err, nil)
	pgs, err := c.InconsistentPGs(ctx, pool)
	if err != nil || len(pgs) == 0 {
		t.Fatalf("inconsistent PGs %v, %v", pgs, err)
	}
	type shard struct {
		OSD    int32
		Errors []string
		Size   uint64
	}
	type object struct {
		Object struct{ Name string }
		Errors []string
		Shards []shard
	}
	for _, pg := range pgs {
		cmd := exec.Command("rados", "list-inconsistent-obj", pg.String(), "-f", "json")
		out, err := cmd.Output()
		var stock struct{ Inconsistents []object }
		if err == nil {
			err = json.Unmarshal(out, &stock)
		}
		if err != nil || len(stock.Inconsistents) == 0 {
			t.Fatalf("stock: %v %s", err, out)
		}
		var got, wanted []string
		for o, err := range c.InconsistentObjects(ctx, pg) {
			if err != nil {
				t.Fatal(err)
			}
			text := fmt.Sprint(o.Object.Name, " ", bits(o.Errors))
			for _, s := range o.Shards {
				text += fmt.Sprint(" ", s.OSD, " ", bits(s.Errors), " ", s.Size)
			}
			got = append(got, text)
		}
		for _, o := range stock.Inconsistents {
			text := fmt.Sprint(o.Object.Name, " ", len(o.Errors))
			for _, s := range o.Shards {
				text += fmt.Sprint(" ", s.OSD, " ", len(s.Errors), " ", s.Size)
			}
			wanted = append(wanted, text)
		}
		slices.Sort(got)
		slices.Sort(wanted)
		if !slices.Equal(got, wanted) {
			t.Errorf("pg %v: %q, want %q", pg, got, wanted)
		}
		for o, err := range c.InconsistentSnapsets(ctx, pg) {
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("snapset %+v", o)
		}
	}
}

// bits is how many errors there are.
func bits(errors uint64) (n int) {
	for ; errors > 0; errors &= errors - 1 {
		n++
	}
	return n
}
