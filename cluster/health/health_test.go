package health

import (
	"reflect"
	"testing"

	"glue/ceph/denc"
)

func TestChecks(t *testing.T) {
	var c Checks
	c.Add("POOL_FULL", Error, 2, []string{"a", "b"}, "%d pools full", 2)
	c.Add("OSD_DOWN", Warn, 1, nil, "1 osds down")
	c.Sort()
	want := Checks{{"OSD_DOWN", Warn, "1 osds down", 1, nil},
		{"POOL_FULL", Error, "2 pools full", 2, []string{"a", "b"}}}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("%+v", c)
	}
	b := denc.Marshal(&c, 0)
	var got Checks
	if err := denc.Unmarshal(b, &got, 0); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %+v", err, got)
	}
	for n := range b {
		if denc.Unmarshal(b[:n], &Checks{}, 0) == nil {
			t.Fatalf("the first %d of %d bytes decode", n, len(b))
		}
	}
}
