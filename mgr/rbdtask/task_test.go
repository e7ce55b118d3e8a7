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
	if _, err := q.List(ctx, ""); !errors.Is(err, ceph.EAGAIN) {
		t.Errorf("list: %v", err)
	}
	if _, err := q.Add(ctx, Remove, "p/i"); !errors.Is(err, ceph.EAGAIN) {
		t.Errorf("add: %v", err)
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
