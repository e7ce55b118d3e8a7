package ops

import (
	"testing"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/osd/class"
	"glue/wire/message"
)

func TestTrivialMaps(t *testing.T) {
	p := newPG(t)
	update := func(parts ...string) message.OSDOp {
		return message.OSDOp{Code: message.OpTMapUp, In: class.Encode(func(c *denc.Coder) {
			for _, s := range parts {
				code, rest := s[0], s[1:]
				c.U8(&code)
				switch code {
				case 'h':
					c.Str(&rest)
				case 's', 'c':
					c.Str(&rest)
					value := "v-" + rest
					c.Str(&value)
				default:
					c.Str(&rest)
				}
			}
		})}
	}
	p.want(p.do("m", plain(message.OpCreate)), 0)
	p.want(p.do("m", update("hheader", "sb", "sa")), 0)
	p.want(p.do("m", update("ca")), ceph.EEXIST.Result())
	p.want(p.do("m", update("rzz")), ceph.ENOENT.Result())
	p.want(p.do("m", update("Rzz", "rb", "cc")), 0)
	p.want(p.do("m", update("xa")), ceph.EINVAL.Result())
	p.want(p.do("m", plain(message.OpTMapGet)), 0)
	var m tmap
	if err := denc.Unmarshal(p.out(0), &m, 0); err != nil {
		t.Fatal(err)
	}
	if string(m.header) != "header" || len(m.pairs) != 2 || string(m.pairs["c"]) != "v-c" {
		t.Errorf("the map is %+v", m)
	}
	p.want(p.do("m", message.OSDOp{Code: message.OpTMapPut, In: []byte("x")}), ceph.EINVAL.Result())
	p.want(p.do("m", plain(message.OpTMap2Omap)), 0)
	p.wantData("m", "")
	p.want(p.do("m", plain(message.OpOmapGetHeader)), 0)
	if string(p.out(0)) != "header" {
		t.Errorf("omap header %q", p.out(0))
	}
	p.want(p.do("m", plain(message.OpTMap2Omap)), ceph.ENODATA.Result())
}

// extentsOut decodes what MAPEXT and SPARSE_READ answer.
func extentsOut(t *testing.T, out []byte) (extents [][2]uint64, data []byte) {
	t.Helper()
	c := denc.NewDecoder(out, 0)
	for range c.Count(0, 16) {
		extents = append(extents, [2]uint64{c.U64Const(0), c.U64Const(0)})
	}
	if c.Remaining() > 0 {
		c.Blob(&data)
	}
	if c.Err() != nil {
		t.Fatal(c.Err())
	}
	return extents, data
}

func TestSparse(t *testing.T) {
	p := newPG(t)
	block := string(make([]byte, 4095)) + "x"
	p.want(p.do("o", write(0, block), write(1<<20, block), write(1<<20+4096, block)), 0)
	p.want(p.do("o", extent(message.OpSparseRead, 0, 4<<20, nil)), 0)
	extents, data := extentsOut(t, p.out(0))
	total := uint64(0)
	for i, e := range extents {
		if i > 0 && extents[i-1][0]+extents[i-1][1] >= e[0] {
			t.Errorf("extents touch: %v", extents)
		}
		total += e[1]
	}
	if len(extents) < 2 || total != uint64(len(data)) || total > 64<<10 ||
		extents[len(extents)-1][0]+extents[len(extents)-1][1] != 1<<20+8192 {
		t.Errorf("extents %v, %d bytes", extents, len(data))
	}
	p.want(p.do("o", extent(message.OpMapExt, 512<<10, 4<<20, nil)), 0)
	if extents, _ := extentsOut(t, p.out(0)); len(extents) != 1 || extents[0][0] != 1<<20 {
		t.Errorf("MAPEXT: %v", extents)
	}
	p.want(p.do("o", extent(message.OpSparseRead, 8<<20, 10, nil)), 0)
	if extents, data := extentsOut(t, p.out(0)); len(extents)+len(data) != 0 {
		t.Errorf("past the end: %v %q", extents, data)
	}
	op := extent(message.OpSparseRead, 0, 10, nil)
	setTruncate(&op, 5, 2)
	p.want(p.do("o", op), ceph.EINVAL.Result())
}

