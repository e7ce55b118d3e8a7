package pginfo

import (
	"strconv"

	"glue/ceph"
	"glue/cluster/pgstat"
	"glue/internal/cephjson"
)

// HistoryDump is "history" of `ceph pg PG query`.
type HistoryDump struct {
	EpochCreated         ceph.Epoch     `json:"epoch_created"`
	EpochPoolCreated     ceph.Epoch     `json:"epoch_pool_created"`
	LastEpochStarted     ceph.Epoch     `json:"last_epoch_started"`
	LastIntervalStarted  ceph.Epoch     `json:"last_interval_started"`
	LastEpochClean       ceph.Epoch     `json:"last_epoch_clean"`
	LastIntervalClean    ceph.Epoch     `json:"last_interval_clean"`
	LastEpochSplit       ceph.Epoch     `json:"last_epoch_split"`
	LastEpochMarkedFull  ceph.Epoch     `json:"last_epoch_marked_full"`
	SameUpSince          ceph.Epoch     `json:"same_up_since"`
	SameIntervalSince    ceph.Epoch     `json:"same_interval_since"`
	SamePrimarySince     ceph.Epoch     `json:"same_primary_since"`
	LastScrub            string         `json:"last_scrub"`
	LastScrubStamp       string         `json:"last_scrub_stamp"`
	LastDeepScrub        string         `json:"last_deep_scrub"`
	LastDeepScrubStamp   string         `json:"last_deep_scrub_stamp"`
	LastCleanScrubStamp  string         `json:"last_clean_scrub_stamp"`
	PriorReadableUntilUB cephjson.Float `json:"prior_readable_until_ub"`
}

// Dump is the history as `ceph pg PG query` shows it.
func (h *History) Dump() HistoryDump {
	return HistoryDump{
		EpochCreated: h.EpochCreated, EpochPoolCreated: h.EpochPoolCreated,
		LastEpochStarted: h.LastEpochStarted, LastIntervalStarted: h.LastIntervalStarted,
		LastEpochClean: h.LastEpochClean, LastIntervalClean: h.LastIntervalClean,
		LastEpochSplit: h.LastEpochSplit, SameUpSince: h.SameUpSince,
		SameIntervalSince: h.SameIntervalSince, SamePrimarySince: h.SamePrimarySince,
		LastScrub: h.LastScrub.String(), LastScrubStamp: h.LastScrubStamp.String(),
		LastDeepScrub: h.LastDeepScrub.String(), LastDeepScrubStamp: h.LastDeepScrubStamp.String(),
		LastCleanScrubStamp: h.LastCleanScrubStamp.String(),
	}
}

// InfoDump is "info", and with Peer set an element of "peer_info", of `ceph pg PG query`.
type InfoDump struct {
	Peer             string                `json:"peer,omitempty"`
	PGID             string                `json:"pgid"`
	LastUpdate       string                `json:"last_update"`
	LastComplete     string                `json:"last_complete"`
	LogTail          string                `json:"log_tail"`
	LastUserVersion  uint64                `json:"last_user_version"`
	LastBackfill     string                `json:"last_backfill"`
	PurgedSnaps      []pgstat.IntervalDump `json:"purged_snaps"`
	History          HistoryDump           `json:"history"`
	Stats            pgstat.PGBody         `json:"stats"`
	Empty            int                   `json:"empty"`
	DNE              int                   `json:"dne"`
	Incomplete       int                   `json:"incomplete"`
	LastEpochStarted ceph.Epoch            `json:"last_epoch_started"`
	HitSetHistory    HitSetDump            `json:"hit_set_history"`
}

// HitSetDump is "hit_set_history".
type HitSetDump struct {
	CurrentLastUpdate string   `json:"current_last_update"`
	History           []string `json:"history"`
}

// Dump is the info as `ceph pg PG query` shows it, with the statistics that the primary has of the
// PG (a zero value for peers).
func (i *Info) Dump(stats *pgstat.PG) InfoDump {
	flag := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	st := stats.Dump()
	return InfoDump{
		PGID: i.PGID.String(), LastUpdate: i.LastUpdate.String(),
		LastComplete: i.LastComplete.String(), LogTail: i.LogTail.String(),
		LastUserVersion: i.LastUserVersion, LastBackfill: i.LastBackfill.String(),
		PurgedSnaps: st.PurgedSnaps, History: i.History.Dump(), Stats: st,
		Empty: flag(i.IsEmpty()), DNE: flag(i.DNE()), Incomplete: flag(i.IsIncomplete()),
		LastEpochStarted: i.LastEpochStarted,
		HitSetHistory:    HitSetDump{ceph.Eversion{}.String(), []string{}},
	}
}

// DumpPeer is Dump as an element of "peer_info".
func (i *Info) DumpPeer(peer ceph.PGShard) InfoDump {
	d := i.Dump(&pgstat.PG{})
	d.Peer = peer.String()
	return d
}

var logOpNames = map[LogOp]string{
	LogModify: "modify", LogClone: "clone", LogDelete: "delete", LogError: "error",
}

// String is the operation's name in `ceph pg PG log` and in logs.
func (o LogOp) String() string {
	if s, ok := logOpNames[o]; ok {
		return s
	}
	return "unknown op " + strconv.Itoa(int(o))
}
