package crush

import (
	"fmt"

	"glue/ceph"
)

// defaultTypes are the types of every new cluster, by number.
var defaultTypes = []string{
	"osd", "host", "chassis", "rack", "row", "pdu", "pod", "room", "datacenter", "zone", "region",
	"root",
}

// Default is the map of a new cluster (build_simple_crush_map): the stock types, a root
// "default", and "replicated_rule" over failureDomain, usually "host". With osds > 0 that many
// devices of weight 1 are on one host in one rack.
func Default(osds int, failureDomain string) (*Map, error) {
	m := New()
	for t, name := range defaultTypes {
		m.Types[int32(t)] = name
	}
	if _, err := m.AddBucket(0, 0, uint16(len(defaultTypes)-1), "default"); err != nil {
		return nil, err
	}
	if osds < 0 || osds > MaxDevice {
		return nil, fail(ceph.EINVAL, "a map can't have %d devices", osds)
	}
	loc := Location{"host": "localhost", "rack": "localrack", "root": "default"}
	for id := range int32(osds) {
		if err := m.InsertItem(id, 0x10000, fmt.Sprintf("osd.%d", id), loc); err != nil {
			return nil, err
		}
	}
	_, err := m.AddSimpleRule(SimpleRule{
		Name: "replicated_rule", Root: "default", FailureDomain: failureDomain,
		Type: TypeReplicated,
	})
	if err != nil {
		return nil, err
	}
	return m, m.finalize()
}
