package journal

import (
	"context"
	"errors"

	"glue/ceph"
)

// Record writes events about length bytes at off and lets do do what they say. If that fails the
// journal is left with something to be done by who opens it next.
func (j *Journal) Record(
	ctx context.Context, off, length uint64, events []Event, do func() error,
) error {
	free, err := j.ranges.take(ctx, off, length)
	if err != nil {
		return err
	}
	defer free()
	records, err := j.Append(ctx, events)
	if err == nil {
		err = do()
		if err == nil || errors.Is(err, ceph.EILSEQ) { // compared, and not written
			j.Commit(records...)
			return err
		}
	}
	j.failed()
	return err
}

// Operate writes what an operation is before do does it, and that it was done or refused. Whether
// it will be refused is to be found out before: the peers that do as the journal says have no use
// for that.
func (j *Journal) Operate(ctx context.Context, e Event, do func() error) error {
	e.Op = j.ops.Add(1)
	records, err := j.Append(ctx, []Event{e})
	if err == nil {
		err = j.WriteCommits(ctx) // what was written before is not to be done again after it
	}
	if err == nil {
		err = do()
	}
	if err != nil && !refused(err) { // nobody knows how far it came
		j.failed()
		return err
	}
	end := Event{Kind: OpFinish, Op: e.Op}
	var errno ceph.Errno
	if errors.As(err, &errno) {
		end.Result = errno.Result()
	}
	last, failed := j.Append(context.WithoutCancel(ctx), []Event{end})
	if failed != nil {
		j.failed()
		return errors.Join(err, failed)
	}
	j.Commit(append(records, last...)...)
	return errors.Join(err, j.WriteCommits(ctx))
}

// refused says whether an operation was not begun for a reason of its own.
func refused(err error) bool {
	for _, no := range []ceph.Errno{ceph.EEXIST, ceph.ENOENT, ceph.EBUSY, ceph.EINVAL, ceph.EDQUOT,
		ceph.ERANGE} {
		if errors.Is(err, no) {
			return true
		}
	}
	return false
}
