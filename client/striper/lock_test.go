package striper

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"glue/ceph"
	"glue/client/clienttest"
	"glue/client/rados"
)

func lockedPool(t *testing.T) (*rados.IOCtx, *Striper) {
	t.Helper()
	x := clienttest.Pool(t, clienttest.Connect(t), fmt.Sprintf("test-lock-%d",
		time.Now().UnixNano()))
	s, err := New(x, Layout{ObjectBytes: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	return x, s
}

// Beside libradosstriper's shared lock there are reads and writes, but no truncation; beside its
// exclusive one there is nothing.
func TestLocks(t *testing.T) {
	x, s := lockedPool(t)
	ctx := clienttest.Within(t, time.Minute)
	clienttest.Want(t, "write", s.Write(ctx, "o", []byte("hello"), 0), nil)
	first := ObjectName("o", 0)
	for _, c := range []struct {
		lock   rados.Lock
		io, ex error
	}{
		{rados.Lock{Kind: rados.LockShared, Tag: "Tag"}, nil, ceph.EBUSY},
		{rados.Lock{Kind: rados.LockExclusive}, ceph.EBUSY, ceph.EBUSY},
		{rados.Lock{Kind: rados.LockExclusive, Duration: time.Millisecond}, nil, nil},
	} {
		c.lock.Name, c.lock.Cookie = "striper.lock", "theirs"
		clienttest.Want(t, "lock", x.Lock(ctx, first, c.lock), nil)
		if c.lock.Duration != 0 {
			for l := 1; l > 0; { // until it expires
				info, err := x.LockInfo(ctx, first, "striper.lock")
				if l = len(info.Lockers); err != nil {
					t.Fatal(err)
				}
			}
		}
		what := fmt.Sprintf("under %+v: ", c.lock)
		_, err := s.Read(ctx, "o", 0, 0)
		clienttest.Want(t, what+"read", err, c.io)
		clienttest.Want(t, what+"write", s.Write(ctx, "o", []byte("x"), 0), c.io)
		clienttest.Want(t, what+"append", s.Append(ctx, "o", []byte("x")), c.io)
		clienttest.Want(t, what+"truncate", s.Truncate(ctx, "o", 3), c.ex)
		clienttest.Want(t, what+"write full", s.WriteFull(ctx, "o", []byte("abc")), c.ex)
		_, err = s.Stat(ctx, "o")
		clienttest.Want(t, what+"stat", err, nil)
		clienttest.Want(t, what+"attribute", s.SetXattr(ctx, "o", "a", nil), nil)
		clienttest.Want(t, what+"remove", s.Remove(ctx, "o"), c.ex)
		if c.ex != nil {
			clienttest.Want(t, "unlock", x.Unlock(ctx, first, "striper.lock", "theirs"), nil)
		}
	}
	_, err := s.Stat(ctx, "o")
	clienttest.Want(t, "removed", err, ceph.ENOENT)
}

// Who has lost the lock is told.
func TestBrokenLock(t *testing.T) {
	x, s := lockedPool(t)
	ctx := clienttest.Within(t, time.Minute)
	err := s.writing(ctx, "o", 1, func(h *hold, _ attrs, created bool) error {
		info, err := x.LockInfo(ctx, h.first(), lockName)
		if err != nil || len(info.Lockers) != 1 || info.Kind != rados.LockShared || !created {
			t.Fatalf("%+v, %v", info, err)
		}
		l := info.Lockers[0]
		return x.BreakLock(ctx, h.first(), lockName, l.Cookie, l.Name)
	})
	if !errors.Is(err, ErrBroken) {
		t.Error(err)
	}
}

// A call whose context ends leaves no lock behind.
func TestCancelled(t *testing.T) {
	x, s := lockedPool(t)
	ctx := clienttest.Within(t, 3*time.Minute)
	ended := 0
	for n := range 200 {
		some, cancel := context.WithTimeout(ctx, time.Duration(n)*100*time.Microsecond)
		var err error
		switch n % 4 {
		case 0:
			err = s.Write(some, "o", make([]byte, 2<<20), 0)
		case 1:
			err = s.Append(some, "o", make([]byte, 1<<20))
		case 2:
			_, err = s.Read(some, "o", 0, 1<<20)
		case 3:
			err = s.Truncate(some, "o", uint64(n)<<10)
		}
		cancel()
		if err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, ceph.ENOENT) {
			t.Fatalf("%d: %v", n, err)
		}
		if errors.Is(err, context.DeadlineExceeded) {
			ended++
		}
		info, err := x.LockInfo(ctx, ObjectName("o", 0), lockName)
		if err != nil && !errors.Is(err, ceph.ENOENT) || len(info.Lockers) != 0 {
			t.Fatalf("%d: still locked: %+v, %v", n, info, err)
		}
	}
	if ended < 20 {
		t.Errorf("only %d of 200 contexts ended in time to matter", ended)
	}
}

// While what a call has sent is not answered its lock stays, although the caller has gone on: here
// because the object's pool has too few OSDs.
func TestLockOutlastsTheCaller(t *testing.T) {
	x, s := lockedPool(t)
	stuck, _ := lockedPool(t)
	ctx := clienttest.Within(t, time.Minute)
	set := func(option, value string) {
		t.Helper()
		_, _, err := stuck.Cluster().MonCommand(ctx, map[string]any{"prefix": "osd pool set",
			"pool": stuck.PoolName(), "var": option, "val": value}, nil)
		clienttest.Want(t, option, err, nil)
	}
	set("size", "10")
	set("min_size", "10")
	h, _, err := s.takeForWrite(ctx, "o", 1)
	clienttest.Want(t, "take", err, nil)
	p, err := stuck.Start(ctx, "o", new(rados.WriteOp).Write([]byte("x"), 0))
	clienttest.Want(t, "start", err, nil)
	h.sent = append(h.sent, p)
	gone, cancel := context.WithCancel(ctx)
	cancel()
	clienttest.Want(t, "release", h.release(gone), context.Canceled)
	clienttest.Want(t, "remove", s.Remove(ctx, "o"), ceph.EBUSY)
	select {
	case <-p.Done():
		t.Fatalf("answered: %v", p.Err())
	default:
	}
	set("min_size", "1")
	clienttest.Want(t, "write", p.Wait(ctx), nil)
	for err = ceph.EBUSY; errors.Is(err, ceph.EBUSY); { // until the lock is released
		err = s.Remove(ctx, "o")
	}
	clienttest.Want(t, "remove", err, nil)
	_, err = x.Stat(ctx, ObjectName("o", 0))
	clienttest.Want(t, "removed", err, ceph.ENOENT)
}
