package mgr

import (
	"glue/ceph"
	"glue/cluster/commands"
	"glue/internal/cephjson"
	"glue/internal/options"
)

// tellTable is the commands that reach the manager only by "ceph tell mgr".
var tellTable = []commands.Descriptor{
	{Module: "mgr", Perm: "r", Sig: "version", Help: "get the version"},
	{Module: "mgr", Perm: "r", Sig: "mgr_status", Help: "what the manager knows"},
	{Module: "mgr", Perm: "r", Sig: "config show", Help: "dump current config settings"},
	{Module: "mgr", Perm: "r", Sig: "config get var:String", Help: "get the config value"},
}

var tellIndex = commands.NewIndex(tellTable)

func tellVersion(_ *state, _ *commands.Command) result {
	return result{out: cephjson.Marshal(versionReply(), true)}
}

func configShow(s *state, c *commands.Command) result {
	if c.Has("who") {
		return refuse(ceph.EOPNOTSUPP, "daemons do not report their configuration to the manager "+
			"yet; ask one with: ceph tell %s config show", c.Str("who"))
	}
	return result{out: cephjson.Marshal(s.set.Overrides(), true)}
}

func tellStatus(s *state, _ *commands.Command) result {
	return result{out: cephjson.Marshal(statusOf(s), true)}
}

func configGet(s *state, c *commands.Command) result {
	name := c.Need("var")
	if _, ok := options.Lookup(name); !ok {
		return refuse(ceph.EINVAL, "unrecognized config option '%s'", name)
	}
	return result{out: cephjson.Marshal(map[string]string{name: s.set.Get(name)}, true)}
}
