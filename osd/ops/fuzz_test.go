package ops

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"testing"

	"glue/ceph"
	"glue/osd/class"
	"glue/osd/class/all"
	"glue/wire/message"
)

// seeds are the inputs of the recorded calls, by class and method.
func seeds(t testing.TB) map[[2]string][][]byte {
	call := regexp.MustCompile(`call (\w+) (\w+) ([0-9a-f]+)`)
	out := map[[2]string][][]byte{}
	files, _ := filepath.Glob("testdata/*.txt")
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range call.FindAllSubmatch(raw, -1) {
			k := [2]string{string(m[1]), string(m[2])}
			b, err := hex.DecodeString(string(m[3]))
			if err != nil {
				t.Fatal(err)
			}
			if len(out[k]) < 6 {
				out[k] = append(out[k], b)
			}
		}
	}
	return out
}

// methods are all methods of all classes in a fixed order.
func methods() (out [][2]string) {
	for _, c := range all.Registry().Classes() {
		for _, m := range c.Methods {
			out = append(out, [2]string{c.Name, m.Name})
		}
	}
	return out
}

// FuzzMethods gives any input to any method, on an object that holds any data, attributes and keys.
func FuzzMethods(f *testing.F) {
	names := methods()
	inputs := seeds(f)
	for i, name := range names {
		for _, in := range inputs[name] {
			f.Add(uint16(i), in, []byte("data"))
		}
	}
	f.Fuzz(func(t *testing.T, which uint16, in, stored []byte) {
		name := names[int(which)%len(names)]
		p := newPG(t, all.Classes...)
		p.fill("o", stored)
		op := message.OSDOp{}
		op.SetCall(name[0], name[1], in)
		room := len(in) + 8*len(stored)
		if name[1] == "object_map_resize" {
			room += 4 << 20 // it makes a map of as many objects as an image may have: 64 MB
		}
		bounded(t, room, func() { p.do("o", op) })
		p.do("none", op)
	})
}

// keysOfClasses are keys and attributes that methods look for.
var keysOfClasses = []string{"features", "size", "order", "parent", "snapshot_0000000000000001",
	"snap_seq", "name_a", "id_1", "image_i", "status_global_g", "mirror_peer_p", "migration",
	"1_0000000010.000000_x", "a", "snap_children_0000000000000001", "rbd_group_ref"}

// fill makes an object whose every part is the given bytes.
func (p *pg) fill(name string, b []byte) {
	pairs := map[string][]byte{}
	for _, k := range keysOfClasses {
		pairs[k] = b
	}
	var setKeys message.OSDOp
	setKeys.Code = message.OpOmapSetVals
	setKeys.In = encodePairs(pairs)
	header := message.OSDOp{Code: message.OpOmapSetHeader, In: b}
	p.want(p.do(name, writeFull(string(b)), setKeys, header, setXattr("lock.x", string(b)),
		setXattr("refcount", string(b)), setXattr("ceph.objclass.version", string(b)),
		setXattr("chunk_refs", string(b))), 0)
}

// bounded fails if f allocates far more than its input could justify.
func bounded(t *testing.T, input int, f func()) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > uint64(64*input)+8<<20 {
		t.Errorf("%d bytes allocated for an input of %d", n, input)
	}
}

// FuzzOps gives any arguments and payload to any op, alone and after a write.
func FuzzOps(f *testing.F) {
	for i := range Table {
		f.Add(uint16(i), make([]byte, 28), []byte{1, 0, 0, 0, 'a'}, uint32(0))
		f.Add(uint16(i), []byte{0, 0, 0, 0, 0, 0, 0, 0, 4}, []byte("data"), uint32(2))
	}
	f.Fuzz(func(t *testing.T, which uint16, args, in []byte, flags uint32) {
		p := newPG(t, all.Classes...)
		p.fill("o", []byte("stored"))
		op := message.OSDOp{Code: Table[int(which)%len(Table)].Code, Flags: flags, In: in}
		copy(op.Union[:], args)
		bounded(t, len(in), func() {
			p.do("o", op)
			p.do("o", write(3, "x"), op, op)
			p.doFlags("none", message.FlagReturnVec, op, plain(message.OpStat))
		})
	})
}

// FuzzList gives any cursor and filter to the listings.
func FuzzList(f *testing.F) {
	f.Add(uint8(0), uint64(10), class.EncodeValue(&ceph.HObject{}))
	f.Add(uint8(1), uint64(10), []byte{})
	f.Fuzz(func(t *testing.T, which uint8, count uint64, in []byte) {
		p := newPG(t)
		p.fill("o", []byte("stored"))
		op := message.OSDOp{Code: pgTable[int(which)%len(pgTable)].Code, In: in}
		op.SetList(count, 1)
		r := p.request(head(""), 0, []message.OSDOp{op})
		if out := ExecutePG(p.env, r); out.Failure != nil {
			t.Error(out.Failure)
		}
	})
}
