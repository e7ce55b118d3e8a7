package sched

import (
	"testing"
	"time"

	"glue/internal/options"
)

// A stepRun is a shard with steps of a scrub, as many as may go, and other work.
type stepRun struct {
	q             *Queue[string]
	steps, moves  int
	every         time.Duration // between clients' requests; 0: none
	moving, never bool          // there is a backlog of copies; the shard is never idle
	full          bool
}

// run works for a while, with a step of cost ten.
func (r *stepRun) run(span time.Duration) *stepRun {
	next := time.Duration(0)
	r.q.PushStep("step", 10)
	if r.moving {
		r.q.Push(BestEffort, "move", 1)
	}
	for now := time.Duration(0); now < span; now += 100 * time.Microsecond {
		for r.every > 0 && next <= now {
			if r.q.Busy(now) {
				r.q.Served(1, now)
			}
			next += r.every
		}
		switch v, ok, _ := r.q.Pop(now, !r.never, r.full); {
		case ok && v == "step":
			r.steps++
			r.q.PushStep(v, 10)
		case ok:
			r.moves++
			r.q.Push(BestEffort, v, 1)
		}
	}
	return r
}

func steps(s Shares, capacity float64) *stepRun {
	q := &Queue[string]{}
	q.SetShares(s, capacity)
	return &stepRun{q: q}
}

var even = Shares{{0, 2, 0}, {0, 1, 0}, {0, 1, 0}}

func TestStepsAlone(t *testing.T) {
	r := steps(even, 3000).run(time.Second)
	about(t, "a shard that is idle", r.steps, 10000)
}

// TestStepsBesideClients: of a capacity of 3000, a weight of one to two is 1000, which are 100
// steps; however little clients ask for.
func TestStepsBesideClients(t *testing.T) {
	for _, every := range []time.Duration{ms / 2, 5 * ms, 50 * ms} {
		r := steps(even, 3000)
		r.every = every
		about(t, "steps beside clients", r.run(time.Second).steps, 100)
	}
}

// TestStepsOfBusyShard: clients go first, but a scrub is not kept waiting for ever.
func TestStepsOfBusyShard(t *testing.T) {
	r := steps(even, 3000)
	r.every, r.never = ms, true
	about(t, "a shard that is never idle", r.run(time.Second).steps, 10)
	r = steps(even, 3000)
	r.every, r.never = ms, true
	if r.run(patience); r.steps != 0 {
		t.Errorf("%d steps before clients", r.steps)
	}
}

// TestStepsLimit: they and copies that are moved have one limit.
func TestStepsLimit(t *testing.T) {
	s := Shares{{0, 2, 0}, {0, 1, 0}, {0, 1, 300}}
	about(t, "steps at the limit", steps(s, 0).run(time.Second).steps, 30)
	r := steps(s, 0)
	r.moving = true
	r.run(time.Second)
	about(t, "both at the limit", r.moves+10*r.steps, 300)
	if r.steps < 5 {
		t.Errorf("%d steps beside %d moves", r.steps, r.moves)
	}
}

// TestStepsReservation: the reservation of their class is kept whatever clients do.
func TestStepsReservation(t *testing.T) {
	r := steps(Shares{{0, 2, 0}, {0, 1, 0}, {500, 1, 0}}, 30)
	r.every, r.never = ms, true
	about(t, "steps by reservation", r.run(time.Second).steps, 50)
}

// TestStepsBesideMoves: what is bounded by the number of objects on their way, or sleeps, does not
// hold up steps; without that, neither is kept waiting for ever.
func TestStepsBesideMoves(t *testing.T) {
	r := steps(even, 3000)
	r.moving, r.full = true, true
	if r.run(time.Second); r.moves != 0 || r.steps < 9000 {
		t.Errorf("full: %d steps, %d moves", r.steps, r.moves)
	}
	r = steps(even, 3000)
	r.moving = true
	r.q.Hold(time.Second)
	if r.run(time.Second); r.moves != 0 || r.steps < 9000 {
		t.Errorf("held: %d steps, %d moves", r.steps, r.moves)
	}
	r = steps(even, 3000)
	r.moving = true
	if r.run(time.Second); r.steps < 9 || r.moves < 9000 {
		t.Errorf("%d steps, %d moves", r.steps, r.moves)
	}
}

// TestStepsWaitEnds: when Pop has said to wait, Pop after that time gives something.
func TestStepsWaitEnds(t *testing.T) {
	for _, p := range Profiles {
		q := &Queue[int]{}
		q.SetShares(p.Shares.Of(50, 1), 50)
		q.PushStep(0, 10)
		q.Push(Recovery, 1, 1)
		now := ms
		for n := range 500 {
			q.Served(1, now)
			v, ok, wait := q.Pop(now, true, n%3 == 0)
			for !ok {
				if wait <= 0 {
					t.Fatalf("%s, %d: nothing to do at %v and no time to wait", p.Name, n, now)
				}
				now += wait
				v, ok, wait = q.Pop(now, true, n%3 == 0)
			}
			if v == 0 {
				q.PushStep(0, 10)
			} else {
				q.Push(Recovery, 1, 1)
			}
		}
	}
}

// TestWpqShares: the priorities are weights.
func TestWpqShares(t *testing.T) {
	set, err := options.Set{}.With(map[string]string{"osd_op_queue": "wpq",
		"osd_client_op_priority": "40", "osd_recovery_op_priority": "7"})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := NewConfig(set, false).Shares, (Shares{{0, 40, 0}, {0, 7, 0}, {0, 7, 0}}); got !=
		want {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestCustom: the numbers of the profile of that name are options, but the clients' reservation and
// limit.
func TestCustom(t *testing.T) {
	set, err := options.Set{}.With(map[string]string{"osd_mclock_profile": "custom",
		"osd_op_num_shards":                               "2",
		"osd_mclock_max_capacity_iops_ssd":                "500",
		"osd_mclock_scheduler_client_wgt":                 "3",
		"osd_mclock_scheduler_background_recovery_res":    "10",
		"osd_mclock_scheduler_background_recovery_wgt":    "4",
		"osd_mclock_scheduler_background_recovery_lim":    "20",
		"osd_mclock_scheduler_background_best_effort_res": "30",
		"osd_mclock_scheduler_background_best_effort_wgt": "5",
		"osd_mclock_scheduler_background_best_effort_lim": "40"})
	if err != nil {
		t.Fatal(err)
	}
	c := NewConfig(set, false)
	if want := (Shares{{0, 3, 0}, {5, 4, 10}, {15, 5, 20}}); c.Shares != want ||
		c.Capacity != 250 {
		t.Errorf("%v of %v, want %v", c.Shares, c.Capacity, want)
	}
}
