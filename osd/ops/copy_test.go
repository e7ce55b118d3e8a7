package ops

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/wire/message"
)

// fetch reads an object with COPY_GETs of at most so many bytes.
func (p *pg) fetch(name string, most uint64) (*Copied, int) {
	p.t.Helper()
	got, n := &Copied{}, 0
	for !got.First.Cursor.Done() {
		get := NewCopyGet(got.First.Cursor)
		le.PutUint64(get.In[len(get.In)-8:], most)
		if n++; n > 1000 {
			p.t.Fatal("the copy does not end")
		}
		if r := p.do(name, get); r < 0 {
			got.Result = r
			return got, n
		}
		var piece CopyPiece
		if err := denc.Unmarshal(p.out(0), &piece, ceph.FeaturesAll); err != nil {
			p.t.Fatal(err)
		}
		if err := got.Add(&piece, 1<<20); err != nil {
			p.t.Fatal(err)
		}
		got.Version, got.First.Cursor = p.last.UserVersion, piece.Cursor
	}
	return got, n
}

// copyFrom is a COPY_FROM of an object of the test's pool.
func copyFrom(name string) message.OSDOp {
	c := denc.NewEncoder(nil, 0)
	l := ceph.Locator{Pool: 3, Hash: -1}
	c.Str(&name)
	l.Denc(c)
	return message.OSDOp{Code: message.OpCopyFrom, In: c.Bytes()}
}

func TestCopy(t *testing.T) {
	for _, most := range []uint64{1, 7, 100, 1 << 20} {
		p := newPG(t)
		body := strings.Repeat("0123456789", 20)
		pairs := map[string][]byte{}
		for i := range 40 {
			pairs[fmt.Sprint("key", i)] = []byte(strings.Repeat("v", i))
		}
		set := message.OSDOp{Code: message.OpOmapSetVals, In: encodePairs(pairs)}
		head := message.OSDOp{Code: message.OpOmapSetHeader, In: []byte("header")}
		p.want(p.do("source", writeFull(body), setXattr("a", "1"), setXattr("b", ""), set, head), 0)
		p.want(p.do("target", writeFull("longer "+body), setXattr("z", "1"), set), 0)
		got, n := p.fetch("source", most)
		if most == 1 && n < len(body) || most == 1<<20 && n != 1 {
			t.Errorf("%d pieces of %d bytes", n, most)
		}
		version := got.Version

		p.do("target", copyFrom("source"))
		if s := p.last.Source; s == nil || s.Name != "source" || s.Op != 0 {
			t.Fatalf("source %+v", s)
		}
		p.copies = map[int]*Copied{1: got}
		p.want(p.do("target", plain(message.OpStat), copyFrom("source")), 0)
		p.copies = nil
		if p.last.UserVersion != version {
			t.Errorf("version %d, the source's is %d", p.last.UserVersion, version)
		}
		p.wantData("target", body)
		again, _ := p.fetch("target", 1<<20)
		if !bytes.Equal(again.Data, got.Data) || string(again.Header) != "header" ||
			len(again.Omap) != 40 || len(again.First.Attrs) != 2 ||
			again.First.MTime != got.First.MTime {
			t.Errorf("copied %+v", again)
		}
	}
}

func TestCopyRefusals(t *testing.T) {
	p := newPG(t)
	p.want(p.do("o", writeFull("x")), 0)
	p.want(p.do("o", copyFrom("o")), ceph.EINVAL.Result())
	p.want(p.do("o", copyFrom("")), ceph.EINVAL.Result())
	p.want(p.do("o", message.OSDOp{Code: message.OpCopyFrom, In: []byte{1}}), ceph.EINVAL.Result())
	if got, _ := p.fetch("none", 100); got.Result != ceph.ENOENT.Result() {
		t.Errorf("a copy of nothing: %d", got.Result)
	}
	p.copies = map[int]*Copied{0: {Result: ceph.ENOENT.Result()}}
	p.want(p.do("o", copyFrom("none")), ceph.ENOENT.Result())
	p.copies = map[int]*Copied{0: {Data: make([]byte, p.env.Limits.ObjectSize+1)}}
	p.want(p.do("o", copyFrom("huge")), ceph.EFBIG.Result())
	p.wantData("o", "x")
	var big Copied
	if err := big.Add(&CopyPiece{Data: make([]byte, 11)}, 10); err != ceph.EFBIG {
		t.Errorf("a piece beyond the limit: %v", err)
	}
}
