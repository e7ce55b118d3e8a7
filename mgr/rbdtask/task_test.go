package rbdtask

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"glue/ceph"
	"glue/client/rados"
)

// stock is a record that a manager of Ceph 16.2 has written.
const stock = `{"sequence": 4, "id": "453bb52d-df6a-40f6-9c48-4dbaae2706e2", ` +
	`"message": "Removing image rbd/tx", "refs": {"action": "remove", "pool_name": "rbd", ` +
	`"pool_namespace": "", "image_name": "tx", "image_id": "1c7c90bdb47"}}`

func TestRecord(t *testing.T) {
	r, err := parse([]byte(stock))
	if err != nil {
		t.Fatal(err)
	}
	want := record{4, "453bb52d-df6a-40f6-9c48-4dbaae2706e2", "Removing image rbd/tx",
		refs{"remove", "rbd", "", "tx", "1c7c90bdb47"}}
	if r != want || r.key() != "0000000000000004" {
		t.Errorf("%+v with key %s", r, r.key())
	}
	text, _ := json.Marshal(r)
	var a, b any
	if err := errors.Join(json.Unmarshal(text, &a), json.Unmarshal([]byte(stock), &b)); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(a) != fmt.Sprint(b) {
		t.Errorf("written %s, read %s", text, stock)
	}
	for _, bad := range []string{"", "{}", "[]", `{"id": "x"}`, "\xff"} {
		if _, err := parse([]byte(bad)); err == nil {
			t.Errorf("%q is taken for a record", bad)
		}
	}
}

func TestSpec(t *testing.T) {
	for text, want := range map[string]spec{
		"i": {"rbd", "", "i"}, "p/i": {"p", "", "i"}, "p/n/i": {"p", "n", "i"},
		"a b": {"rbd", "", "a b"},
	} {
		if got, err := parseSpec(text, "rbd"); err != nil || got != want {
			t.Errorf("%q: %v %v", text, got, err)
		}
	}
	for _, bad := range []string{"", "a@b", "p/", "p/n/", "/i", "p//i", "p/n/i/x", "p/i@s"} {
		if got, err := parseSpec(bad, "rbd"); !errors.Is(err, ceph.EINVAL) {
			t.Errorf("%q is %v, %v", bad, got, err)
		}
	}
}

// TestSame: asking again for what is queued finds it, also when the image is gone by then.
func TestSame(t *testing.T) {
	a := refs{Remove, "p", "", "i", "1"}
	for q, want := range map[refs]bool{
		a: true, {Remove, "p", "", "i", ""}: true, {Remove, "p", "", "i", "2"}: false,
		{Remove, "p", "n", "i", "1"}: false, {TrashRemove, "p", "", "i", "1"}: false,
	} {
		if a.same(q) != want {
			t.Errorf("%+v: %v", q, !want)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	for attempts, want := range map[int]time.Duration{1: 30 * time.Second, 3: 90 * time.Second,
		10: 5 * time.Minute, 1000: 5 * time.Minute} {
		if got := retryAfter(attempts); got != want {
			t.Errorf("%d: %v", attempts, got)
		}
	}
}

func all(string, string) bool { return true }

// TestSettle: what cannot be mended ends, in the event too; the rest is tried again; and what is
// done is remembered only if it was done.
func TestSettle(t *testing.T) {
	var events []Event
	q := New(Options{Log: slog.New(slog.DiscardHandler),
		Event: func(e Event) { events = append(events, e) }})
	for _, c := range []struct {
		action  string
		err     error
		failure string
		again   bool
	}{
		{Remove, nil, "", false},
		{Remove, fmt.Errorf("x: %w", ceph.ENOENT), "Image does not exist", false},
		{Flatten, fmt.Errorf("x: %w", ceph.EINVAL), "Image does not have parent", false},
		{Remove, fmt.Errorf("x: %w", ceph.EINVAL), "", true},
		{Flatten, fmt.Errorf("x: %w", ceph.EIO), "", true},
		{Execute, fmt.Errorf("x: %w", ceph.EINVAL), "Image is not migrating", false},
		{Commit, fmt.Errorf("x: %w", ceph.EINVAL),
			"Image is not migrating or migration not executed", false},
		{Abort, fmt.Errorf("x: %w", ceph.EBUSY), "", true},
	} {
		k := &task{record: record{Sequence: 1, ID: "id", Refs: refs{Action: c.action}},
			running: true, told: time.Now()}
		q.tasks, q.done, events = map[uint64]*task{1: k}, nil, nil
		failure, err := forGood(c.action, c.err)
		q.settle(k, failure, err)
		want := Event{ID: "id", Refs: k.eventRefs(), Ended: !c.again, Failure: c.failure}
		if len(events) != 1 || fmt.Sprint(events[0]) != fmt.Sprint(want) {
			t.Errorf("%s, %v: events %+v", c.action, c.err, events)
		}
		if (len(q.tasks) == 1) != c.again || k.running || (k.attempts == 1) != c.again {
			t.Errorf("%s, %v: %+v", c.action, c.err, k)
		}
		if done := len(q.done) == 1; done != (c.err == nil) {
			t.Errorf("%s, %v: done %v", c.action, c.err, done)
		}
	}
}

// TestNotReady: while no pool can be read, commands say so and Close does not hang.
func TestNotReady(t *testing.T) {
	tried := make(chan struct{}, 100)
	q := New(Options{Log: slog.New(slog.DiscardHandler),
		Connect: func(context.Context) (*rados.Cluster, error) {
			tried <- struct{}{}
			return nil, errors.New("no monitor")
		}})
	q.Activate()
	q.Activate()
	<-tried
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if _, err := q.List(ctx, "", all); !errors.Is(err, ceph.EAGAIN) {
		t.Errorf("list: %v", err)
	}
	if _, err := q.Add(ctx, Remove, "p/i", all); !errors.Is(err, ceph.EAGAIN) {
		t.Errorf("add: %v", err)
	}
	_, err := q.Add(ctx, Flatten, "p/i", func(pool, namespace string) bool {
		return pool != "p" || namespace != ""
	})
	if !errors.Is(err, ceph.EACCES) {
		t.Errorf("add without caps: %v", err)
	}
	q.Deactivate()
	q.Activate()
	<-tried
	q.Close()
}

// TestOrder: the first that is due runs; what rests, is cancelled or not saved does not.
func TestOrder(t *testing.T) {
	now := time.Unix(1000, 0)
	q := New(Options{})
	q.tasks = map[uint64]*task{
		1: {record: record{Sequence: 1}, canceled: true},
		2: {record: record{Sequence: 2}, retryAt: now.Add(time.Second)},
		3: {record: record{Sequence: 3}, unsaved: true},
		5: {record: record{Sequence: 5}}, 4: {record: record{Sequence: 4}},
	}
	if got := q.next(now); got == nil || got.Sequence != 4 {
		t.Errorf("next: %+v", got)
	}
	if got := q.next(now.Add(time.Second)); got == nil || got.Sequence != 2 {
		t.Errorf("later: %+v", got)
	}
}
