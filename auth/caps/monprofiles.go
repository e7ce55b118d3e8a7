package caps

// nonce is an address with its nonce: one client, not a whole host.
const nonce = "^[^/]+/[0-9]+$"

// readMaps is what every client needs of the monitors.
var readMaps = []monGrant{service("mon", R), service("osd", R), service("pg", R)}

// rbdClient is part of every profile whose name starts with "rbd": a client that takes an image's
// lock over blocklists the one that held it.
var rbdClient = append(readMaps[:3:3],
	commandWith("osd blocklist", constraints{"blocklistop": is("add"), "addr": newRegex(nonce)}),
	commandWith("osd blacklist", constraints{"blacklistop": is("add"), "addr": newRegex(nonce)}),
)

// rbdCaps is what a bootstrap key may give an RBD client.
const rbdCaps = `^([ ,]*profile(=|[ ]+)['"]?rbd[^ ,'"]*['"]?` +
	`([ ]+pool(=|[ ]+)['"]?[^,'"]+['"]?)?)+$`

// monProfiles has what each profile stands for, besides what expandProfile adds.
var monProfiles = map[string][]monGrant{
	"read-only":  {{allow: R}},
	"read-write": {{allow: R | W}},
	"mon":        {service("mon", monAll), service("log", monAll)},
	"osd": {
		service("osd", monAll), service("mon", R), service("pg", R|W), service("log", W),
		commandWith("config set", constraints{
			"name": newRegex("osd_mclock_max_capacity_iops_(hdd|ssd)"),
		}),
	},
	"mds": {
		service("mds", monAll), service("mon", R), service("osd", R),
		command("osd pool rmsnap"), command("osd blocklist"), command("osd blacklist"),
		service("log", W),
	},
	"mgr": {
		service("mgr", monAll), service("log", R|W), service("mon", R|W), service("mds", R|W),
		service("fs", R|W), service("osd", R|W), service("auth", R|W|X),
		service("config-key", R|W), service("config", R|W),
		command("auth get-or-create"), command("auth caps"), command("auth rm"), command("smart"),
	},
	"bootstrap-osd": {
		service("mon", R), service("osd", R),
		command("mon getmap"), command("osd new"), command("osd purge-new"),
	},
	"bootstrap-mds": bootstrap(constraints{
		"entity": starts("mds."), "caps_mon": is("allow profile mds"),
		"caps_osd": is("allow rwx"), "caps_mds": is("allow"),
	}),
	"bootstrap-mgr": bootstrap(constraints{
		"entity": starts("mgr."), "caps_mon": is("allow profile mgr"),
	}),
	"bootstrap-rgw": bootstrap(constraints{
		"entity": starts("client.rgw."), "caps_mon": is("allow rw"), "caps_osd": is("allow rwx"),
	}),
	"bootstrap-rbd":        bootstrapRBD("profile rbd"),
	"bootstrap-rbd-mirror": bootstrapRBD("profile rbd-mirror"),
	"fs-client":            append(readMaps[:3:3], service("mds", R)),
	"simple-rados-client":  readMaps,
	"simple-rados-client-with-blocklist": append(readMaps[:3:3], commandWith(
		"osd blocklist", constraints{"blocklistop": is("add"), "addr": newRegex(nonce)})),
	"rbd-mirror": {commandWith("config-key get", constraints{"key": starts("rbd/mirror/")})},
	"rbd-mirror-peer": {
		commandWith("config-key get", constraints{"key": newRegex("rbd/mirror/[^/]+")}),
		commandWith("config-key set", constraints{"key": starts("rbd/mirror/peer/")}),
	},
	"crash": {service("mon", R)},
	"cephfs-mirror": append(readMaps[:3:3], service("mds", R),
		commandWith("config-key get", constraints{"key": starts("cephfs/mirror/peer/")})),
	"role-definer": {service("mon", R), service("auth", monAll)},
}

// bootstrap is a key that may only make the keys of one kind of daemon.
func bootstrap(args constraints) []monGrant {
	return []monGrant{
		service("mon", R), service("osd", R), command("mon getmap"),
		commandWith("auth get-or-create", args),
	}
}

func bootstrapRBD(caps string) []monGrant {
	return []monGrant{
		service("mon", R),
		commandWith("auth get-or-create", constraints{
			"entity": starts("client."), "caps_mon": is(caps), "caps_osd": newRegex(rbdCaps),
		}),
	}
}
