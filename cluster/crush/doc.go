// Package crush is Ceph's placement function and the map it runs on: the hierarchy of buckets,
// the rules that draw devices from it, device classes with their shadow trees, weight sets, the
// binary and the text form, and the edits that the monitor's commands make.
//
// Invariant: Do gives, to the bit, what every stock Ceph 16.2 client computes from the same map;
// a difference would send data where nobody looks for it. No map, however hostile, makes Do, the
// decoder or a tree walk loop or allocate without limit.
//
// A Map is an ordinary value until it is published; from then on nobody changes it and any
// number of goroutines may call its reading methods (all but those in the edit*.go files). To
// change a published map, Clone it, edit the clone and publish that.
//
// The algorithm is "CRUSH: Controlled, Scalable, Decentralized Placement of Replicated Data"
// (Weil et al., 2006) with the later straw2 buckets; formats follow Ceph's crush/ folder.
package crush
