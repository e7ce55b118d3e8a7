package pgstat

import (
	"fmt"
	"slices"
	"strings"

	"glue/internal/cephjson"
)

// states lists the states by falling number of PGs; of equal numbers the higher state first.
func (d *Digest) states() []State {
	var out []State
	for s := range d.ByState {
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b State) int {
		if n, m := d.ByState[a], d.ByState[b]; n != m {
			return int(m - n)
		}
		if a > b {
			return -1
		}
		return 1
	})
	return out
}

type members []cephjson.Member

func (o *members) put(key string, value any) {
	*o = append(*o, cephjson.Member{Key: key, Value: value})
}

// Status is the "pgmap" part of `ceph -s -f json`.
func (d *Digest) Status() cephjson.Object {
	byState := []any{}
	for _, s := range d.states() {
		byState = append(byState, struct {
			State string `json:"state_name"`
			Count int32  `json:"count"`
		}{s.String(), d.ByState[s]})
	}
	var o members
	sum, fs := &d.Sum.Stats.Sum, &d.OSDSum.Statfs
	o.put("pgs_by_state", byState)
	o.put("num_pgs", d.NumPG)
	o.put("num_pools", len(d.Pools))
	o.put("num_objects", sum.Objects)
	o.put("data_bytes", sum.Bytes)
	o.put("bytes_used", fs.UsedRaw())
	o.put("bytes_avail", fs.Available)
	o.put("bytes_total", fs.Total)
	if d.NumPGUnknown > 0 {
		o.put("unknown_pgs_ratio", cephjson.Float(float32(d.NumPGUnknown)/float32(d.NumPG)))
	}
	if n := d.NumPG - d.NumPGActive - d.NumPGUnknown; n > 0 {
		o.put("inactive_pgs_ratio", cephjson.Float(float32(n)/float32(d.NumPG)))
	}
	o = append(o, recoveryDump(sum)...)
	o = append(o, recoveryRateDump(d.Delta)...)
	o = append(o, clientRateDump(d.Delta)...)
	o = append(o, cacheRateDump(d.Delta)...)
	return cephjson.Object(o)
}

// pad is what lines up with the text after "    pgs:     ".
const pad = "             "

// StatusText is the lines below "  data:" of `ceph -s`, and the "  io:" block if there is any.
func (d *Digest) StatusText() string {
	var b strings.Builder
	sum, fs := &d.Sum.Stats.Sum, &d.OSDSum.Statfs
	fmt.Fprintf(&b, "    pools:   %d pools, %d pgs\n", len(d.Pools), d.NumPG)
	fmt.Fprintf(&b, "    objects: %s objects, %s\n", FormatCount(uint64(sum.Objects)),
		FormatBytes(uint64(sum.Bytes)))
	fmt.Fprintf(&b, "    usage:   %s used, %s / %s avail\n", FormatBytes(fs.UsedRaw()),
		FormatBytes(fs.Available), FormatBytes(fs.Total))
	b.WriteString("    pgs:     " + strings.Join(d.pgLines(), pad))
	if io := d.ioLines(); len(io) > 0 {
		b.WriteString(" \n  io:\n" + strings.Join(io, ""))
	}
	return b.String()
}

// pgLines is the lines about PGs, each with its newline.
func (d *Digest) pgLines() []string {
	var out []string
	share := func(n int32, what string) {
		if n > 0 {
			out = append(out, fmt.Sprintf("%.3f%% pgs %s\n",
				float64(float32(n)/float32(d.NumPG))*100, what))
		}
	}
	share(d.NumPGUnknown, "unknown")
	share(d.NumPG-d.NumPGActive-d.NumPGUnknown, "not active")
	for _, l := range recoveryLines(&d.Sum.Stats.Sum) {
		out = append(out, l+"\n")
	}
	width := 1
	for _, n := range d.ByState {
		width = max(width, len(fmt.Sprint(n)))
	}
	for _, s := range d.states() {
		out = append(out, fmt.Sprintf("%-*d %v\n", width, d.ByState[s], s))
	}
	return out
}

func (d *Digest) ioLines() []string {
	var out []string
	for _, l := range []struct{ word, text string }{
		{"    client:   ", clientRate(d.Delta)}, {"    recovery: ", recoveryRate(d.Delta)},
		{"    cache:    ", cacheRate(d.Delta)},
	} {
		if l.text != "" {
			out = append(out, l.word+l.text+"\n")
		}
	}
	return out
}

