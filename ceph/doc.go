// Package ceph holds the nouns of a Ceph cluster: epochs, versions, placement groups, object
// names, entities, addresses, errno and feature bits, each with its wire format and the text form
// that Ceph's tools print. All are plain values without behaviour beyond parsing, printing and
// ordering; any goroutine may use them. Sources of the formats: osd/osd_types.h, msg/msg_types.h,
// common/hobject.h, include/ceph_features.h of Ceph 16.2.
package ceph
