package osdmap

import (
	"fmt"
	"maps"
	"slices"

	"glue/internal/cephjson"
)

// PoolDump is one element of "pools" of `ceph osd dump`, and of `osd pool ls detail` with PoolID
// and PoolName under other names.
type PoolDump struct {
	Pool     int64  `json:"pool"`
	PoolName string `json:"pool_name"`
	PoolBody
}

// PoolLsDump is one element of `ceph osd pool ls detail -f json`.
type PoolLsDump struct {
	PoolID   int64  `json:"pool_id"`
	PoolName string `json:"pool_name"`
	PoolBody
}

// apps is metadata by application.
type apps = map[string]map[string]string

// PoolBody is what both have (pg_pool_t::dump).
type PoolBody struct {
	CreateTime              string          `json:"create_time"`
	Flags                   PoolFlags       `json:"flags"`
	FlagsNames              string          `json:"flags_names"`
	Type                    PoolType        `json:"type"`
	Size                    int             `json:"size"`
	MinSize                 int             `json:"min_size"`
	CrushRule               int             `json:"crush_rule"`
	PeeringBucketCount      int32           `json:"peering_crush_bucket_count"`
	PeeringBucketTarget     int32           `json:"peering_crush_bucket_target"`
	PeeringBucketBarrier    int32           `json:"peering_crush_bucket_barrier"`
	PeeringBucketMandatory  int32           `json:"peering_crush_bucket_mandatory_member"`
	ObjectHash              int             `json:"object_hash"`
	Autoscale               string          `json:"pg_autoscale_mode"`
	PGNum                   uint32          `json:"pg_num"`
	PGPNum                  uint32          `json:"pg_placement_num"`
	PGPNumTarget            uint32          `json:"pg_placement_num_target"`
	PGNumTarget             uint32          `json:"pg_num_target"`
	PGNumPending            uint32          `json:"pg_num_pending"`
	LastPGMerge             PGMergeDump     `json:"last_pg_merge_meta"`
	LastChange              string          `json:"last_change"`
	LastForceResend         string          `json:"last_force_op_resend"`
	LastForceResendNautilus string          `json:"last_force_op_resend_prenautilus"`
	LastForceResendLuminous string          `json:"last_force_op_resend_preluminous"`
	AUID                    uint64          `json:"auid"`
	SnapMode                string          `json:"snap_mode"`
	SnapSeq                 uint64          `json:"snap_seq"`
	SnapEpoch               uint32          `json:"snap_epoch"`
	PoolSnaps               []PoolSnapDump  `json:"pool_snaps"`
	RemovedSnaps            string          `json:"removed_snaps"`
	QuotaMaxBytes           uint64          `json:"quota_max_bytes"`
	QuotaMaxObjects         uint64          `json:"quota_max_objects"`
	Tiers                   []uint64        `json:"tiers"`
	TierOf                  int64           `json:"tier_of"`
	ReadTier                int64           `json:"read_tier"`
	WriteTier               int64           `json:"write_tier"`
	CacheMode               string          `json:"cache_mode"`
	TargetMaxBytes          uint64          `json:"target_max_bytes"`
	TargetMaxObjects        uint64          `json:"target_max_objects"`
	CacheTargetDirtyMicro   uint32          `json:"cache_target_dirty_ratio_micro"`
	CacheTargetDirtyHigh    uint32          `json:"cache_target_dirty_high_ratio_micro"`
	CacheTargetFullMicro    uint32          `json:"cache_target_full_ratio_micro"`
	CacheMinFlushAge        uint32          `json:"cache_min_flush_age"`
	CacheMinEvictAge        uint32          `json:"cache_min_evict_age"`
	ECProfile               string          `json:"erasure_code_profile"`
	HitSetParams            cephjson.Object `json:"hit_set_params"`
	HitSetPeriod            uint32          `json:"hit_set_period"`
	HitSetCount             uint32          `json:"hit_set_count"`
	UseGMTHitSet            bool            `json:"use_gmt_hitset"`
	MinReadRecency          uint32          `json:"min_read_recency_for_promote"`
	MinWriteRecency         uint32          `json:"min_write_recency_for_promote"`
	HitSetGradeDecay        uint32          `json:"hit_set_grade_decay_rate"`
	HitSetSearchLastN       uint32          `json:"hit_set_search_last_n"`
	GradeTable              []uint32        `json:"grade_table"`
	StripeWidth             uint32          `json:"stripe_width"`
	ExpectedNumObjects      uint64          `json:"expected_num_objects"`
	FastRead                bool            `json:"fast_read"`
	Options                 cephjson.Object `json:"options"`
	Applications            apps            `json:"application_metadata"`
}

// PGMergeDump is "last_pg_merge_meta".
type PGMergeDump struct {
	Source           string `json:"source_pgid"`
	ReadyEpoch       uint32 `json:"ready_epoch"`
	LastEpochStarted uint32 `json:"last_epoch_started"`
	LastEpochClean   uint32 `json:"last_epoch_clean"`
	SourceVersion    string `json:"source_version"`
	TargetVersion    string `json:"target_version"`
}

// PoolSnapDump is one element of "pool_snaps".
type PoolSnapDump struct {
	ID    uint64 `json:"snapid"`
	Stamp string `json:"stamp"`
	Name  string `json:"name"`
}

// DumpPool is a pool's element of "pools".
func (m *Map) DumpPool(id int64) PoolDump {
	return PoolDump{id, m.PoolName(id), m.Pools[id].dump()}
}

// DumpPoolLs is a pool's element of `osd pool ls detail`.
func (m *Map) DumpPoolLs(id int64) PoolLsDump {
	return PoolLsDump{id, m.PoolName(id), m.Pools[id].dump()}
}