// A shortfall is one way in which objects are not as they should be.
type shortfall struct {
	word     string
	n, total int64
}

func shortfalls(s *Sum) []shortfall {
	var out []shortfall
	for _, f := range []shortfall{
		{"degraded", s.ObjectsDegraded, s.ObjectCopies},
		{"misplaced", s.ObjectsMisplaced, s.ObjectCopies},
		{"unfound", s.ObjectsUnfound, s.Objects},
	} {
		if f.n != 0 && f.total > 0 {
			out = append(out, f)
		}
	}
	return out
}

// recoveryLines says which objects are degraded, misplaced and unfound.
func recoveryLines(s *Sum) []string {
	var out []string
	for _, f := range shortfalls(s) {
		out = append(out, fmt.Sprintf("%d/%d objects %s (%.3f%%)", f.n, f.total, f.word,
			float64(f.n)/float64(f.total)*100))
	}
	return out
}

func recoveryDump(s *Sum) members {
	var o members
	for _, f := range shortfalls(s) {
		o.put(f.word+"_objects", f.n)
		o.put(f.word+"_total", f.total)
		o.put(f.word+"_ratio", cephjson.Float(float64(f.n)/float64(f.total)*100/100))
	}
	return o
}

func recoveryRate(d Delta) string {
	s := d.positive()
	if s.ObjectsRecovered|s.BytesRecovered|s.KeysRecovered == 0 {
		return ""
	}
	out := perSecond(d.rate(s.BytesRecovered))
	if s.KeysRecovered != 0 {
		out += ", " + FormatCount(uint64(d.rate(s.KeysRecovered))) + " keys/s"
	}
	return out + ", " + FormatCount(uint64(d.rate(s.ObjectsRecovered))) + " objects/s"
}

func perSecond(bytes int64) string { return FormatBytes(uint64(bytes)) + "/s" }

func recoveryRateDump(d Delta) members {
	s := d.positive()
	var o members
	if s.ObjectsRecovered|s.BytesRecovered|s.KeysRecovered == 0 {
		return o
	}
	o.put("recovering_objects_per_sec", d.rate(s.ObjectsRecovered))
	o.put("recovering_bytes_per_sec", d.rate(s.BytesRecovered))
	o.put("recovering_keys_per_sec", d.rate(s.KeysRecovered))
	o.put("num_objects_recovered", s.ObjectsRecovered)
	o.put("num_bytes_recovered", s.BytesRecovered)
	o.put("num_keys_recovered", s.KeysRecovered)
	return o
}

func clientRate(d Delta) string {
	s := d.positive()
	if s.Reads == 0 && s.Writes == 0 {
		return ""
	}
	var b strings.Builder
	if s.Reads != 0 {
		b.WriteString(perSecond(d.rate(s.ReadKB<<10)) + " rd, ")
	}
	if s.Writes != 0 {
		b.WriteString(perSecond(d.rate(s.WriteKB<<10)) + " wr, ")
	}
	fmt.Fprintf(&b, "%s op/s rd, %s op/s wr", FormatCount(uint64(d.rate(s.Reads))),
		FormatCount(uint64(d.rate(s.Writes))))
	return b.String()
}

func clientRateDump(d Delta) members {
	s := d.positive()
	var o members
	if s.Reads == 0 && s.Writes == 0 {
		return o
	}
	if s.Reads != 0 {
		o.put("read_bytes_sec", d.rate(s.ReadKB<<10))
	}
	if s.Writes != 0 {
		o.put("write_bytes_sec", d.rate(s.WriteKB<<10))
	}
	o.put("read_op_per_sec", d.rate(s.Reads))
	o.put("write_op_per_sec", d.rate(s.Writes))
	return o
}

// A cacheItem is one figure of a cache tier: its name in JSON, its value and its text.
type cacheItem struct {
	key  string
	n    int64
	text string
}

