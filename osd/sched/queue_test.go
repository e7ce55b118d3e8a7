package sched

import (
	"testing"
	"time"

	"glue/internal/options"
)

const ms = time.Millisecond

// run lets a shard that is idle for the share free of its time work for a while, with clients that
// ask every so often (0: never), and counts what each class had.
func run(q *Queue[Class], span, every time.Duration, busy func(n int) bool) [classes]int {
	var out [classes]int
	next := time.Duration(0)
	step := 0
	for now := time.Duration(0); now < span; now += 100 * time.Microsecond {
		for every > 0 && next <= now {
			q.Served(1, now)
			out[Client]++
			next += every
		}
		step++
		if c, ok, _ := q.Pop(now, busy == nil || !busy(step), false); ok {
			out[c]++
			q.Push(c, c, 1)
		}
	}
	return out
}

func backlog(s Shares, list ...Class) *Queue[Class] {
	q := &Queue[Class]{}
	q.SetShares(s, 0)
	for _, c := range list {
		q.Push(c, c, 1)
	}
	return q
}

func about(t *testing.T, what string, got, want int) {
	t.Helper()
	if float64(got) < 0.9*float64(want)-2 || float64(got) > 1.1*float64(want)+2 {
		t.Errorf("%s: %d, want about %d", what, got, want)
	}
}

func TestIdleTakesAll(t *testing.T) {
	q := backlog(Shares{{0, 1, 0}, {0, 1, 0}}, Recovery)
	about(t, "alone", run(q, time.Second, 0, nil)[Recovery], 10000)
}

func TestReservationIsKept(t *testing.T) {
	q := backlog(Shares{{0, 2, 0}, {200, 1, 0}}, Recovery)
	got := run(q, time.Second, 0, func(int) bool { return true })
	about(t, "a shard that is never idle", got[Recovery], 200)
}

func TestWeightAgainstClients(t *testing.T) {
	q := backlog(Shares{{0, 2, 0}, {0, 1, 0}}, Recovery)
	got := run(q, time.Second, 2*ms, nil)
	about(t, "half of what clients have", got[Recovery], got[Client]/2)
}

func TestWeightBetweenClasses(t *testing.T) {
	q := backlog(Shares{{0, 1, 0}, {0, 3, 0}, {0, 1, 0}}, Recovery, BestEffort)
	got := run(q, time.Second, 0, nil)
	about(t, "three to one", got[Recovery], 3*got[BestEffort])
}

func TestLimit(t *testing.T) {
	q := backlog(Shares{{0, 1, 0}, {0, 1, 0}, {0, 1, 300}}, BestEffort)
	about(t, "at its limit", run(q, time.Second, 0, nil)[BestEffort], 300)
}

// TestQuietClients: clients that have ended hold nobody back, and have no debt or credit.
func TestQuietClients(t *testing.T) {
	q := backlog(Shares{{0, 2, 0}, {0, 1, 0}}, Recovery)
	q.Served(1, 0)
	if _, ok, wait := q.Pop(0, true, false); !ok || wait != 0 {
		t.Fatal("the first does not go")
	}
	q.Push(Recovery, Recovery, 1)
	_, ok, wait := q.Pop(1*ms, true, false)
	if ok || wait != 99*ms {
		t.Fatalf("%v, wait %v", ok, wait)
	}
	if _, ok, _ := q.Pop(101*ms, true, false); !ok {
		t.Fatal("clients that are quiet hold it back")
	}
	for range 1000 {
		q.Push(Recovery, Recovery, 1)
		q.Pop(200*ms, true, false)
	}
	q.Push(Recovery, Recovery, 1)
	q.Served(1, 300*ms)
	q.Pop(300*ms, true, false)
	q.Push(Recovery, Recovery, 1)
	q.Served(1, 301*ms)
	q.Served(1, 302*ms)
	if _, ok, _ := q.Pop(302*ms, true, false); !ok {
		t.Error("what it had without clients is held against it")
	}
}

func TestHold(t *testing.T) {
	q := backlog(Shares{{0, 1, 0}, {100, 1, 0}}, Recovery)
	q.Hold(10 * ms)
	if _, ok, wait := q.Pop(4*ms, true, false); ok || wait != 6*ms {
		t.Errorf("%v, wait %v", ok, wait)
	}
	if _, ok, _ := q.Pop(10*ms, false, false); !ok {
		t.Error("does not go on")
	}
}

// TestWaitEnds: when Pop has said to wait, Pop after that time gives something.
func TestWaitEnds(t *testing.T) {
	for _, p := range Profiles {
		q := backlog(p.Shares.Of(50, 1), Recovery, BestEffort)
		now := time.Duration(0)
		for n := range 500 {
			c, ok, wait := q.Pop(now, true, false)
			if ok {
				q.Push(c, c, 1)
				continue
			}
			if wait <= 0 {
				t.Fatalf("%s: nothing to do at %v and no time to wait", p.Name, now)
			}
			now += wait
			if c, ok, _ = q.Pop(now, true, false); !ok {
				t.Fatalf("%s: %d: nothing after the wait", p.Name, n)
			}
			q.Push(c, c, 1)
			q.Served(1, now)
		}
	}
}

// BenchmarkServed is what a client's request costs while there is background work.
func BenchmarkServed(b *testing.B) {
	p, _ := Find("high_client_ops")
	q := backlog(p.Shares.Of(21500, 2), Recovery)
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		q.Served(1, time.Duration(n)*time.Microsecond)
	}
}

// TestDepth: how many objects may be under way beside clients.
func TestDepth(t *testing.T) {
	for _, x := range []struct {
		set  map[string]string
		want int
	}{
		{map[string]string{}, busyDepth},
		{map[string]string{"osd_mclock_profile": "high_recovery_ops",
			"osd_recovery_max_active": "64"}, busyDepth},
		{map[string]string{"osd_recovery_max_active": "1"}, 1},
		{map[string]string{"osd_mclock_profile": "custom",
			"osd_recovery_max_active": "64"}, 64},
		{map[string]string{"osd_op_queue": "wpq", "osd_recovery_max_active": "64"}, 64},
	} {
		set, err := options.Set{}.With(x.set)
		if err != nil {
			t.Fatal(err)
		}
		if got := NewConfig(set, false).Depth; got != x.want {
			t.Errorf("%v: %d, want %d", x.set, got, x.want)
		}
	}
}
