// Package reserve decides which PGs of an OSD may recover or backfill at a time, and in which
// order: a Reserver hands out slots by priority (AsyncReserver), a Claim is one PG's way to the
// slots that it needs on its own OSD and on others, and the priorities are those of Ceph 16.2.
//
// Invariants: a Reserver never grants more slots than it has, except when there are made fewer of
// them; nobody of a lower priority that can be pre-empted holds a slot while one of a higher waits;
// a Claim asks for the slot of its own OSD first and then of the others in ascending order, one at
// a time, so that claims never wait for each other in a circle. Nothing here knows a clock, a lock
// or a message; the owner keeps the calls in one order.
package reserve
