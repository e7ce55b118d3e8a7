package message

import (
	"testing"

	"glue/ceph"
)

// benchOp is a 4 KiB write as librbd sends it.
func benchOp() *MOSDOp {
	var hint, write OSDOp
	hint.Code, hint.Flags = OpSetAllocHint, OpFlagFailOK
	hint.SetAllocHint(4<<20, 4<<20, 0)
	write.Code, write.In = OpWrite, make([]byte, 4096)
	write.SetExtent(8192, 4096)
	return &MOSDOp{
		PG: ceph.SPG{PGID: ceph.PGID{Pool: 2, Seed: 5}, Shard: ceph.NoShard}, Hash: 0x12345,
		Epoch: 20, Flags: FlagWrite | FlagOnDisk, Locator: ceph.Locator{Pool: 2, Hash: -1},
		Object: "rbd_data.1023abcdef01.0000000000000123", Ops: []OSDOp{hint, write},
		Snap: ceph.NoSnap, Features: ceph.FeaturesAll,
	}
}

func BenchmarkEncodeOp(b *testing.B) {
	op := benchOp()
	b.ReportAllocs()
	for b.Loop() {
		New(op).Segments(ceph.FeaturesAll)
	}
}

func BenchmarkDecodeOp(b *testing.B) {
	_, front, data := encodeBody(benchOp())
	b.ReportAllocs()
	for b.Loop() {
		m := &Message{Version: 8, Compat: 3, Data: data}
		if err := m.Decode(42, front, ceph.FeaturesAll); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncodeReply(b *testing.B) {
	r := ReplyTo(benchOp(), 0, 20)
	b.ReportAllocs()
	for b.Loop() {
		New(r).Segments(ceph.FeaturesAll)
	}
}

func BenchmarkDecodeReply(b *testing.B) {
	_, front, data := encodeBody(ReplyTo(benchOp(), 0, 20))
	b.ReportAllocs()
	for b.Loop() {
		m := &Message{Version: 8, Compat: 2, Data: data}
		if err := m.Decode(43, front, ceph.FeaturesAll); err != nil {
			b.Fatal(err)
		}
	}
}
