// Package resize is what an OSD needs to know when a pool's number of PGs changes, apart from the
// copies themselves: which maps do that, how the objects of a PG that was split are counted anew,
// and when two PGs are ready to be merged (docs/osd.md, "Split and merge").
//
// Its types belong to one goroutine each and have no clock and no lock.
package resize
