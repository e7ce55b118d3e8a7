package mon

import (
	"fmt"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/fsmap"
	"glue/internal/cephjson"
	"glue/mon/service"
	"glue/wire/message"
)

// fileSystems is the map of the file systems: there are none yet.
var fileSystems = fsmap.Empty()

// fsCommands answer for as long as there are no file systems.
func fsCommands() []service.Row {
	epoch := fileSystems.Epoch
	return []service.Row{
		{Prefix: "fs ls", Run: noFileSystems("No filesystems enabled\n", []string{})},
		{Prefix: "fs dump", Run: fsDump},
		{Prefix: "mds stat", Run: noFileSystems("", cephjson.Object{
			{Key: "fsmap", Value: fileSystems.Dump()},
			{Key: "mdsmap_first_committed", Value: epoch},
			{Key: "mdsmap_last_committed", Value: epoch}})},
		{Prefix: "mds metadata", Run: mdsMetadata},
	}
}

func noFileSystems(text string, v any) func(*service.Request) service.Answer {
	return func(r *service.Request) service.Answer { return r.Either(v, text) }
}

func fsDump(r *service.Request) service.Answer {
	if e := r.Int("epoch", 0); e != 0 && e != int64(fileSystems.Epoch) {
		return service.Fail(ceph.ENOENT, "there is no map for epoch %d", e)
	}
	a := r.Either(fileSystems.Dump(), fileSystems.Text())
	a.Text = fmt.Sprintf("dumped fsmap epoch %d", fileSystems.Epoch)
	return a
}

func mdsMetadata(r *service.Request) service.Answer {
	if who := r.Str("who"); who != "" {
		return service.Fail(ceph.EINVAL, "MDS named '%s' does not exist, or is not up", who)
	}
	return r.JSON([]string{})
}

// sendFSMapSub sends the file systems and metadata servers: before it a client does not say that
// there is no such server.
func sendFSMapSub(_ *core, s *session, what string, sub *subscription) {
	e := uint64(fileSystems.Epoch)
	if sub.next > e {
		return
	}
	sub.next = e + 1
	if what == "fsmap.user" {
		s.conn.Send(message.New(&message.MFSMapUser{Epoch: fileSystems.Epoch,
			Map: denc.Marshal(fsmap.User{Map: fileSystems}, ceph.FeaturesAll)}))
		return
	}
	s.conn.Send(message.New(&message.MFSMap{Epoch: fileSystems.Epoch,
		Map: denc.Marshal(fileSystems, ceph.FeaturesAll)}))
}
