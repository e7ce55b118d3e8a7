package crush

// indep chooses left items that keep their places whatever becomes of the others
// (crush_choose_indep): it fills out[pos:pos+left], with None where nothing was found.
func (p *Placer) indep(c *choice, pos, left int) {
	end := pos + left
	for i := pos; i < end; i++ {
		c.out[i] = undef
		if c.out2 != nil {
			c.out2[i] = undef
		}
	}
	for total := uint32(0); left > 0 && total < c.tries && p.work > 0; total++ {
		for rep := pos; rep < end; rep++ {
			if c.out[rep] == undef && p.placeIndep(c, rep, pos, end, total) {
				left--
			}
		}
	}
	for i := pos; i < end; i++ {
		if c.out[i] == undef {
			c.out[i] = None
		}
		if c.out2 != nil && c.out2[i] == undef {
			c.out2[i] = None
		}
	}
}

// placeIndep makes one descent for one place and says whether that decided it: with an item, or
// with None when the map leads nowhere.
func (p *Placer) placeIndep(c *choice, rep, pos, end int, total uint32) bool {
	in := c.bucket
	for p.work > 0 {
		p.work--
		if len(in.Items) == 0 {
			return false
		}
		step := uint32(c.num)
		if in.Alg == Uniform && uint32(len(in.Items))%step == 0 {
			step++ // or every try would meet the same items of the permutation
		}
		r := int32(uint32(rep) + uint32(c.parentR) + step*total)
		item := p.choose(in, r, pos)
		typ, ok := p.typeOf(item)
		if !ok || item >= p.m.MaxDevices || typ != c.typ && item >= 0 {
			c.out[rep] = None
			if c.out2 != nil {
				c.out2[rep] = None
			}
			return true
		}
		if typ != c.typ {
			in = p.m.Bucket(item)
			continue
		}
		return p.acceptIndep(c, rep, pos, end, r, item)
	}
	return false
}

// acceptIndep takes an item of the wanted type unless it collides, has no device or is out.
func (p *Placer) acceptIndep(c *choice, rep, pos, end int, r, item int32) bool {
	for _, other := range c.out[pos:end] {
		if other == item {
			return false
		}
	}
	if c.leafs {
		if item >= 0 {
			c.out2[rep] = item
		} else {
			sub := choice{
				bucket: p.m.Bucket(item), num: c.num, tries: c.recurseTries, parentR: r,
				out: c.out2,
			}
			if p.indep(&sub, rep, 1); c.out2[rep] == None {
				return false
			}
		}
	}
	if typ, _ := p.typeOf(item); typ == 0 && p.isOut(item) {
		return false
	}
	c.out[rep] = item
	return true
}
