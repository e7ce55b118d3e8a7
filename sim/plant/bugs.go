// Package plant is the bugs that simulations plant, to see that their checks find them: each is
// made at an edge of the daemons, in a message, in what is stored or in what a map is taken for, or
// by the simulation where it says so. What is here changes what it is given and nothing else.
package plant

// A Bug is what a run is made to do wrong.
type Bug string

// The planted bugs. They are made at the edges: the daemons' code is the same.
const (
	NoBug         Bug = ""
	NotDurable    Bug = "acknowledge before durable"    // a sync that does nothing
	LongLease     Bug = "lease too long"                // its clock runs at a quarter of the pace
	StaleTail     Bug = "overwritten entries are back"  // put into the store before it is opened
	OldMember     Bug = "passes for a lost member"      // a new store with the lost one's id
	ShortSnapshot Bug = "snapshot without its last key" // taken out on its way
)

// The planted bugs of clusters.
const (
	OSDNotDurable  Bug = "an OSD acknowledges before durable"
	ReplicaSkips   Bug = "a copy skips a write"
	ReplicaNoEntry Bug = "a copy is not told of a write"
	WrongLog       Bug = "a copy hides its newest entries"
	LogCut         Bug = "a log lacks its newest entry"
	MissingCut     Bug = "a missing set lacks an object"
	PushNoAttrs    Bug = "recovery leaves attributes out"
	PushNoOmap     Bug = "recovery leaves omap out"
	PushStale      Bug = "recovery brings other data"
	AckFar         Bug = "a copy acknowledges what it has not"
	SlotLeak       Bug = "a slot is not given back"
	LostMessage    Bug = "a session loses messages"
	SaysUnreadable Bug = "a copy says that it can't read what it has"
	AllRot         Bug = "all copies of an object rot"
	OtherID        Bug = "a request has another id when it comes again"
	// Of disks of OSDs that have the store of real ones.
	NoBarrier     Bug = "a sync of an OSD's disk does nothing"
	NoTableSynced Bug = "a sync of an OSD's database does nothing"
)

// Planted bugs of what OSDs store, of what they take the map for, and of what they say they have.
const (
	MetaNotDurable  Bug = "a flush before activation is missing"
	DivergentKept   Bug = "divergent entries stay in the log"
	SplitWithoutLog Bug = "a split leaves the log behind"
	UpThruIgnored   Bug = "up_thru is not waited for"
	MinSizeIgnored  Bug = "min_size does not count"
	FenceForgotten  Bug = "the blocklist does not count"
	LongestLog      Bug = "the longest log is chosen, not that of the last interval"
	BackfillFar     Bug = "last_backfill moves too far"
	CompleteFar     Bug = "last_complete moves too far"
	CleanTooSoon    Bug = "past intervals are forgotten too soon"
)

// Planted bugs of snapshots.
const (
	NoClones      Bug = "a write does not look at its snapshots"
	PushNoSnapSet Bug = "recovery loses what a head knows of its clones"
	PushNoTags    Bug = "recovery leaves out what a clone stands for"
	WideOverlap   Bug = "a clone is said to share more than it does"
	TrimLive      Bug = "a snapshot that is there is trimmed"
	TrimOnce      Bug = "a clone that is trimmed stays"
	OldPoolSnaps  Bug = "an OSD takes the pool's snapshots for those of a while ago"
	PurgedTooSoon Bug = "a snapshot is purged before it is trimmed"
)

// Planted bugs of watches. FenceForgotten is one, too.
const (
	WatcherSkipped Bug = "a notify skips a watcher"
	WatchForgotten Bug = "a watch is forgotten when its PG has another primary"
	ToldTwice      Bug = "a watcher is told twice"
	AnswersForAll  Bug = "an answer counts for all watches of a client"
)
