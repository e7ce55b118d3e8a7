package msgr

import (
	"bytes"
	"testing"

	"glue/ceph"
	"glue/internal/crc32c"
	"glue/wire/message"
)

// TestLoanedData: data goes out with the checksum that its sender says, and its memory is given
// back when it was written, unless it may have to be written once more.
func TestLoanedData(t *testing.T) {
	lossyModes(t, func(t *testing.T, tune func(o *Options)) {
		a, b := newEndpoint(t, 0, tune), newEndpoint(t, 1, tune)
		got := make(chan []byte, 10)
		b.on = func(_ *Conn, m *message.Message) { got <- bytes.Clone(m.Data) }
		c := a.Connect(ceph.TypeMon, b.Addrs())
		for i, size := range []int{1, 1000, 4096, 5 << 20} {
			back := make(chan struct{})
			m := loaned(uint64(i), size, 0)
			m.OnRelease(func() { close(back) })
			c.Send(m)
			<-back
			if !bytes.Equal(<-got, payload(uint64(i), size)) {
				t.Errorf("%d bytes arrived wrong", size)
			}
		}
	})
	lossless, peer := newEndpoint(t, 0, nil), newEndpoint(t, 1, nil)
	c := lossless.Connect(ceph.TypeOSD, peer.Addrs())
	m := loaned(1, 4096, 0)
	m.OnRelease(func() { t.Error("memory is given back that may have to be written again") })
	c.Send(m)
	peer.until("message", func() bool { return len(peer.got) == 1 })
	c.Send(msg(2)) // written when the batch before it is done with
	peer.until("message", func() bool { return len(peer.got) == 2 })

	a, b := newEndpoint(t, 0, lossy), newEndpoint(t, 1, lossy)
	a.Connect(ceph.TypeOSD, b.Addrs()).Send(loaned(1, 4096, 1))
	a.until("reset", func() bool { return a.count("reset osd.1") == 1 })
	if len(b.got) != 0 {
		t.Error("data arrived although it does not match its checksum")
	}
}

// loaned is a message with data whose checksum is known, but for an error.
func loaned(n uint64, size int, wrong uint32) *message.Message {
	m := msg(n)
	m.Data = payload(n, size)
	sum := crc32c.Update(0, m.Data) ^ wrong
	m.Sum = &sum
	return m
}
