package msgr

import (
	"strings"

	"glue/ceph"
)

// ConfiguredModes gives the modes between an entity of our type and a type of peer, in either
// role, as the options ms_*_mode say (AuthRegistry::get_supported_modes). option is asked at each
// connection; a value that names no mode means the default.
func ConfiguredModes(
	self ceph.EntityType, option func(name string) string,
) func(peer ceph.EntityType) []Mode {
	return func(peer ceph.EntityType) []Mode {
		name, def := modeOption(self, peer)
		if m := parseModes(option(name)); len(m) > 0 {
			return m
		}
		return def
	}
}

// ConfiguredSigning says whether messages of msgr v1 are signed, as cephx_sign_messages has it.
// Where signatures are required they are made and checked whatever that says.
func ConfiguredSigning(option func(name string) string) func() bool {
	return func() bool {
		return option("cephx_sign_messages") != "false" ||
			option("cephx_require_signatures") == "true" ||
			option("cephx_service_require_signatures") == "true"
	}
}

var (
	secureFirst = []Mode{ModeSecure, ModeCRC}
	crcFirst    = []Mode{ModeCRC, ModeSecure}
)

// modeOption names the option that decides, and its default.
func modeOption(self, peer ceph.EntityType) (name string, def []Mode) {
	monitor := peer == ceph.TypeMon || peer == ceph.TypeMgr
	switch self {
	case ceph.TypeMon, ceph.TypeMgr:
		if monitor {
			return "ms_mon_cluster_mode", secureFirst
		}
		return "ms_mon_service_mode", secureFirst
	case ceph.TypeOSD, ceph.TypeMDS:
		switch {
		case monitor:
			return "ms_mon_cluster_mode", secureFirst
		case peer == ceph.TypeOSD || peer == ceph.TypeMDS:
			return "ms_cluster_mode", crcFirst
		}
		return "ms_service_mode", crcFirst
	}
	if monitor {
		return "ms_mon_client_mode", secureFirst
	}
	return "ms_client_mode", crcFirst
}

// parseModes reads "secure crc"; words that are no mode are passed over.
func parseModes(text string) []Mode {
	var out []Mode
	separator := func(r rune) bool { return strings.ContainsRune(" ,;\t", r) }
	for _, w := range strings.FieldsFunc(text, separator) {
		switch w {
		case "crc":
			out = append(out, ModeCRC)
		case "secure":
			out = append(out, ModeSecure)
		}
	}
	return out
}
