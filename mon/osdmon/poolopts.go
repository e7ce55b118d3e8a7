package osdmon

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/internal/cephjson"
	"glue/mon/service"
)

// csumNames are the checksum types by their number (Checksummer::CSumType); 0 is none such.
var csumNames = []string{"", "none", "xxhash32", "xxhash64", "crc32c", "crc32c_16", "crc32c_8"}

// An optionRule is how the value of an optional setting is read and what it may be. Without a row
// a setting is what its type says.
type optionRule struct {
	units  bool   // K, M, ... are understood
	called string // the type, in the complaint about a value that is none
	words  []string
	what   string // the setting, in the complaint about an unknown word
	check  func(s *Service, x *poolSetting, v osdmap.OptValue) *service.Answer
}

var optionRules = map[osdmap.PoolOpt]optionRule{
	osdmap.OptCompressionMode: {what: "compression mode",
		words: []string{"none", "passive", "aggressive", "force"}},
	osdmap.OptCompressionAlgorithm: {what: "compression_algorithm",
		words: []string{"none", "snappy", "zlib", "zstd", "lz4"}},
	osdmap.OptCompressionMaxBlobSize: {units: true},
	osdmap.OptCompressionMinBlobSize: {units: true},
	osdmap.OptCsumMaxBlock:           {units: true},
	osdmap.OptCsumMinBlock:           {units: true},
	osdmap.OptTargetSizeBytes:        {units: true, called: "unit"},
	osdmap.OptScrubPriority:          {called: "integer"},
	osdmap.OptRecoveryOpPriority:     {called: "integer"},
	osdmap.OptCompressionRequiredRatio: {called: "float",
		check: within(0, 1, "compression_required_ratio is out of range (0-1): 'VALUE'")},
	osdmap.OptPGAutoscaleBias: {
		check: within(0, 1000, "pg_autoscale_bias must be between 0 and 1000")},
	osdmap.OptTargetSizeRatio: {
		check: within(0, math.MaxFloat64, "target_size_ratio cannot be negative")},
	osdmap.OptRecoveryPriority: {
		check: within(-10, 10, "pool recovery_priority must be between -10 and 10")},
	osdmap.OptPGNumMin: {check: checkPGNumMin},
	osdmap.OptPGNumMax: {check: checkPGNumMax},
}

func checkPGNumMin(_ *Service, x *poolSetting, v osdmap.OptValue) *service.Answer {
	if n := x.p.PGNumTarget; v.Int > int64(n) {
		return x.fail(ceph.EINVAL, "specified pg_num_min %d > pg_num %d", v.Int, n)
	}
	return nil
}

func checkPGNumMax(_ *Service, x *poolSetting, v osdmap.OptValue) *service.Answer {
	if n := x.p.PGNumTarget; v.Int != 0 && v.Int < int64(n) {
		return x.fail(ceph.EINVAL, "specified pg_num_max %d < pg_num %d", v.Int, n)
	}
	return nil
}

// within refuses numbers outside of a range; VALUE in the text stands for what was given.
func within(low, high float64, text string,
) func(*Service, *poolSetting, osdmap.OptValue) *service.Answer {
	return func(_ *Service, x *poolSetting, v osdmap.OptValue) *service.Answer {
		n := v.Float
		if v.Type == osdmap.OptInt {
			n = float64(v.Int)
		}
		if n >= low && n <= high {
			return nil
		}
		return x.fail(ceph.EINVAL, "%s", strings.ReplaceAll(text, "VALUE", x.value))
	}
}

