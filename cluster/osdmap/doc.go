// Package osdmap is the map that every client and daemon places objects with: which OSDs exist,
// where they are, whether they are up and in, the pools, and the exceptions to CRUSH's placement
// (pg_temp, upmap, primary affinity).
//
// A Map is a value that is never changed once it has been handed out; Apply makes the next epoch
// and shares what did not change. Any goroutine may read a published Map. Everything here is a
// pure function of its arguments. The formats follow osd/OSDMap.cc and osd/osd_types.cc of Ceph
// 16.2.15, byte for byte, since monitors, OSDs and clients compare checksums of the encoding.
package osdmap
