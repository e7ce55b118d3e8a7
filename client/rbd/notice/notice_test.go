package notice

import (
	"testing"

	"glue/ceph/denc"
)

func TestMessageRoundTrip(t *testing.T) {
	for _, n := range []Message{
		{Op: AcquiredLock, Client: Client{4100, 7}},
		{Op: RequestLock, Client: Client{4100, 7}, Force: true},
		{Op: HeaderUpdate},
	} {
		var got Message
		if err := denc.Unmarshal(n.Encode(), &got, 0); err != nil || got != n {
			t.Errorf("got %+v, %v, want %+v", got, err, n)
		}
	}
	if r, ok := ParseResponse(Response(-95)); !ok || r != -95 {
		t.Errorf("response %d, %v", r, ok)
	}
	if _, ok := ParseResponse(nil); ok {
		t.Error("no answer is taken for one")
	}
}
