package sim

import (
	"testing"
	"time"
)

// found runs a planted bug with some seeds, of which one has to find it.
func found(t *testing.T, o Options, first, last uint64) {
	t.Helper()
	t.Run(string(o.Bug), func(t *testing.T) {
		for o.Seed = first; o.Seed <= last; o.Seed++ {
			r, err := Run(o)
			if err != nil {
				t.Logf("found by seed %d: %.300v", o.Seed, err)
				return
			}
			t.Logf("seed %d: %+v", o.Seed, r)
		}
		t.Errorf("not found by seeds %d to %d of %v each", first, last, o.For)
	})
}

// TestPlantedBugs: the checks of monitors find what they are there to find.
func TestPlantedBugs(t *testing.T) {
	for _, x := range []struct {
		bug  Bug
		last uint64 // seed
	}{{NotDurable, 5}, {LongLease, 5}, {ShortSnapshot, 5}, {StaleTail, 10}, {OldMember, 5}} {
		found(t, Options{For: time.Hour, Bug: x.bug}, 1, x.last)
	}
}

// TestPlantedOSDBugs: the checks of clusters find what they are there to find.
func TestPlantedOSDBugs(t *testing.T) {
	for _, x := range []struct {
		bug         Bug
		first, last uint64 // seeds
	}{
		{OSDNotDurable, 1, 10}, {ReplicaSkips, 1, 5}, {ReplicaNoEntry, 1, 10}, {WrongLog, 1, 20},
		{LogCut, 1, 5}, {MissingCut, 10, 30}, {PushNoAttrs, 1, 5}, {PushNoOmap, 1, 5},
		{PushStale, 1, 5}, {AckFar, 20, 40}, {SlotLeak, 1, 5}, {LostMessage, 1, 10},
		{OtherID, 1, 5}, {MetaNotDurable, 1, 5}, {DivergentKept, 1, 10},
		{SplitWithoutLog, 16, 40}, {UpThruIgnored, 8, 16}, {MinSizeIgnored, 1, 10},
		{FenceForgotten, 1, 20},
		{LongestLog, 1, 10}, {CleanTooSoon, 1, 60}, {SaysUnreadable, 1, 5}, {AllRot, 1, 10},
	} {
		found(t, Options{For: 5 * time.Minute, OSDs: true, Bug: x.bug}, x.first, x.last)
	}
}

// TestPlantedSnapBugs: the checks of snapshots find what they are there to find.
func TestPlantedSnapBugs(t *testing.T) {
	for _, x := range []struct {
		bug         Bug
		first, last uint64 // seeds
	}{
		{NoClones, 1, 5}, {PushNoSnapSet, 1, 10}, {PushNoTags, 1, 10}, {WideOverlap, 1, 5},
		{TrimLive, 1, 5}, {TrimOnce, 1, 5}, {PurgedTooSoon, 1, 20},
	} {
		found(t, Options{For: 5 * time.Minute, OSDs: true, Snaps: true, Bug: x.bug}, x.first,
			x.last)
	}
}