func (p *Pool) dump() PoolBody {
	d := PoolBody{
		CreateTime: p.CreateTime.String(), Flags: p.Flags, FlagsNames: p.Flags.String(),
		Type: p.Type, Size: int(p.Size), MinSize: int(p.MinSize), CrushRule: int(p.CrushRule),
		PeeringBucketCount:     int32(p.PeeringBucketCount),
		PeeringBucketTarget:    int32(p.PeeringBucketTarget),
		PeeringBucketBarrier:   int32(p.PeeringBucketBarrier),
		PeeringBucketMandatory: p.PeeringBucketMandatory, ObjectHash: int(p.ObjectHash),
		Autoscale: p.Autoscale.String(), PGNum: p.PGNum, PGPNum: p.PGPNum,
		PGPNumTarget: p.PGPNumTarget, PGNumTarget: p.PGNumTarget, PGNumPending: p.PGNumPending,
		LastPGMerge: p.LastPGMerge.dump(), LastChange: fmt.Sprint(p.LastChange),
		LastForceResend:         fmt.Sprint(p.LastForceResend),
		LastForceResendNautilus: fmt.Sprint(p.LastForceResendPrenautilus),
		LastForceResendLuminous: fmt.Sprint(p.LastForceResendPreluminous), AUID: p.AUID,
		SnapMode: "selfmanaged", SnapSeq: uint64(p.SnapSeq), SnapEpoch: uint32(p.SnapEpoch),
		PoolSnaps: []PoolSnapDump{}, RemovedSnaps: FormatSnaps(p.RemovedSnaps),
		QuotaMaxBytes: p.QuotaMaxBytes, QuotaMaxObjects: p.QuotaMaxObjects,
		Tiers: notNil(p.Tiers), TierOf: p.TierOf, ReadTier: p.ReadTier, WriteTier: p.WriteTier,
		CacheMode: p.CacheMode.String(), TargetMaxBytes: p.TargetMaxBytes,
		TargetMaxObjects:      p.TargetMaxObjects,
		CacheTargetDirtyMicro: p.CacheTargetDirtyRatioMicro,
		CacheTargetDirtyHigh:  p.CacheTargetDirtyHighMicro,
		CacheTargetFullMicro:  p.CacheTargetFullRatioMicro,
		CacheMinFlushAge:      p.CacheMinFlushAge, CacheMinEvictAge: p.CacheMinEvictAge,
		ECProfile: p.ECProfile, HitSetParams: p.HitSet.dump(), HitSetPeriod: p.HitSetPeriod,
		HitSetCount: p.HitSetCount, UseGMTHitSet: p.UseGMTHitSet,
		MinReadRecency: p.MinReadRecency, MinWriteRecency: p.MinWriteRecency,
		HitSetGradeDecay: p.HitSetGradeDecay, HitSetSearchLastN: p.HitSetSearchLastN,
		GradeTable: p.gradeTable(), StripeWidth: p.StripeWidth,
		ExpectedNumObjects: p.ExpectedNumObjects, FastRead: p.FastRead,
		Options: p.dumpOptions(), Applications: apps{},
	}
	if p.Flags.Has(PoolPoolSnaps) {
		d.SnapMode = "pool"
	}
	for _, id := range slices.Sorted(maps.Keys(p.Snaps)) {
		s := p.Snaps[id]
		d.PoolSnaps = append(d.PoolSnaps, PoolSnapDump{uint64(s.ID), s.Stamp.String(), s.Name})
	}
	for app, kv := range p.Applications {
		if kv == nil {
			kv = map[string]string{}
		}
		d.Applications[app] = kv
	}
	return d
}

func (g *PGMerge) dump() PGMergeDump {
	return PGMergeDump{
		g.Source.String(), uint32(g.ReadyEpoch), uint32(g.LastEpochStarted),
		uint32(g.LastEpochClean), g.SourceVersion.String(), g.TargetVersion.String(),
	}
}

var hitSetNames = []string{"none", "explicit_hash", "explicit_object", "bloom"}

func (h *HitSetParams) name() string {
	if int(h.Type) < len(hitSetNames) {
		return hitSetNames[h.Type]
	}
	return "???"
}

func (h *HitSetParams) dump() cephjson.Object {
	o := cephjson.Object{{Key: "type", Value: h.name()}}
	if h.Type == hitSetBloom {
		o = append(o, cephjson.Object{
			{Key: "false_positive_probability", Value: cephjson.Float(h.fpp())},
			{Key: "target_size", Value: int64(h.TargetSize)}, {Key: "seed", Value: int64(h.Seed)},
		}...)
	}
	return o
}

func (h *HitSetParams) fpp() float64 { return float64(h.FPPMicro) / 1e6 }

// maxGrades bounds the list that a map from anywhere can make us print.
const maxGrades = 1 << 16

// gradeTable is how much each older hit set counts, in millionths.
func (p *Pool) gradeTable() []uint32 {
	out := []uint32{}
	v := uint32(1000000)
	for range min(p.HitSetCount, maxGrades) {
		v = uint32(float64(v) * (1 - float64(p.HitSetGradeDecay)/100))
		out = append(out, v)
	}
	return out
}

func (p *Pool) dumpOptions() cephjson.Object {
	o := cephjson.Object{}
	for _, d := range PoolOpts {
		v, ok := p.Opts[d.Opt]
		if !ok {
			continue
		}
		var value any = v.Str
		switch v.Type {
		case OptInt:
			value = v.Int
		case OptDouble:
			value = cephjson.Float(v.Float)
		}
		o = append(o, cephjson.Member{Key: d.Name, Value: value})
	}
	return o
}
