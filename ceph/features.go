package ceph

// Feature bits (include/ceph_features.h). A bit of a later incarnation counts only together with
// the incarnation's own bit.
const (
	FeatureNautilus       = 1<<2 | incarnation3
	FeatureSubscribe2     = 1 << 4
	FeaturePGID64         = 1 << 9
	FeatureOSDReplyMux    = 1 << 12
	FeatureOctopus        = 1<<16 | incarnation3
	FeaturePacific        = 1<<20 | incarnation3
	FeatureLuminous       = 1<<21 | incarnation2
	FeatureMimic          = incarnation3
	FeatureRangeBlocklist = 1<<34 | incarnation3
	FeatureNewOSDOp       = 1 << 56
	FeatureServerJewel    = incarnation2
	FeatureMsgAddr2       = 1 << 59

	incarnation2 = 1 << 57
	incarnation3 = 1<<28 | incarnation2

	// FeaturesAll is what stock 16.2.15 daemons and clients advertise, and what Glue does.
	FeaturesAll uint64 = 0x3f01cfbdfffdffff
	// FeaturesRequired is what Glue's daemons ask of every peer.
	FeaturesRequired uint64 = FeatureMsgAddr2 | incarnation3
)
