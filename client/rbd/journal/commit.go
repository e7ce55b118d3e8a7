package journal

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"glue/ceph/denc"
	"glue/client/rados"
	"glue/client/rbd/class"
	"glue/cluster/journalspec"
)

// Commit says that what the records say is in the image, durably. The journal learns of it within
// Tuning.CommitAge, and whoever opens it before will do it again.
func (j *Journal) Commit(records ...*Record) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, r := range records {
		r.committed = true
	}
	j.advance()
}

// advance moves the position over what was committed, up to the first record that was not.
func (j *Journal) advance() {
	n := 0
	for ; n < len(j.pending) && j.pending[n].committed; n++ {
		r := j.pending[n]
		j.passed(journalspec.Position{Object: r.object, Tag: r.tag, Entry: r.tid})
	}
	if j.pending = j.pending[n:]; n == 0 {
		return
	}
	j.dirty = true
	if j.timer == nil && !j.closed {
		j.timer = time.AfterFunc(j.commitAge, j.commitLate)
	}
}

// passed notes a position: there is one for each lane, the latest is the first.
func (j *Journal) passed(p journalspec.Position) {
	width := uint64(j.width)
	out := journalspec.Positions{p}
	for _, q := range j.committed {
		if q.Object%width != p.Object%width {
			out = append(out, q)
		}
	}
	j.committed = out
}

// commitLate writes the position some time after it has changed.
func (j *Journal) commitLate() {
	const patience = time.Minute
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_ = j.WriteCommits(ctx) // the next one will
}

// WriteCommits returns when the journal knows what was committed.
func (j *Journal) WriteCommits(ctx context.Context) error {
	j.writing.Lock()
	defer j.writing.Unlock()
	j.mu.Lock()
	to, dirty := j.committed, j.dirty
	if j.dirty = false; j.timer != nil {
		j.timer.Stop()
		j.timer = nil
	}
	j.mu.Unlock()
	if !dirty {
		return nil
	}
	op := new(rados.WriteOp).Exec("journal", "client_commit", class.Encode(func(c *denc.Coder) {
		name := imageID
		c.Str(&name)
		to.Denc(c)
	}))
	if err := j.x.Operate(ctx, prefix+j.id, op); err != nil {
		j.mu.Lock()
		j.dirty = true
		j.mu.Unlock()
		return fmt.Errorf("commit to the image's journal: %w", err)
	}
	j.tell()
	_ = j.trim(ctx) // the next one will
	return nil
}

// trim removes the sets that no client needs any more.
func (j *Journal) trim(ctx context.Context) error {
	j.mu.Lock()
	first, active := j.first, j.active
	j.mu.Unlock()
	if first >= active {
		return nil
	}
	list, err := j.clients(ctx)
	if err != nil {
		return err
	}
	for end := needed(list, uint64(j.width), first, active); first < end; first++ {
		if err := j.removeSet(ctx, first); err != nil {
			return err
		}
		next := first + 1
		op := new(rados.WriteOp).Exec("journal", "set_minimum_set", class.U64(next))
		if err := j.x.Operate(ctx, prefix+j.id, op); err != nil {
			return err
		}
		j.mu.Lock()
		j.first = next
		j.mu.Unlock()
		j.tell()
	}
	return nil
}

// needed is the first set that a client still needs, between the first that there is and the active
// one.
func needed(list []journalspec.Client, width, first, active uint64) uint64 {
	end := active
	for _, l := range list {
		if l.State == journalspec.Disconnected {
			continue
		}
		if len(l.Committed) == 0 {
			return first
		}
		for _, p := range l.Committed {
			end = min(end, p.Object/width)
		}
	}
	return max(first, end)
}

func (j *Journal) removeSet(ctx context.Context, set uint64) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for n := set * uint64(j.width); n < (set+1)*uint64(j.width); n++ {
		g.Go(func() error {
			return class.UnlessGone(j.data.WithFullTry().Remove(gctx, objectName(j.x, j.id, n)))
		})
	}
	return g.Wait()
}

// Close ends the use of the journal and writes what was committed. Nothing may be appended any
// more.
func (j *Journal) Close(ctx context.Context) error {
	j.mu.Lock()
	j.closed = true
	j.mu.Unlock()
	err := j.WriteCommits(ctx)
	j.notes.Wait()
	return err
}
