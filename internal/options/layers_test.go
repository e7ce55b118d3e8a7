package options

import (
	"reflect"
	"testing"
)

// TestLayers: the source that is nearest to the operator wins, and taking it away brings back what
// was under it.
func TestLayers(t *testing.T) {
	const name = "osd_max_backfills"
	l, bad := Layers{}.Replace(FromMon, map[string]string{name: "2", "no_such": "1",
		"osd_heartbeat_interval": "0"})
	if want := []string{"no_such", "osd_heartbeat_interval"}; !reflect.DeepEqual(bad, want) {
		t.Errorf("refused %v, want %v", bad, want)
	}
	l, _ = l.Replace(FromFile, map[string]string{"osd max backfills": "3"})
	over, err := l.Put(FromOverride, name, "4")
	if err != nil {
		t.Fatal(err)
	}
	want := []Sourced{{FromOverride, "4"}, {FromFile, "3"}, {FromMon, "2"}, {FromDefault, "1"}}
	if got := over.Of(name); !reflect.DeepEqual(got, want) {
		t.Errorf("sources %v, want %v", got, want)
	}
	if over.Set().Int(name) != 4 || l.Set().Int(name) != 3 {
		t.Errorf("in force %v and %v", over.Set().Int(name), l.Set().Int(name))
	}
	if got := over.Drop(FromOverride, name).Set().Int(name); got != 3 {
		t.Errorf("without the override %d", got)
	}
	// The central configuration is replaced as a whole: what it no longer says is gone.
	gone, _ := over.Drop(FromOverride, name).Replace(FromFile, nil)
	gone, _ = gone.Replace(FromMon, map[string]string{"osd_max_object_size": "1M"})
	if got := gone.Set().Int(name); got != 1 {
		t.Errorf("after the central value went away %d", got)
	}
	if _, err := l.Put(FromOverride, name, "many"); err == nil {
		t.Error("a bad value was taken")
	}
}

func TestShowHidesKeys(t *testing.T) {
	o, _ := Lookup("key")
	if got := o.Show("AQB="); got != "******" {
		t.Errorf("the key prints as %q", got)
	}
	if got := o.Show(""); got != "" {
		t.Errorf("no key prints as %q", got)
	}
}
