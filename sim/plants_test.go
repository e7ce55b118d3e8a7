package sim

import (
	"testing"
	"time"

	"glue/sim/plant"
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
	}{
		{plant.NotDurable, 5}, {plant.LongLease, 5}, {plant.ShortSnapshot, 5},
		{plant.StaleTail, 10}, {plant.OldMember, 5},
	} {
		found(t, Options{For: time.Hour, Bug: x.bug}, 1, x.last)
	}
}

// TestPlantedOSDBugs: the checks of clusters find what they are there to find.
func TestPlantedOSDBugs(t *testing.T) {
	for _, x := range []struct {
		bug         Bug
		first, last uint64 // seeds
	}{
		{plant.OSDNotDurable, 1, 10}, {plant.ReplicaSkips, 1, 5}, {plant.ReplicaNoEntry, 16, 40},
		{plant.WrongLog, 1, 20},
		{plant.LogCut, 1, 5}, {plant.MissingCut, 10, 30}, {plant.PushNoAttrs, 1, 5},
		{plant.PushNoOmap, 1, 5},
		{plant.PushStale, 1, 5}, {plant.AckFar, 20, 40}, {plant.SlotLeak, 1, 5},
		{plant.LostMessage, 1, 10},
		{plant.OtherID, 1, 5}, {plant.MetaNotDurable, 1, 5}, {plant.DivergentKept, 1, 10},
		{plant.SplitWithoutLog, 16, 40}, {plant.UpThruIgnored, 8, 16},
		{plant.MinSizeIgnored, 1, 10},
		{plant.FenceForgotten, 1, 20},
		{plant.LongestLog, 1, 10}, {plant.CleanTooSoon, 70, 120}, {plant.SaysUnreadable, 1, 5},
		{plant.AllRot, 1, 10}, {plant.BackfillFar, 6, 20},
		{plant.CompleteFar, 8, 30},
	} {
		found(t, Options{For: 5 * time.Minute, OSDs: true, Bug: x.bug}, x.first, x.last)
	}
}

// TestPlantedDiskBugs: so do those of OSDs that have the store of real disks.
func TestPlantedDiskBugs(t *testing.T) {
	for _, x := range []struct {
		bug         Bug
		first, last uint64 // seeds
	}{
		{plant.NoBarrier, 1, 5}, {plant.NoTableSynced, 1, 5}, {plant.OSDNotDurable, 1, 20},
		{plant.MetaNotDurable, 12, 40},
	} {
		found(t, Options{For: 5 * time.Minute, OSDs: true, Blocks: true, Bug: x.bug}, x.first,
			x.last)
	}
}

// TestPlantedWatchBugs: the checks of watches and notifies find what they are there to find.
func TestPlantedWatchBugs(t *testing.T) {
	for _, x := range []struct {
		bug         Bug
		first, last uint64 // seeds
	}{
		{plant.WatcherSkipped, 1, 5}, {plant.WatchForgotten, 1, 5}, {plant.ToldTwice, 1, 5},
		{plant.AnswersForAll, 1, 5},
		{plant.FenceForgotten, 1, 20},
	} {
		found(t, Options{For: 5 * time.Minute, OSDs: true, Watches: true, Bug: x.bug}, x.first,
			x.last)
	}
}

// TestPlantedSnapBugs: the checks of snapshots find what they are there to find.
func TestPlantedSnapBugs(t *testing.T) {
	for _, x := range []struct {
		bug         Bug
		first, last uint64 // seeds
	}{
		{plant.NoClones, 1, 5}, {plant.PushNoSnapSet, 1, 10}, {plant.PushNoTags, 1, 10},
		{plant.WideOverlap, 1, 5},
		{plant.TrimLive, 1, 5}, {plant.TrimOnce, 1, 5}, {plant.PurgedTooSoon, 1, 20},
	} {
		found(t, Options{For: 5 * time.Minute, OSDs: true, Snaps: true, Bug: x.bug}, x.first,
			x.last)
	}
}

// TestPlantedPoolSnapBugs: so do those of snapshots of the pool.
func TestPlantedPoolSnapBugs(t *testing.T) {
	for _, bug := range []Bug{plant.OldPoolSnaps, plant.PushNoSnapSet, plant.PushNoTags,
		plant.WideOverlap, plant.TrimLive, plant.TrimOnce, plant.PurgedTooSoon} {
		found(t, Options{For: 5 * time.Minute, OSDs: true, Snaps: true, PoolSnaps: true, Bug: bug},
			1, 10)
	}
}
