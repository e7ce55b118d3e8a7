package mgr

import "glue/cluster/commands"

// handlers is what runs for each command. Commands of the table in cluster/commands that are not
// here belong to features that do not exist yet, and say so.
var handlers = map[string]handler{
	"version":     tellVersion,
	"mgr_status":  tellStatus,
	"config show": configShow,
	"config get":  configGet,
	"pg stat":     pgStat,
}

func pgStat(s *state, c *commands.Command) result {
	s.pgs.Refresh(s.osdmap)
	return printed(c, s.pgs.Stat, s.pgs.StatText)
}
