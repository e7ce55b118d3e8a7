package message

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"glue/ceph"
	"glue/ceph/denc"
)

// A filler makes random values of every type that bodies are made of.
type filler struct{ *rand.Rand }

func (r filler) text() string { return "ab€"[:r.IntN(2)+1] + strings.Repeat("x", r.IntN(4)) }

func (r filler) bytes() []byte {
	b := make([]byte, 1+r.IntN(20))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func (r filler) section() Section {
	b := r.bytes()
	head := binary.LittleEndian.AppendUint32([]byte{3, 1}, uint32(len(b)))
	return Section(append(head, b...))
}

func (r filler) fill(v reflect.Value) {
	switch x := v.Addr().Interface().(type) {
	case *Section:
		*x = r.section()
		return
	case *ceph.Addr:
		*x = ceph.Addr{Type: ceph.AddrMsgr2, Nonce: r.Uint32(),
			AddrPort: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(r.Uint32())}),
				uint16(r.Uint32()))}
		return
	case *ceph.HObject:
		*x = ceph.HObject{Key: r.text(), Name: r.text(), Snap: ceph.SnapID(r.Uint64()),
			Hash: r.Uint32(), Namespace: r.text(), Pool: int64(r.IntN(9))}
		return
	case *[]byte:
		*x = r.bytes()
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				r.fill(v.Field(i))
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1+r.IntN(3), 4))
		for i := range v.Len() {
			r.fill(v.Index(i))
		}
	case reflect.Array:
		for i := range v.Len() {
			r.fill(v.Index(i))
		}
	case reflect.Map:
		r.fillMap(v)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		r.fill(v.Elem())
	default:
		r.scalar(v)
	}
}

func (r filler) fillMap(v reflect.Value) {
	v.Set(reflect.MakeMap(v.Type()))
	for range 1 + r.IntN(3) {
		k := reflect.New(v.Type().Key()).Elem()
		e := reflect.New(v.Type().Elem()).Elem()
		r.fill(k)
		r.fill(e)
		v.SetMapIndex(k, e)
	}
}

func (r filler) scalar(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(r.text())
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Float32, reflect.Float64:
		v.SetFloat(r.Float64())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(r.Uint64()) >> (64 - v.Type().Bits()))
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(r.Uint64() >> (64 - v.Type().Bits()))
	default:
		panic(fmt.Sprintf("no random value of %v", v.Type()))
	}
}

// body is a random body of a row, in the form in which it would be received.
func (r filler) body(row Row) Body {
	b := row.New()
	r.fill(reflect.ValueOf(b).Elem())
	switch m := b.(type) {
	case *MOSDOp:
		for i := range m.Ops {
			m.Ops[i].Out, m.Ops[i].Result = nil, 0
		}
		m.Locator.Hash = -1
	case *MOSDOpReply:
		for i := range m.Ops {
			m.Ops[i].In = nil
		}
	case *MOSDRepOp:
		m.Txn = m.Txn[:1]
	case *MMgrConfigure:
		m.Queries = []byte{1, 0, 0, 0, 7, 7, 7}
	case *MMgrReport:
		m.Tail = []byte{1, 0, 0, 0, 7, 7, 7}
	}
	return b
}

func encodeBody(b Body) (row Row, front, data []byte) {
	m := New(b)
	front, _, pieces := m.Segments(ceph.FeaturesAll)
	return rows[b.Type()], front, slices.Concat(pieces...)
}

func decodeBody(row Row, version uint16, front, data []byte) (Body, error) {
	m := &Message{Version: version, Compat: row.Compat, Data: data}
	err := m.Decode(row.Type, front, ceph.FeaturesAll)
	return m.Body, err
}

func TestTableIsOrderedAndComplete(t *testing.T) {
	for i, row := range Table {
		if i > 0 && row.Type <= Table[i-1].Type {
			t.Errorf("%s (%d) does not come after %s (%d)", row.Name, row.Type,
				Table[i-1].Name, Table[i-1].Type)
		}
		b := row.New()
		if b.Type() != row.Type {
			t.Errorf("%s is of type %d, row says %d", row.Name, b.Type(), row.Type)
		}
		if name := reflect.TypeOf(b).Elem().Name(); name != row.Name {
			t.Errorf("row %s makes a %s", row.Name, name)
		}
	}
}

func TestRandomRoundTrip(t *testing.T) {
	for _, row := range Table {
		t.Run(row.Name, func(t *testing.T) {
			for seed := range uint64(50) {
				want := filler{rand.New(rand.NewPCG(seed, uint64(row.Type)))}.body(row)
				_, front, data := encodeBody(want)
				got, err := decodeBody(row, row.Version, front, data)
				if err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				if !reflect.DeepEqual(got, want) {
					t.Fatalf("seed %d:\n got %+v\nwant %+v", seed, got, want)
				}
			}
		})
	}
}

func TestZeroValueRoundTrip(t *testing.T) {
	for _, row := range Table {
		_, front, data := encodeBody(row.New())
		got, err := decodeBody(row, row.Version, front, data)
		if err != nil {
			t.Errorf("%s: %v", row.Name, err)
			continue
		}
		_, again, _ := encodeBody(got)
		if !slices.Equal(front, again) {
			t.Errorf("%s encodes differently after a round trip", row.Name)
		}
	}
}