func TestUnknownAndUnsupported(t *testing.T) {
	p := newPG(t)
	p.want(p.do("o", write(0, "x")), 0)
	for _, code := range []message.OpCode{0x22ff, 0x12ff, message.OpSetXattrs} {
		p.want(p.do("o", message.OSDOp{Code: code}), ceph.EOPNOTSUPP.Result())
	}
	p.want(p.do("o", message.OSDOp{Code: message.OpCall}), ceph.EOPNOTSUPP.Result())
	p.want(p.do("o", message.OSDOp{Code: 0x4201}), ceph.EINVAL.Result())
	p.wantData("o", "x")
}

func TestNeeds(t *testing.T) {
	registry := class.New(class.Class{Name: "c", Methods: []class.Method{
		{Name: "r", Flags: class.RD}, {Name: "w", Flags: class.WR}}})
	call := func(method string) message.OSDOp {
		var op message.OSDOp
		op.SetCall("c", method, nil)
		return op
	}
	ping := plain(message.OpWatch)
	ping.SetWatch(message.WatchArgs{Action: message.WatchPing})
	for name, c := range map[string]struct {
		ops  []message.OSDOp
		want Need
	}{
		"read":  {[]message.OSDOp{read(0, 0)}, Need{Read: true}},
		"write": {[]message.OSDOp{write(0, ""), read(0, 0)}, Need{Read: true, Write: true}},
		"watch": {[]message.OSDOp{plain(message.OpWatch)}, Need{Read: true, Write: true}},
		"ping":  {[]message.OSDOp{ping}, Need{Read: true, RWOrdered: true}},
		"list":  {[]message.OSDOp{plain(message.OpPGNLS)}, Need{Read: true, PGOp: true}},
		"calls": {[]message.OSDOp{call("r"), call("w")}, Need{ClassRead: true, ClassWrite: true,
			Classes: []ClassNeed{{"c", "r", true, false}, {"c", "w", false, true}}}},
	} {
		got, err := Inspect(registry, 0, c.ops)
		if err != nil || len(got.Classes) != len(c.want.Classes) {
			t.Fatalf("%s: %+v, %v", name, got, err)
		}
		for i := range got.Classes {
			if got.Classes[i] != c.want.Classes[i] {
				t.Errorf("%s: class %+v", name, got.Classes[i])
			}
		}
		got.Classes, c.want.Classes = nil, nil
		if got.Read != c.want.Read || got.Write != c.want.Write || got.PGOp != c.want.PGOp ||
			got.ClassRead != c.want.ClassRead || got.ClassWrite != c.want.ClassWrite ||
			got.RWOrdered != c.want.RWOrdered {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
	if _, err := Inspect(registry, 0, []message.OSDOp{call("nope")}); err != ceph.EOPNOTSUPP {
		t.Errorf("unknown method: %v", err)
	}
}

func TestCompareNumbers(t *testing.T) {
	p := newPG(t)
	p.want(p.do("o", setXattr("n", " 12abc"), setXattr("neg", "-1"), setXattr("big",
		"99999999999999999999"), setXattr("none", "")), 0)
	for name, want := range map[string]uint64{"n": 12, "neg": ^uint64(0), "big": ^uint64(0),
		"none": 0, "missing": 0} {
		op := plain(message.OpCmpXattr)
		op.SetXattr(name, le.AppendUint64(nil, want), message.CmpEQ, message.CmpModeU64)
		p.want(p.do("o", op), 1)
		op.SetXattr(name, le.AppendUint64(nil, 5), message.CmpLT, message.CmpModeU64)
		below := ceph.ECANCELED.Result()
		if 5 < want {
			below = 1
		}
		p.want(p.do("o", op), below)
		op.SetXattr(name, []byte("short"), message.CmpEQ, message.CmpModeU64)
		p.want(p.do("o", op), ceph.EINVAL.Result())
		op.SetXattr(name, nil, message.CmpEQ, 7)
		p.want(p.do("o", op), ceph.EINVAL.Result())
	}
}
