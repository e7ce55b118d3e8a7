package imagestat

import (
	"reflect"
	"testing"
)

func TestParse(t *testing.T) {
	for object, want := range map[string]Key{
		"rbd_data.1c7c.0000000000000000":     {2, "n", "1c7c"},
		"rbd_data.7.1c7c.0000000000000000":   {7, "n", "1c7c"},
		"journal_data.3.1c7c.0":              {3, "n", "1c7c"},
		"rbd_data.abc.def.0000000000000000":  {2, "n", "abc"},
		"rbd_data.1234567.00000000000000000": {2, "n", "1234567"},
	} {
		if got, ok := Parse(2, "n", object); !ok || got != want {
			t.Errorf("%s: %+v, %v", object, got, ok)
		}
	}
	for _, object := range []string{"", "rbd_header.1", "rbd_data.", "rbd_data.x", "rbd_data..1"} {
		if got, ok := Parse(2, "n", object); ok {
			t.Errorf("%s: %+v", object, got)
		}
	}
}

func TestEncoding(t *testing.T) {
	in := map[Key]*Counters{{1, "n", "a"}: {1, 2, 3, 4, 5, 6}, {1, "", "a"}: {7}}
	out, err := Decode(Encode(in))
	if err != nil || !reflect.DeepEqual(in, out) {
		t.Errorf("%v, %v", out, err)
	}
	if _, err := Decode([]byte{255, 255, 255, 255}); err == nil {
		t.Error("rubbish decodes")
	}
}
