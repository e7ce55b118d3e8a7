package rbd

import "testing"

func TestFeatures(t *testing.T) {
	f, err := ParseFeatures("layering,exclusive-lock, 32")
	if err != nil || f != Layering|ExclusiveLock|DeepFlatten {
		t.Errorf("%v, %v", f, err)
	}
	if DefaultFeatures != 61 {
		t.Errorf("default features are %d, not 61", DefaultFeatures)
	}
	if _, err := ParseFeatures("nonsense"); err == nil {
		t.Error("an unknown feature is taken")
	}
	for _, bad := range []Features{ObjectMap, FastDiff | ExclusiveLock, Journaling} {
		if checkFeatures(bad) == nil {
			t.Errorf("features %v are taken", bad)
		}
	}
}
