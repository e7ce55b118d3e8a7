package ops

import (
	"glue/ceph"
	"glue/cluster/pginfo"
	"glue/store/objectstore"
	"glue/wire/message"
)

// A Log says what the PG's log gets for a request.
type Log uint8

// What the log gets.
const (
	LogNothing Log = iota // a read: answer at once
	LogModify             // Transaction changes the object
	LogDelete             // Transaction removes it
	// LogError is a request that could have written and failed, or had nothing to do: only its
	// result is kept, so that a resend gets the same answer. There is no Transaction.
	LogError
)

// An Outcome is all that follows from a request.
type Outcome struct {
	// Result is the reply's result: negative errno, or 0 and above.
	Result int32
	// Failure is why the store could not be read: ErrCorrupt (repair from another copy, then run
	// the request again) or ErrFailed. Nothing else of the outcome counts then.
	Failure error
	// Drop is a request to be neither executed nor answered: the client resends it (pool full).
	Drop bool
	// Source is an object to be fetched: the request runs again with it in its Copies. Nothing else
	// counts then.
	Source *CopySource
	Log    Log
	// At is the log version of the change, and Clone the entry for a clone that was made, which
	// comes before it; nil for none. From is a clone that the transaction reads.
	At    ceph.Eversion
	Clone *pginfo.LogEntry
	From  ceph.HObject
	// Transaction holds every change of the object, its info included, for LogModify and LogDelete.
	Transaction *objectstore.Transaction
	// State is the object after the request, to be cached once the transaction is submitted; the
	// request's State if nothing changes.
	State *State
	// PriorVersion is the object's version before, for the log entry.
	PriorVersion ceph.Eversion
	// UserVersion is the reply's and the log entry's user version.
	UserVersion uint64
	// ReplayVersion is the reply's replay version; BadReplay what old clients look at.
	ReplayVersion, BadReplay ceph.Eversion
	// Ops are the request's ops as the reply echoes them: Out and Result set, In dropped.
	Ops []message.OSDOp
	// Loan is the memory of the one output, when the request is one READ.
	Loan objectstore.Loan
	// LogResult is the return code that the log entry keeps for resends; with message.FlagReturnVec
	// the entry also keeps Result and Out of each of Ops.
	LogResult int32

	Effects Effects
	Stats   Stats
}

// Needs is how many bytes the transaction takes of a store; 0 for what makes an object smaller, as
// a delete.
func (o *Outcome) Needs() uint64 {
	if o.Stats.Bytes < 0 || o.Stats.Objects < 0 {
		return 0
	}
	bytes := uint64(0)
	for i := range o.Transaction.Ops {
		op := &o.Transaction.Ops[i]
		bytes += uint64(len(op.Data))
		for k, v := range op.Pairs {
			bytes += uint64(len(k) + len(v))
		}
	}
	return bytes
}

// Refuse makes it the outcome of a request that is not done after all. As with others that failed,
// the log remembers the answer: the request may come again when there is room.
func (o *Outcome) Refuse(err ceph.Errno) {
	r := err.Result()
	*o = Outcome{Result: r, LogResult: r, Log: LogError, At: o.At, Ops: o.Ops}
	o.setReplay(o.At)
	for i := range o.Ops {
		o.Ops[i].Out, o.Ops[i].Result = nil, 0
	}
}

// A WatchKey names a watch of an object.
type WatchKey = pginfo.WatchKey

// Effects are what a request does to watchers. They happen in the order of the fields, after the
// transaction has been committed, or at once if there is none; the reply goes out before the
// events that they cause.
type Effects struct {
	Disconnects []WatchDisconnect
	Connects    []WatchConnect
	Notifies    []Notify
	Acks        []NotifyAck
	Alive       []WatchKey // of whose clients it is a sign of life; this at once
}

// Empty says whether there are none.
func (e *Effects) Empty() bool {
	return len(e.Disconnects)+len(e.Connects)+len(e.Notifies)+len(e.Acks) == 0
}

// A WatchConnect binds a watch to the request's connection.
type WatchConnect struct {
	Key            WatchKey
	TimeoutSeconds uint32
	Addr           ceph.Addr
	WillPing       bool // the client pings; false for the legacy kind, which lives as its session
}

// A WatchDisconnect ends a watch.
type WatchDisconnect struct {
	Key  WatchKey
	Tell bool // send the watcher a disconnect event: the object is gone
}

// A Notify is to be sent to all watchers of the object.
type Notify struct {
	Cookie         uint64 // of the notifier's own completion
	ID             uint64
	TimeoutSeconds uint32
	Payload        []byte
	UserVersion    uint64 // of the object
}

// A NotifyAck is a watcher's answer to a notify; it counts for all watches of the sender if
// AnyCookie.
type NotifyAck struct {
	ID        uint64
	Cookie    uint64
	AnyCookie bool
	Reply     []byte
}

// Stats is how a request changes the PG's statistics (object_stat_sum_t).
type Stats struct {
	Bytes, Objects     int64
	ObjectsOmap        int64
	ObjectsDirty       int64
	Clones, Whiteouts  int64
	Reads, ReadKiB     int64
	Writes, WrittenKiB int64
}
