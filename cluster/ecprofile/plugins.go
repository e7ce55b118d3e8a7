package ecprofile

import (
	"slices"
	"strings"

	"glue/ceph"
)

// technique reads the technique, one of a list whose first is the default.
func (p *plan) technique(sep string, list ...string) (string, error) {
	t := p.text("technique", list[0])
	if !slices.Contains(list, t) {
		return t, fail(ceph.ENOENT, "technique=%s is not a valid coding technique.  Choose one of "+
			"the following: %s", t, strings.Join(list, sep))
	}
	return t, nil
}

func (p *plan) jerasure() error {
	t, err := p.technique(", ", "reed_sol_van", "reed_sol_r6_op", "cauchy_orig", "cauchy_good",
		"liberation", "blaum_roth", "liber8tion")
	if err == nil {
		err = p.dataAndCoding(7, 3, true)
	}
	if err != nil {
		return err
	}
	minimal := t == "liberation" || t == "blaum_roth" || t == "liber8tion"
	w := 8
	if minimal && t != "liber8tion" {
		w = 7
	}
	w = p.number("w", w, true)
	packet := 0
	if minimal || strings.HasPrefix(t, "cauchy") {
		packet = p.number("packetsize", 2048, true)
	}
	if !minimal {
		p.text("jerasure-per-chunk-alignment", "false")
	}
	p.align = w * max(packet, 1) * 4 // whole words of 32 bits for each packet
	if p.err != nil {
		return p.err
	}
	return p.jerasureLimits(t, w, minimal)
}

// jerasureLimits are the combinations that a technique can't do.
func (p *plan) jerasureLimits(t string, w int, minimal bool) error {
	switch {
	case t == "reed_sol_van" && w != 8 && w != 16 && w != 32:
		return fail(ceph.EINVAL, "ReedSolomonVandermonde: w=%d must be one of {8, 16, 32}", w)
	case t == "reed_sol_r6_op" && p.m != 2:
		return fail(ceph.EINVAL, "ReedSolomonRAID6: m=%d must be 2 for RAID6", p.m)
	case t == "reed_sol_r6_op" && w != 8 && w != 16 && w != 32:
		return fail(ceph.EINVAL, "ReedSolomonRAID6: w=%d must be one of {8, 16, 32}", w)
	case minimal && p.m != 2:
		return fail(ceph.EINVAL, "%s: m=%d must be 2", t, p.m)
	case t == "liber8tion" && w != 8:
		return fail(ceph.EINVAL, "liber8tion: w=%d must be 8", w)
	case minimal && p.k > w:
		return fail(ceph.EINVAL, "k=%d must be less than or equal to w=%d", p.k, w)
	case w < 1 || w > 32:
		return fail(ceph.EINVAL, "w=%d must be from 1 to 32", w)
	case !minimal && p.k+p.m > 1<<w:
		return fail(ceph.EINVAL, "k+m=%d is more than a code over %d bits has", p.k+p.m, w)
	}
	return nil
}

func (p *plan) isa() error {
	t, err := p.technique(",", "reed_sol_van", "cauchy")
	if err == nil {
		err = p.dataAndCoding(7, 3, true)
	}
	p.align = 32
	switch {
	case err != nil || t != "reed_sol_van":
		return err
	case p.k > 32:
		return fail(ceph.EINVAL, "Vandermonde: k=%d should be less/equal than 32", p.k)
	case p.m > 4:
		return fail(ceph.EINVAL, "Vandermonde: m=%d should be less than 5 to guarantee an MDS "+
			"codec", p.m)
	case p.m == 4 && p.k > 21:
		return fail(ceph.EINVAL, "Vandermonde: k=%d should be less than 22 to guarantee an MDS "+
			"codec with m=4", p.k)
	}
	return nil
}

func (p *plan) shec() error {
	t := p.text("technique", "multiple")
	if t != "multiple" && t != "single" {
		return fail(ceph.ENOENT, "technique=%s is not a valid coding technique. Choose one of the "+
			"following: single, multiple", t)
	}
	given := 0
	for _, name := range []string{"k", "m", "c"} {
		if p.in[name] != "" {
			given++
		}
	}
	k, m, c := p.number("k", 4, false), p.number("m", 3, false), p.number("c", 2, false)
	switch {
	case p.err != nil:
		return p.err
	case given != 0 && given != 3:
		return fail(ceph.EINVAL, "k, m and c must be given together or not at all")
	case k < 1 || m < 1 || c < 1:
		return fail(ceph.EINVAL, "k=%d m=%d c=%d must be positive", k, m, c)
	case m < c:
		return fail(ceph.EINVAL, "c=%d must be less than or equal to m=%d", c, m)
	case k > 12 || k+m > 20 || k < m:
		return fail(ceph.EINVAL, "k=%d m=%d: k must be at most 12 and at least m, k+m at most 20",
			k, m)
	}
	p.k, p.m, p.Chunks = k, m, k+m
	return nil
}

func (p *plan) clay() error {
	if err := p.dataAndCoding(4, 2, true); err != nil {
		return err
	}
	d := p.number("d", p.k+p.m-1, true)
	switch {
	case p.err != nil:
		return p.err
	case d < p.k || d > p.k+p.m-1:
		return fail(ceph.EINVAL, "value of d %d must be within [ %d,%d]", d, p.k, p.k+p.m-1)
	}
	if s := p.in["scalar_mds"]; s != "" && s != "jerasure" && s != "isa" && s != "shec" {
		return fail(ceph.EINVAL, "scalar_mds %s is not currently supported, use one of "+
			"'jerasure', 'isa', 'shec'", s)
	}
	return nil
}

func (p *plan) lrc() error {
	k, m, l := p.number("k", -1, false), p.number("m", -1, false), p.number("l", -1, false)
	switch {
	case p.err != nil:
		return p.err
	case k == -1 && m == -1 && l == -1:
		return fail(ceph.EOPNOTSUPP, "plugin lrc with layers is not available in this release of "+
			"Glue: give k, m and l")
	case k == -1 || m == -1 || l == -1:
		return fail(ceph.EINVAL, "All of k, m, l must be set or none of them in %v", p.in)
	case k < 1 || m < 1 || l < 1 || k > maxChunks || m > maxChunks:
		return fail(ceph.EINVAL, "k=%d m=%d l=%d must be positive", k, m, l)
	case (k+m)%l != 0:
		return fail(ceph.EINVAL, "k + m must be a multiple of l in %v", p.in)
	case k%((k+m)/l) != 0:
		return fail(ceph.EINVAL, "k must be a multiple of (k + m) / l in %v", p.in)
	case m%((k+m)/l) != 0:
		return fail(ceph.EINVAL, "m must be a multiple of (k + m) / l in %v", p.in)
	}
	p.k, p.m, p.Chunks, p.Locality = k, m, k+m+(k+m)/l, l+1
	return nil
}
