// Package caps reads the capability texts of entities and decides what they allow. A text is
// parsed once, when a session starts; matching allocates nothing on the usual paths. What no grant
// allows is refused. It is pure, and parsed values are immutable: any goroutine may match.
// The grammars are those of mon/MonCap.cc, osd/OSDCap.cc, mgr/MgrCap.cc and mds/MDSAuthCaps.cc of
// Ceph 16.2.
package caps
