package ops

import (
	"errors"
	"fmt"

	"glue/ceph"
	"glue/cluster/pginfo"
	"glue/osd/snaps"
	"glue/store/objectstore"
	"glue/wire/message"
)

// same is the result of an op that leaves the vector's result as the op before set it.
const same = int32(-1 << 31)

// An exec is the state of one running vector: the object as it will be, and the effects so far.
type exec struct {
	env *Env
	req *Request
	old *State

	exists      bool
	info        pginfo.ObjectInfo // projected
	ownWatchers bool              // info.Watchers is not old's map

	txn        *objectstore.Transaction
	touched    bool // something was written, if only the info
	userModify bool // the change counts for the user version
	context    snaps.Context
	at         ceph.Eversion  // of the change
	from       ceph.HObject   // a clone that the transaction reads
	rolled     []pginfo.Range // what a rollback changes of the head
	reads      int            // ops that looked at the object, to hold methods to their flags
	writes     int
	subOp      int
	stats      Stats
	effects    Effects
	loan       objectstore.Loan
	failure    error       // of the store
	source     *CopySource // to be fetched before the vector can run
	copied     bool        // the object has the time and the version of another
	undirty    bool
}

// run executes a vector in place and returns its result.
func (x *exec) run(ops []message.OSDOp) int32 {
	var result int32
	for i := range ops {
		x.subOp = i
		r := x.step(&ops[i])
		if r == same {
			r = result
		}
		ops[i].Result = r
		if r < 0 && ops[i].Flags&message.OpFlagFailOK != 0 && r != ceph.EAGAIN.Result() &&
			x.failure == nil {
			r = 0
		}
		if result = r; r < 0 {
			break
		}
	}
	return result
}

// step executes one op; nested ops of classes come here directly.
func (x *exec) step(op *message.OSDOp) int32 {
	row, ok := table[op.Code]
	if !ok {
		if op.Code&message.ModeWrite != 0 {
			x.userModify = true
		}
		return ceph.EOPNOTSUPP.Result()
	}
	if op.Code&message.ModeWrite != 0 && !row.keepsUserVersion {
		x.userModify = true
	}
	if row.extent {
		if size, seq := op.TruncateArgs(); seq == 1 && size == ^uint64(0) {
			setTruncate(op, 0, 0)
		}
	}
	return row.run(x, op)
}

// fail turns an error of the store into a result. What is no answer stops the request: the caller
// sees Outcome.Failure.
func (x *exec) fail(err error) int32 {
	var e ceph.Errno
	if errors.As(err, &e) && !errors.Is(err, objectstore.ErrCorrupt) &&
		!errors.Is(err, objectstore.ErrFailed) {
		return e.Result()
	}
	x.failure = fmt.Errorf("read %v: %w", x.req.Object, err)
	return ceph.EIO.Result()
}

// t is the transaction under construction; asking for it means that something is written.
func (x *exec) t() *objectstore.Transaction {
	x.touched = true
	if x.txn == nil { // a request that said it would not write: its methods lied
		x.txn = newTransaction()
	}
	return x.txn
}

// object is the store's name of the object.
func (x *exec) object() (ceph.SPG, ceph.HObject) { return x.env.Coll, x.req.Object }

// create makes the object exist.
func (x *exec) create() {
	if x.exists {
		return
	}
	x.exists = true
	if x.info.IsWhiteout() {
		x.info.Flags &^= pginfo.ObjectWhiteout
		x.stats.Whiteouts--
	} else {
		x.stats.Objects++
	}
	c, o := x.object()
	x.t().Touch(c, o)
}

// inStore says whether the object was there before the vector, which is what reads see.
func (x *exec) inStore() bool { return x.old.Visible() }

// readKiB counts one read of n bytes.
func (x *exec) readKiB(n int) {
	x.stats.Reads++
	x.stats.ReadKiB += kib(uint64(n))
}

func kib(n uint64) int64 { return int64((n + 1023) >> 10) }

func setTruncate(op *message.OSDOp, size uint64, seq uint32) {
	le.PutUint64(op.Union[16:], size)
	le.PutUint32(op.Union[24:], seq)
}
