package journal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/client/rados"
	"glue/client/rbd/class"
	"glue/cluster/journalspec"
)

// A Journal is the open journal of an image.
type Journal struct {
	x, data *rados.IOCtx // of the header; of the objects
	id      string
	shape
	class   uint64
	last    journalspec.Tag // the last tag
	writer  string          // of the last tag
	maxData int             // bytes of data in one entry

	ops    atomic.Uint64 // number of the last operation
	ranges ranges
	failed func()
	notes  sync.WaitGroup // what tells the other clients

	mu        sync.Mutex
	lanes     []lane // by the number of an entry modulo the width
	moving    bool   // the active set is being changed
	moved     chan struct{}
	nextTID   uint64
	unsafe    []*Record // of the tag, not yet safe, in order
	pending   []*Record // of the journal, not yet committed, in order
	committed journalspec.Positions
	dirty     bool // committed is not written
	timer     *time.Timer
	commitAge time.Duration
	closed    bool

	writing sync.Mutex // who writes committed
}

// page is how many clients or tags are asked for at a time (JOURNAL_MAX_RETURN).
const page = 256

// Primary fails with EROFS if the journal of an image says that its writer is another cluster, or
// nobody: the image is a copy, or was demoted.
func Primary(ctx context.Context, x *rados.IOCtx, id string) error {
	j := &Journal{x: x, id: id}
	err := j.who(ctx)
	if err == nil {
		err = j.mayWrite()
	}
	return err
}

func (j *Journal) mayWrite() error {
	if j.writer != localUUID {
		return fmt.Errorf("the image is not primary, its journal's writer is %q: %w", j.writer,
			ceph.EROFS)
	}
	return nil
}

// who reads which tags are the image's and who writes.
func (j *Journal) who(ctx context.Context) error {
	var me journalspec.Client
	err := call(ctx, j.x, j.id, "get_client", class.Str(imageID), me.Denc)
	if err != nil {
		return err
	}
	var meta clientMeta
	if err := denc.Unmarshal(me.Data, &meta, ceph.FeaturesAll); err != nil ||
		meta.kind != imageClient {
		return fmt.Errorf("the image's record in its journal makes no sense: %w", ceph.EINVAL)
	}
	j.class, j.committed = meta.class, me.Committed
	return j.readTags(ctx)
}

// readTags finds the last tag of the image.
func (j *Journal) readTags(ctx context.Context) error {
	found := false
	for after := uint64(0); ; {
		var tags []journalspec.Tag
		err := call(ctx, j.x, j.id, "tag_list", class.Encode(func(c *denc.Coder) {
			max, name, class := uint64(page), imageID, &j.class
			c.U64(&after)
			c.U64(&max)
			c.Str(&name)
			denc.OptionalFunc(c, &class, (*denc.Coder).U64)
		}), func(c *denc.Coder) { denc.List(c, &tags) })
		if err != nil {
			return err
		}
		for _, t := range tags {
			j.last, after, found = t, t.TID, true
		}
		if len(tags) < page {
			break
		}
	}
	var data tagData
	if err := denc.Unmarshal(j.last.Data, &data, ceph.FeaturesAll); err != nil || !found {
		return fmt.Errorf("the tags of the image's journal make no sense: %w", ceph.EBADMSG)
	}
	j.writer = data.writer
	return nil
}

// Open reads the journal of an image, by the image's id, for who holds the image's lock. EROFS as
// of Primary.
func Open(ctx context.Context, x *rados.IOCtx, id string, o Tuning) (*Journal, error) {
	j := &Journal{x: x, id: id, commitAge: o.CommitAge, failed: o.Failed,
		moved: make(chan struct{})}
	if err := j.shape.read(ctx, x, id); err != nil {
		return nil, fmt.Errorf("open the image's journal: %w", err)
	}
	err := j.who(ctx)
	if err == nil {
		err = j.mayWrite()
	}
	if err != nil {
		return nil, fmt.Errorf("open the image's journal: %w", err)
	}
	j.data = j.objects(x)
	j.maxData = int(j.objectBytes()) - fixedBytes
	if o.MaxPayload > minPayload && o.MaxPayload < j.maxData {
		j.maxData = o.MaxPayload
	}
	j.lanes = make([]lane, j.width)
	for n := range j.lanes {
		j.lanes[n].set = j.active
	}
	return j, nil
}

// Tuning is how a journal is written.
type Tuning struct {
	CommitAge  time.Duration // how late commit positions are written
	MaxPayload int           // bytes of one entry; larger writes are several
	Failed     func()        // called when something is left to whoever opens the journal next
}

// TuningOf is what the configuration says.
func TuningOf(get func(name string) string) (Tuning, error) {
	age, e1 := strconv.ParseFloat(cmp.Or(get("rbd_journal_commit_age"), "5"), 64)
	most, e2 := strconv.Atoi(cmp.Or(get("rbd_journal_max_payload_bytes"), "16384"))
	return Tuning{CommitAge: time.Duration(age * float64(time.Second)), MaxPayload: most},
		errors.Join(e1, e2)
}

// minPayload is the least MaxPayload that is heeded.
const minPayload = 1024

func (s *shape) objectBytes() uint64 { return 1 << s.order }

// Begin starts a tag for this client's entries. Nothing may be left of Uncommitted.
func (j *Journal) Begin(ctx context.Context) error {
	data := tagData{writer: localUUID, before: localUUID}
	j.mu.Lock()
	if len(j.committed) > 0 {
		p := j.committed[0]
		data.valid, data.tag, data.commit = true, p.Tag, p.Entry
	}
	j.mu.Unlock()
	t, err := createTag(ctx, j.x, j.id, j.class, &data)
	if err != nil {
		return fmt.Errorf("begin to write the image's journal: %w", err)
	}
	j.last = t
	j.tell()
	return nil
}

// tell lets the journal's other clients know that its header has changed.
func (j *Journal) tell() {
	const patience = 5 * time.Second
	j.notes.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_, _ = j.x.Notify(ctx, prefix+j.id, nil, patience) // they look at times, too
	})
}

// clients lists the journal's clients.
func (j *Journal) clients(ctx context.Context) ([]journalspec.Client, error) {
	var out []journalspec.Client
	for after := ""; ; after = out[len(out)-1].ID {
		var some []journalspec.Client
		err := call(ctx, j.x, j.id, "client_list", class.Encode(func(c *denc.Coder) {
			c.Str(&after)
			c.U64Const(page)
		}), func(c *denc.Coder) { denc.List(c, &some) })
		if err != nil {
			return nil, err
		}
		if out = append(out, some...); len(some) < page {
			return out, nil
		}
	}
}

// errClosed is the answer of a journal after Close.
var errClosed = errors.New("the image's journal is closed")
