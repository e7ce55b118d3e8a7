package commands

// A missing is a feature that does not exist yet, and the commands that wait for it.
type missing struct {
	what     string // the feature, as the beginning of a sentence
	instead  string // what to do without it; may be empty
	prefixes []string
}

// absent lists the commands that have a descriptor and no handler. Whoever gives one a handler
// deletes it here; tests of the monitor and of the manager hold both sides together.
var absent = []missing{
	{"Making a lost PG anew", "bring one of its OSDs back, give up what an OSD had with " +
		"'ceph osd lost', or delete the pool", []string{"osd force-create-pg"}},
	{"Cache tiering", "put a pool on faster disks with a CRUSH rule for their device class",
		[]string{"osd tier add", "osd tier add-cache"}},
	{"Stretch mode", "spread copies over sites with a CRUSH rule", []string{
		"osd force_healthy_stretch_mode", "osd force_recovery_stretch_mode",
		"mon enable_stretch_mode", "mon set_new_tiebreaker"}},
	{"Watching disks and predicting when they fail", "watch them with smartctl", []string{
		"smart", "device set-life-expectancy", "device rm-life-expectancy",
		"device get-health-metrics", "device monitoring on", "device check-health"}},
	{"Telemetry", "Glue reports to nobody", []string{"telemetry show", "telemetry on"}},
	{"CephFS", "", []string{
		"fs authorize", "fs compat show", "fs new", "fs fail", "fs rm", "fs reset", "fs get",
		"fs set", "fs flag set", "fs feature ls", "fs compat", "fs required_client_features",
		"fs add_data_pool", "fs rm_data_pool", "fs set_default", "fs set-default",
		"fs mirror enable", "fs mirror disable", "fs mirror peer_add", "fs mirror peer_remove",
		"mds ok-to-stop", "mds freeze", "mds set_state", "mds fail", "mds repaired", "mds rm",
		"mds rmfailed", "mds compat show", "mds compat rm_compat", "mds compat rm_incompat"}},
	{"Scrubbing the monitors' stores", "members compare their state with the checksum of each " +
		"OSD map", []string{"mon scrub"}},
	{"Hinting a monitor at others", "name the quorum's monitors in mon_host and start it with " +
		"'glue mon --join'", []string{"add_bootstrap_peer_hint", "add_bootstrap_peer_hintv"}},
	{"Electing a leader by connection scores or location", "Raft elects any member that has " +
		"the newest state", []string{
		"mon set election_strategy",
		"mon add disallowed_leader", "mon rm disallowed_leader", "mon set_location",
		"connection scores dump", "connection scores reset"}},
	{"Changing the monitors' features", "all features of this release are in force",
		[]string{"mon feature set"}},
	{"Sending a command through the monitors", "use 'ceph tell', which asks the daemon " +
		"itself", []string{"tell"}},
	{"Compacting a monitor's store by hand", "the store compacts itself", []string{"compact"}},
	{"Forcing a monitor to fetch the whole state", "a member that fell behind does so by itself",
		[]string{"sync_force"}},
	{"Leaving and joining the quorum by command", "stop and start the monitor", []string{
		"quorum enter", "quorum exit"}},
	{"The history of a monitor's operations", "'ops' shows those that wait", []string{
		"dump_historic_ops", "dump_historic_slow_ops"}},
}

// Unavailable is the answer to each command whose feature does not exist in this release: one
// sentence with the feature and, where there is one, the way to do without.
var Unavailable = unavailable(absent)

func unavailable(list []missing) map[string]string {
	out := map[string]string{}
	for _, m := range list {
		text := m.what + " is not available in this release of Glue"
		if m.instead != "" {
			text += ": " + m.instead
		}
		for _, p := range m.prefixes {
			out[p] = text
		}
	}
	return out
}
