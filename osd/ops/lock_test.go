package ops

import (
	"testing"

	"glue/ceph"
	"glue/osd/class"
	"glue/osd/class/lock"
	"glue/wire/message"
)

// TestLockExpires covers what a recording can't: time that passes.
func TestLockExpires(t *testing.T) {
	p := newPG(t, lock.Class)
	take := func(cookie string, typ lock.Type) message.OSDOp {
		var op message.OSDOp
		op.SetCall("lock", "lock", class.EncodeValue(&lock.Request{
			Name: "l", Type: typ, Cookie: cookie, Duration: ceph.Time{Sec: 10}}))
		return op
	}
	p.want(p.do("o", take("a", lock.Exclusive)), 0)
	p.now += 10
	p.want(p.do("o", take("b", lock.Exclusive)), ceph.EBUSY.Result())
	p.now++
	p.want(p.do("o", take("b", lock.Exclusive)), 0)
	// An ephemeral lock that has run out takes its object along when it is looked at for writing;
	// a method that only reads may not do that, and fails.
	p.want(p.do("e", take("a", lock.Ephemeral)), 0)
	p.now += 11
	var info message.OSDOp
	info.SetCall("lock", "get_info", []byte{1, 1, 5, 0, 0, 0, 1, 0, 0, 0, 'l'})
	p.want(p.do("e", info), ceph.EIO.Result())
	p.want(p.do("e", take("b", lock.Shared)), 0)
	p.want(p.do("e", info), 0)
}
