package rbd

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"glue/ceph"
	"glue/client/rbd/config"
	"glue/client/rbd/layout"
	"glue/client/rbd/notice"
	"glue/wire/message"
)

// A Quiesce says whether the clients that have an image open are to become quiet before a snapshot
// is taken: they bring back what they hold of it and write nothing for a moment. rbd-nbd freezes
// file systems for that, for example.
type Quiesce uint8

// The ways to take a snapshot.
const (
	QuiesceDefault     Quiesce = iota // as rbd_default_snapshot_quiesce_mode says
	QuiesceRequired                   // no snapshot if one of them could not
	QuiesceIgnoreError                // a snapshot all the same
	QuiesceSkip                       // they are not told
)

const (
	// quiesceTimeout is how long clients may take before they are told again. Those of Ceph go on
	// with what they have begun, and write again after quietFor unless they hear more.
	quiesceTimeout  = 5 * time.Second
	quietFor        = 2 * quiesceTimeout
	quiesceAttempts = 10 // rbd_quiesce_notification_attempts
)

// A quiet is the time in which no other client writes to an image.
type quiet struct {
	name     string
	required bool
	until    time.Time
	end      func() // once, however often it is called
}

// lasts fails if the clients may have begun to write again.
func (q *quiet) lasts() error {
	if !q.required || time.Now().Before(q.until) {
		return nil
	}
	return fmt.Errorf("the clients of image %s were quiet for %v, which was too short to take a "+
		"snapshot: %w", q.name, quietFor, ceph.ETIMEDOUT)
}

// mode is what a Quiesce comes to.
func mode(q Quiesce, o config.Values) (Quiesce, error) {
	if q != QuiesceDefault {
		return q, nil
	}
	const option = "rbd_default_snapshot_quiesce_mode"
	text := o.Get(option)
	q, ok := map[string]Quiesce{"": QuiesceRequired, "required": QuiesceRequired,
		"ignore-error": QuiesceIgnoreError, "skip": QuiesceSkip}[text]
	if !ok {
		return q, fmt.Errorf("%s is %q: it has to be required, ignore-error or skip: %w", option,
			text, ceph.EINVAL)
	}
	return q, nil
}

// quiesce has the other clients become quiet. The lock must not be held meanwhile by this client
// for anything: what they bring back may need it. Call end of what it returns.
func (i *Image) quiesce(ctx context.Context, how Quiesce) (*quiet, error) {
	none := &quiet{end: func() {}}
	if how == QuiesceSkip {
		return none, nil
	}
	options, err := i.Config().Read(ctx)
	if err == nil {
		how, err = mode(how, options)
	}
	if err != nil || how == QuiesceSkip {
		return none, err
	}
	if err := i.drain(ctx); err != nil { // while nobody waits for it
		return nil, err
	}
	i.remote.mu.Lock()
	i.remote.number++
	ask := notice.Message{Op: notice.Quiesce, Client: i.me(), Request: i.remote.number}
	i.remote.mu.Unlock()
	q := &quiet{name: i.name, required: how == QuiesceRequired}
	q.end = sync.OnceFunc(func() {
		ask.Op = notice.Unquiesce
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), notice.Timeout)
		defer cancel()
		_, _ = i.x.Notify(ctx, layout.HeaderPrefix+i.id, ask.Encode(), quiesceTimeout)
	})
	for left := attempts(options); ; left-- {
		q.until = time.Now().Add(quietFor)
		var got message.NotifyResult
		got, err = i.x.Notify(ctx, layout.HeaderPrefix+i.id, ask.Encode(), quiesceTimeout)
		if err == nil {
			err = refused(got)
		}
		if !errors.Is(err, ceph.ETIMEDOUT) || left <= 1 {
			break
		}
	}
	if err != nil && (q.required || ctx.Err() != nil) {
		q.end()
		return nil, fmt.Errorf("the clients of image %s did not all become quiet (a snapshot "+
			"without that: --ignore-quiesce-error or --skip-quiesce): %w", i.name, err)
	}
	return q, nil
}

func attempts(o config.Values) int {
	n, err := strconv.Atoi(o.Get("rbd_quiesce_notification_attempts"))
	if err != nil || n < 1 {
		return quiesceAttempts
	}
	return n
}

// refused is the error of a client that could not become quiet. Those that know nothing of it, or
// have nothing to do for it, do not matter.
func refused(got message.NotifyResult) error {
	for _, a := range got.Acks {
		result, ok := notice.ParseResponse(a.Reply)
		if ok && result < 0 && result != ceph.EOPNOTSUPP.Result() {
			return ceph.Errno(-result)
		}
	}
	return nil
}