// Every prefix of a front, and of a data segment, is an error or a value, never a panic.
func TestCutAtEveryByte(t *testing.T) {
	for _, row := range Table {
		b := filler{rand.New(rand.NewPCG(7, uint64(row.Type)))}.body(row)
		_, front, data := encodeBody(b)
		for n := range front {
			got, err := decodeBody(row, row.Version, front[:n], data)
			if err == nil && got == nil {
				t.Errorf("%s cut at %d of %d: neither a body nor an error", row.Name, n,
					len(front))
			}
		}
		_, payload := b.(Payload)
		for n := range data {
			if _, err := decodeBody(row, row.Version, front, data[:n]); err == nil && payload &&
				row.Name != "MOSDRepOp" {
				t.Errorf("%s with %d of %d data bytes: no error", row.Name, n, len(data))
			}
		}
	}
}

func TestOlderVersions(t *testing.T) {
	for _, row := range Table {
		for v := uint16(0); v < row.Version; v++ {
			b := filler{rand.New(rand.NewPCG(9, uint64(row.Type)))}.body(row)
			c := denc.NewEncoder(nil, ceph.FeaturesAll)
			if b.Denc(c, v); c.Err() != nil {
				continue // too old to be written
			}
			if _, err := decodeBody(row, v, c.Bytes(), nil); err != nil {
				if _, ok := b.(Payload); !ok {
					t.Errorf("%s version %d: %v", row.Name, v, err)
				}
			}
		}
	}
}

func TestUnknownTypeAndVersionAreRefused(t *testing.T) {
	m := &Message{Version: 1}
	if err := m.Decode(0xfff0, nil, ceph.FeaturesAll); err == nil {
		t.Error("an unknown type decodes")
	}
	m = &Message{Version: 99, Compat: 99}
	if err := m.Decode(42, nil, ceph.FeaturesAll); err == nil {
		t.Error("a version that needs a newer reader decodes")
	}
}

// Encoding reads its value only, so that one body can be sent to several peers.
func TestEncodeConcurrently(t *testing.T) {
	for _, row := range Table {
		b := filler{rand.New(rand.NewPCG(3, uint64(row.Type)))}.body(row)
		_, want, _ := encodeBody(b)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if _, got, _ := encodeBody(b); !slices.Equal(got, want) {
					t.Errorf("%s encodes differently from two goroutines", row.Name)
				}
			})
		}
		wg.Wait()
	}
}

func FuzzDecode(f *testing.F) {
	for i, row := range Table {
		_, front, data := encodeBody(filler{rand.New(rand.NewPCG(1, uint64(i)))}.body(row))
		f.Add(uint16(i), row.Version, front, data)
	}
	f.Fuzz(func(t *testing.T, i, version uint16, front, data []byte) {
		row := Table[int(i)%len(Table)]
		b, err := decodeBody(row, version, front, data)
		if err != nil {
			return
		}
		c := denc.NewEncoder(nil, ceph.FeaturesAll)
		b.Denc(c, row.Version)
	})
}

func TestOSDOpArguments(t *testing.T) {
	var op OSDOp
	op.SetExtent(1<<40, 7)
	if off, n := op.Extent(); off != 1<<40 || n != 7 {
		t.Errorf("extent %d %d", off, n)
	}
	op = OSDOp{}
	op.SetXattr("name", []byte("value"), CmpGT, CmpModeU64)
	name, value, ok := op.Xattr()
	if _, _, cmp, mode := op.XattrArgs(); name != "name" || string(value) != "value" || !ok ||
		cmp != CmpGT || mode != CmpModeU64 {
		t.Errorf("xattr %q %q %v %d %d", name, value, ok, cmp, mode)
	}
	op.In = op.In[:5]
	if _, _, ok := op.Xattr(); ok {
		t.Error("an attribute longer than the input is taken")
	}
	op = OSDOp{}
	op.SetCall("rbd", "create", []byte("in"))
	class, method, in, ok := op.Call()
	if class != "rbd" || method != "create" || string(in) != "in" || !ok || op.Code != OpCall {
		t.Errorf("call %q %q %q %v", class, method, in, ok)
	}
	op.In = op.In[:9]
	if _, _, _, ok := op.Call(); ok {
		t.Error("a call longer than the input is taken")
	}
	w := WatchArgs{Cookie: 1, Version: 2, Action: WatchPing, Generation: 3, TimeoutSec: 4}
	if op.SetWatch(w); op.Watch() != w {
		t.Errorf("watch %+v", op.Watch())
	}
}

// The ids of requests name the session's client unless the sender says otherwise.
func TestRequestID(t *testing.T) {
	client := ceph.EntityName{Type: ceph.TypeClient, Num: 4100}
	m := &MOSDOp{ReqID: ceph.ReqID{Inc: 3}}
	if got, want := m.Request(client, 8), (ceph.ReqID{Name: client, TID: 8, Inc: 3}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	m.ReqID = ceph.ReqID{Name: ceph.EntityName{Type: ceph.TypeOSD, Num: 1}, TID: 5}
	if got := m.Request(client, 8); got != m.ReqID {
		t.Errorf("got %v, want %v", got, m.ReqID)
	}
}
