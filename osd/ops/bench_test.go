package ops

import (
	"testing"

	"glue/wire/message"
)

// BenchmarkWrite4K is what most writes of block devices are: [SETALLOCHINT, WRITE] on an object
// that is there and whose state is cached.
func BenchmarkWrite4K(b *testing.B) {
	p := newPG(b)
	hint := plain(message.OpSetAllocHint)
	hint.SetAllocHint(4<<20, 4<<20, 0)
	vector := []message.OSDOp{hint, write(8192, string(make([]byte, 4096)))}
	p.want(p.do("rbd_data.1234567890ab.0000000000000000", vector...), 0)
	r := p.request(head("rbd_data.1234567890ab.0000000000000000"), 0, vector)
	r.State = p.last.State
	b.ReportAllocs()
	for b.Loop() {
		n, err := Inspect(p.env.Classes, 0, vector)
		if err != nil || Check(p.env.Limits, &n, r) != nil {
			b.Fatal(err)
		}
		if out := Execute(p.env, r, &n); out.Result != 0 || out.Transaction.Empty() {
			b.Fatal(out.Result)
		}
	}
}

// BenchmarkRead4K is a read of a cached object, without the store.
func BenchmarkRead4K(b *testing.B) {
	p := newPG(b)
	p.want(p.do("o", write(0, string(make([]byte, 64<<10)))), 0)
	vector := []message.OSDOp{read(8192, 4096)}
	r := p.request(head("o"), 0, vector)
	r.State = p.last.State
	b.ReportAllocs()
	for b.Loop() {
		n, _ := Inspect(p.env.Classes, 0, vector)
		if out := Execute(p.env, r, &n); len(out.Ops[0].Out) != 4096 {
			b.Fatal(out.Result)
		}
	}
}