// setOption sets one of the pool's optional settings; "unset" of a word and 0 of a number
// takes it away.
func (s *Service) setOption(d osdmap.OptDesc, x *poolSetting) *service.Answer {
	rule := optionRules[d.Opt]
	v, bad := optionFrom(d, rule, x)
	if bad == nil && rule.check != nil {
		bad = rule.check(s, x, v)
	}
	switch {
	case bad != nil:
		return bad
	case (v.Type == osdmap.OptStr || d.Opt == osdmap.OptCsumType) && x.value == "unset":
		delete(x.p.Opts, d.Opt)
		x.said = fmt.Sprintf("unset pool %d %s", x.id, d.Name)
	case v.Type != osdmap.OptStr && v.Int == 0 && v.Float == 0:
		delete(x.p.Opts, d.Opt)
	default:
		put(&x.p.Opts, d.Opt, v)
	}
	return nil
}

// optionFrom reads a value.
func optionFrom(d osdmap.OptDesc, rule optionRule, x *poolSetting,
) (v osdmap.OptValue, bad *service.Answer) {
	v.Type = d.Type
	switch {
	case d.Opt == osdmap.OptCsumType:
		v.Int, bad = csumNumber(x)
	case d.Opt == osdmap.OptDedupTier:
		bad = x.fail(ceph.EOPNOTSUPP, "deduplication is not available in this release of Glue")
	case d.Type == osdmap.OptStr:
		v.Str = x.value
		known := rule.words == nil || slices.Contains(rule.words, v.Str)
		if !known && x.value != "unset" {
			bad = x.fail(ceph.EINVAL, "unrecognized %s '%s'", rule.what, v.Str)
		}
	case d.Type == osdmap.OptInt:
		v.Int, bad = optionInt(rule, x)
	default:
		v.Float, bad = optionFloat(rule, x)
	}
	return v, bad
}

func csumNumber(x *poolSetting) (int64, *service.Answer) {
	for i, name := range csumNames {
		if i > 0 && name == x.value {
			return int64(i), nil
		}
	}
	if x.value == "unset" {
		return 0, nil
	}
	return 0, x.fail(ceph.EINVAL, "unrecognized csum_type '%s'", x.value)
}

func optionInt(rule optionRule, x *poolSetting) (int64, *service.Answer) {
	called := rule.called
	if called == "" {
		called = "int"
	}
	n, err := strconv.ParseInt(x.value, 10, 64)
	if err == nil {
		return n, nil
	}
	if !rule.units {
		return 0, x.fail(ceph.EINVAL, "error parsing %s value '%s': Expected option value to be "+
			"integer, got '%s'", called, x.value, x.value)
	}
	u, err := parseUnits(x.value, 1024)
	if err == nil && u > 1<<62 {
		err = fmt.Errorf("strict_iecstrtoll: value seems to be too large")
	}
	if err != nil {
		return 0, x.fail(ceph.EINVAL, "error parsing %s value '%s': %v", called, x.value, err)
	}
	return int64(u), nil
}

func optionFloat(rule optionRule, x *poolSetting) (float64, *service.Answer) {
	called := rule.called
	if called == "" {
		called = "floating point"
	}
	f, err := strconv.ParseFloat(x.value, 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return 0, x.fail(ceph.EINVAL, "error parsing %s value '%s': strict_strtod: expected "+
			"double, got: '%s'", called, x.value, x.value)
	}
	return f, nil
}

// optionValue is an optional setting for JSON and for text.
func optionValue(opt osdmap.PoolOpt, v osdmap.OptValue) (any, string) {
	switch {
	case opt == osdmap.OptCsumType && v.Int > 0 && v.Int < int64(len(csumNames)):
		return csumNames[v.Int], csumNames[v.Int]
	case v.Type == osdmap.OptInt:
		return v.Int, fmt.Sprint(v.Int)
	case v.Type == osdmap.OptDouble:
		return cephjson.Float(v.Float), plainNumber(v.Float)
	}
	return v.Str, v.Str
}

func findOption(name string) (osdmap.OptDesc, bool) {
	i := slices.IndexFunc(osdmap.PoolOpts, func(d osdmap.OptDesc) bool { return d.Name == name })
	if i < 0 {
		return osdmap.OptDesc{}, false
	}
	return osdmap.PoolOpts[i], true
}