func cacheItems(d Delta) []cacheItem {
	s := d.positive()
	rate := func(on, n int64) int64 {
		if on == 0 {
			return -1
		}
		return d.rate(n)
	}
	some := func(n int32) int64 {
		if n == 0 {
			return -1
		}
		return int64(n)
	}
	bytes := func(n int64) string { return perSecond(max(n, 0)) }
	count := func(n int64) string { return FormatCount(uint64(max(n, 0))) }
	flush, evict := rate(s.Flush, s.FlushKB<<10), rate(s.Evict, s.EvictKB<<10)
	promote := rate(s.Promote, s.Promote)
	low, high := some(s.FlushModeLow), some(s.FlushModeHigh)
	partly, full := some(s.EvictModeSome), some(s.EvictModeFull)
	return slices.DeleteFunc([]cacheItem{
		{"flush_bytes_sec", flush, bytes(flush) + " flush"},
		{"evict_bytes_sec", evict, bytes(evict) + " evict"},
		{"promote_op_per_sec", promote, count(promote) + " op/s promote"},
		{"num_flush_mode_low", low, count(low) + " PGs flushing"},
		{"num_flush_mode_high", high, count(high) + " PGs flushing (high)"},
		{"num_evict_mode_some", partly, count(partly) + " PGs evicting"},
		{"num_evict_mode_full", full, count(full) + " PGs evicting (full)"},
	}, func(i cacheItem) bool { return i.n < 0 })
}

func cacheRate(d Delta) string {
	var parts []string
	for _, i := range cacheItems(d) {
		parts = append(parts, i.text)
	}
	return strings.Join(parts, ", ")
}

func cacheRateDump(d Delta) members {
	var o members
	for _, i := range cacheItems(d) {
		o.put(i.key, i.n)
	}
	return o
}

// StatText is `ceph pg stat`, without a newline.
func (d *Digest) StatText() string {
	var b strings.Builder
	fs := &d.OSDSum.Statfs
	var parts []string
	for _, s := range d.statesByValue() {
		parts = append(parts, fmt.Sprintf("%d %v", d.ByState[s], s))
	}
	fmt.Fprintf(&b, "%d pgs: %s; %s data, %s used, %s / %s avail", d.NumPG,
		strings.Join(parts, ", "), FormatBytes(uint64(d.Sum.Stats.Sum.Bytes)),
		FormatBytes(fs.Used()), FormatBytes(fs.Available), FormatBytes(fs.Total))
	if s := d.Delta.positive(); s.Reads != 0 || s.Writes != 0 {
		b.WriteString("; ")
		if s.Reads != 0 {
			b.WriteString(perSecond(d.Delta.rate(s.ReadKB<<10)) + " rd, ")
		}
		if s.Writes != 0 {
			b.WriteString(perSecond(d.Delta.rate(s.WriteKB<<10)) + " wr, ")
		}
		b.WriteString(FormatCount(uint64(d.Delta.rate(s.Reads+s.Writes))) + " op/s")
	}
	for _, l := range recoveryLines(&d.Sum.Stats.Sum) {
		b.WriteString("; " + l)
	}
	if r := recoveryRate(d.Delta); r != "" {
		b.WriteString("; " + r + " recovering")
	}
	return b.String()
}

// statesByValue lists the states in ascending order.
func (d *Digest) statesByValue() []State {
	out := d.states()
	slices.Sort(out)
	return out
}

// ready wraps the answer of a manager's command that is about PGs.
func ready(o ...cephjson.Member) cephjson.Object {
	return append(cephjson.Object{{Key: "pg_ready", Value: true}}, o...)
}

// Stat is `ceph pg stat -f json`.
func (d *Digest) Stat() any {
	states := []any{}
	for _, s := range d.statesByValue() {
		states = append(states, struct {
			Name string `json:"name"`
			Num  int32  `json:"num"`
		}{s.String(), d.ByState[s]})
	}
	var o members
	fs := &d.OSDSum.Statfs
	o.put("num_pg_by_state", states)
	o.put("num_pgs", d.NumPG)
	o.put("num_bytes", d.Sum.Stats.Sum.Bytes)
	o.put("total_bytes", fs.Total)
	o.put("total_avail_bytes", fs.Available)
	o.put("total_used_bytes", fs.Used())
	o.put("total_used_raw_bytes", fs.UsedRaw())
	if s := d.Delta.positive(); s.Reads != 0 || s.Writes != 0 {
		if s.Reads != 0 {
			o.put("read_bytes_sec", d.Delta.rate(s.ReadKB<<10))
		}
		if s.Writes != 0 {
			o.put("write_bytes_sec", d.Delta.rate(s.WriteKB<<10))
		}
		o.put("io_sec", d.Delta.rate(s.Reads+s.Writes))
	}
	o = append(o, recoveryDump(&d.Sum.Stats.Sum)...)
	o = append(o, recoveryRateDump(d.Delta)...)
	return ready(cephjson.Member{Key: "pg_summary", Value: cephjson.Object(o)})
}
