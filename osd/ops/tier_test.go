package ops

import (
	"testing"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/wire/message"
)

// TestManifests: what makes no sense is refused as by a stock OSD, the rest as not available, and
// nothing changes.
func TestManifests(t *testing.T) {
	redirect := func(to string) []byte {
		c := denc.NewEncoder(nil, ceph.FeaturesAll)
		c.Str(&to)
		(&ceph.Locator{Pool: 3, Hash: -1}).Denc(c)
		return c.Bytes()
	}
	chunk := func(off, length uint64, to string) []byte {
		c := denc.NewEncoder(nil, ceph.FeaturesAll)
		c.U64(&off)
		c.U64(&length)
		(&ceph.Locator{Pool: 3, Hash: -1}).Denc(c)
		c.Str(&to)
		c.U64Const(0)
		return c.Bytes()
	}
	for _, c := range []struct {
		code   message.OpCode
		object string
		in     []byte
		want   ceph.Errno
	}{
		{message.OpSetRedirect, "o", redirect("other"), ceph.EOPNOTSUPP},
		{message.OpSetRedirect, "o", redirect("o"), ceph.EINVAL},
		{message.OpSetRedirect, "o", nil, ceph.EINVAL},
		{message.OpSetRedirect, "no", redirect("other"), ceph.ENOENT},
		{message.OpSetChunk, "o", chunk(1, 2, "other"), ceph.EOPNOTSUPP},
		{message.OpSetChunk, "o", chunk(0, 3, "other"), ceph.EOPNOTSUPP},
		{message.OpSetChunk, "o", chunk(1, 2, "o"), ceph.EOPNOTSUPP},
		{message.OpSetChunk, "o", chunk(1, 0, "other"), ceph.EINVAL},
		{message.OpSetChunk, "o", chunk(1, 3, "other"), ceph.ERANGE},
		{message.OpSetChunk, "o", chunk(1, 1<<64-1, "other"), ceph.ERANGE},
		{message.OpSetChunk, "o", chunk(1<<63, 1, "other"), ceph.ERANGE},
		{message.OpSetChunk, "o", []byte{1}, ceph.EINVAL},
		{message.OpSetChunk, "no", chunk(1, 2, "other"), ceph.ENOENT},
	} {
		p := newPG(t)
		p.want(p.do("o", write(0, "abc")), 0)
		if got := p.do(c.object, message.OSDOp{Code: c.code, In: c.in}); got != c.want.Result() {
			t.Errorf("%v of %s with %q: %d, want %v", c.code, c.object, c.in, got, c.want)
		}
		p.wantData("o", "abc")
	}
}
