package mon

import (
	"fmt"

	"glue/ceph"
	"glue/internal/cephjson"
	"glue/mon/service"
)

// mdsFeatures are the incompatible features of metadata servers that stock lists in an empty file
// system map.
var mdsFeatures = []struct {
	bit  int
	name string
}{
	{1, "base v0.20"}, {2, "client writeable ranges"}, {3, "default file layouts on dirs"},
	{4, "dir inode in separate object"}, {5, "mds uses versioned encoding"},
	{6, "dirfrag is stored in omap"}, {8, "no anchor table"}, {9, "file layout v2"},
	{10, "snaprealm v2"},
}

// emptyFSMap is the file system map of a cluster that has no file systems.
func emptyFSMap() cephjson.Object {
	incompat := cephjson.Object{}
	for _, f := range mdsFeatures {
		incompat = append(incompat, cephjson.Member{Key: fmt.Sprintf("feature_%d", f.bit),
			Value: f.name})
	}
	return cephjson.Object{
		{Key: "epoch", Value: 1}, {Key: "default_fscid", Value: -1},
		{Key: "compat", Value: cephjson.Object{{Key: "compat", Value: cephjson.Object{}},
			{Key: "ro_compat", Value: cephjson.Object{}}, {Key: "incompat", Value: incompat}}},
		{Key: "feature_flags", Value: cephjson.Object{{Key: "enable_multiple", Value: true},
			{Key: "ever_enabled_multiple", Value: true}}},
		{Key: "standbys", Value: []string{}}, {Key: "filesystems", Value: []string{}},
	}
}

// fsCommands answer for as long as there are no file systems.
func fsCommands() []service.Row {
	return []service.Row{
		{Prefix: "fs ls", Run: noFileSystems("No filesystems enabled\n", []string{})},
		{Prefix: "fs dump", Run: fsDump},
		{Prefix: "mds stat", Run: noFileSystems("", cephjson.Object{
			{Key: "fsmap", Value: emptyFSMap()}, {Key: "mdsmap_first_committed", Value: 1},
			{Key: "mdsmap_last_committed", Value: 1}})},
		{Prefix: "mds metadata", Run: mdsMetadata},
	}
}

func noFileSystems(text string, v any) func(*service.Request) service.Answer {
	return func(r *service.Request) service.Answer { return r.Either(v, text) }
}

func fsDump(r *service.Request) service.Answer {
	if e := r.Int("epoch", 0); e != 0 && e != 1 {
		return service.Fail(ceph.ENOENT, "there is no map for epoch %d", e)
	}
	a := r.Either(emptyFSMap(), "e1\nenable_multiple, ever_enabled_multiple: 1,1\n"+
		"legacy client fscid: -1\n \nNo filesystems configured\n")
	a.Text = "dumped fsmap epoch 1"
	return a
}

func mdsMetadata(r *service.Request) service.Answer {
	if who := r.Str("who"); who != "" {
		return service.Fail(ceph.EINVAL, "MDS named '%s' does not exist, or is not up", who)
	}
	return r.JSON([]string{})
}
