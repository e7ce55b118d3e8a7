package ops

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/osd/class/all"
	"glue/wire/message"
)

// A recorded call is a method's input and what its object held.
type recordedCall struct {
	name   [2]string // class, method
	in     []byte
	stored *content // nil without an object
}

// recordedCalls are the calls of the scripts that were recorded from a real cluster.
func recordedCalls(t testing.TB) (out []recordedCall) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		objects, object := map[string]*content{}, ""
		for _, line := range strings.Split(string(raw), "\n") {
			if state, ok := strings.CutPrefix(line, "= "); ok {
				objects[object] = recordedContent(t, state)
			}
			vector, ok := strings.CutPrefix(line, "> ")
			if !ok {
				continue
			}
			parts := strings.Split(vector, " | ")
			object = parts[0]
			for _, op := range parts[1:] {
				if w := strings.Split(op, " "); w[0] == "call" {
					out = append(out, recordedCall{[2]string{w[1], w[2]}, unhex(t, w[3]),
						objects[object]})
				}
			}
		}
	}
	return out
}

// recordedContent reads what a script says of an object.
func recordedContent(t testing.TB, text string) *content {
	if text == "none" {
		return nil
	}
	s := &content{attrs: map[string][]byte{}, omap: map[string][]byte{}}
	for _, w := range strings.Split(text, " ") {
		kind, rest, _ := strings.Cut(w, ":")
		k, v, _ := strings.Cut(rest, "=")
		switch kind {
		case "data":
			if !strings.Contains(rest, ",") { // else only its size and checksum are known
				s.data = unhex(t, rest)
			}
		case "x":
			s.attrs[string(unhex(t, k))] = unhex(t, v)
		case "k":
			s.omap[string(unhex(t, k))] = unhex(t, v)
		}
	}
	return s
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

// TestEveryMethodIsRecorded: the corpus begins with real inputs of every method.
func TestEveryMethodIsRecorded(t *testing.T) {
	seen := map[[2]string]bool{}
	for _, c := range recordedCalls(t) {
		seen[c.name] = true
	}
	for _, name := range methods() {
		if !seen[name] {
			t.Errorf("no script calls %s.%s", name[0], name[1])
		}
	}
}

// roomOf is how much a method may work on besides its input and its object: object_map_resize makes
// a map of as many objects as an image may have, which is 64 MB.
var roomOf = map[string]int{"object_map_resize": 4 << 20}

// FuzzMethods gives any input to any method of a class, on an object that holds anything and on
// none, alone, with its error waved through before a write, and twice in one vector.
func FuzzMethods(f *testing.F) {
	names := methods()
	index := map[[2]string]int{}
	for i, name := range names {
		index[name] = i
		f.Add(uint16(i), []byte{}, []byte{})
	}
	given := map[[2]string]int{}
	for _, c := range recordedCalls(f) {
		if given[c.name]++; given[c.name] > 12 {
			continue
		}
		stored := []byte{}
		if c.stored != nil {
			stored = c.stored.bytes()
		}
		f.Add(uint16(index[c.name]), c.in, stored)
	}
	f.Fuzz(func(t *testing.T, which uint16, in, stored []byte) {
		name := names[int(which)%len(names)]
		p := newPG(t, watched(t, all.Classes)...)
		p.put("o", stored)
		call := message.OSDOp{}
		call.SetCall(name[0], name[1], in)
		failing := call
		failing.Flags = message.OpFlagFailOK
		room := len(stored) + roomOf[name[1]]
		vectors := [][]message.OSDOp{{call}, {failing, setXattr("a", "b")}, {call, call}}
		for _, object := range []string{"o", "none"} {
			for _, ops := range vectors {
				p.sound(p.request(head(object), message.FlagReturnVec, ops), room)
			}
		}
	})
}

// keysOfClasses are keys that methods look for.
var keysOfClasses = []string{"features", "size", "order", "parent", "snapshot_0000000000000001",
	"snap_seq", "name_a", "id_1", "image_i", "status_global_g", "mirror_peer_p", "migration",
	"1_0000000010.000000_x", "a", "snap_children_0000000000000001", "rbd_group_ref"}

// FuzzStored lets every method find the same bytes wherever it looks.
func FuzzStored(f *testing.F) {
	names := methods()
	for _, c := range recordedCalls(f) {
		if c.stored == nil {
			continue
		}
		for _, v := range c.stored.omap {
			f.Add(uint16(0), c.in, v)
			break
		}
	}
	f.Fuzz(func(t *testing.T, which uint16, in, stored []byte) {
		s := content{data: stored, header: stored, omap: map[string][]byte{},
			attrs: map[string][]byte{"lock.x": stored, "refcount": stored,
				"ceph.objclass.version": stored, "chunk_refs": stored}}
		for _, k := range keysOfClasses {
			s.omap[k] = stored
		}
		p := newPG(t, watched(t, all.Classes)...)
		p.put("o", s.bytes())
		op := message.OSDOp{}
		for i := range 8 { // neighbours, as one class's methods read the same keys
			name := names[(int(which)+i)%len(names)]
			op.SetCall(name[0], name[1], in)
			p.sound(p.request(head("o"), 0, []message.OSDOp{op}),
				32*len(stored)+roomOf[name[1]])
		}
	})
}

// FuzzCopyPiece gives any answer of another OSD to a copy.
func FuzzCopyPiece(f *testing.F) {
	f.Add(denc.Marshal(&CopyPiece{Data: []byte("x"), Omap: []byte{1, 0, 0, 0}}, ceph.FeaturesAll))
	p := newPG(f)
	for _, c := range recordedCalls(f) {
		if c.stored != nil && len(c.stored.omap) > 0 {
			p.put("o", c.stored.bytes())
			p.want(p.do("o", NewCopyGet(CopyCursor{})), 0)
			f.Add(p.out(0))
			break
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		bounded(t, len(raw), func() {
			var p CopyPiece
			if denc.Unmarshal(raw, &p, ceph.FeaturesAll) == nil {
				_ = new(Copied).Add(&p, 1<<20)
			}
		})
	})
}
