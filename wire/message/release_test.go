package message

import "testing"

// TestAbandonKeepsBuffer: a message that is given up counts for nothing any more, and its buffer,
// which somebody may still read, never returns to its pool.
func TestAbandonKeepsBuffer(t *testing.T) {
	for _, abandon := range []bool{false, true} {
		buffers, counts := 0, 0
		m := New(&MPing{})
		m.OnRelease(func() { buffers++ })
		m.OnDone(func() { counts++ })
		want := 1
		if abandon {
			m.Abandon()
			want = 0
		}
		for range 2 { // once only
			m.Release()
		}
		if buffers != want || counts != 1 {
			t.Errorf("abandoned %v: %d buffers, %d counts given back", abandon, buffers, counts)
		}
	}
}
