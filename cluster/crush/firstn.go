package crush

// A choice is one call of firstN or indep: distinct items of a type below a bucket, and if leafs
// is set one device below each.
type choice struct {
	bucket       *Bucket
	num          int
	typ          int32
	leafs        bool
	tries        uint32
	recurseTries uint32 // of the descent to the device
	parentR      int32
	out, out2    []int32 // items, and the devices below them
}

// A verdict is what happens after one draw.
type verdict int

const (
	accepted verdict = iota
	again            // draw in this bucket once more
	descend          // draw in the bucket just drawn
	restart          // start again at the top
	giveUp           // leave this replica out
)

// A try is the state of the search for one replica.
type try struct {
	in           *Bucket
	total, local uint32 // failures in all, and in this bucket
	rep, pos     int
	item         int32
	count        int
}

// firstN chooses up to count items and closes up where one is missing (crush_choose_firstn); it
// writes to out[pos:] and returns the position after the last.
func (p *Placer) firstN(c *choice, pos, count int) int {
	t := try{pos: pos, count: count}
	if p.tune.stable == 0 {
		t.rep = pos
	}
	for ; t.rep < c.num && t.count > 0 && p.work > 0; t.rep++ {
		t.total = 0
		if !p.search(c, &t) {
			continue
		}
		c.out[t.pos] = t.item
		t.pos++
		t.count--
	}
	return t.pos
}

// search draws until an item fits or the tries are used up.
func (p *Placer) search(c *choice, t *try) bool {
	t.in, t.local = c.bucket, 0
	for p.work > 0 {
		switch p.drawFirstN(c, t) {
		case accepted:
			return true
		case restart:
			t.in, t.local = c.bucket, 0
		case giveUp:
			return false
		}
	}
	return false
}

// drawFirstN draws once and judges the item.
func (p *Placer) drawFirstN(c *choice, t *try) verdict {
	p.work--
	in := t.in
	if len(in.Items) == 0 {
		return p.failed(c, t, false)
	}
	r := int32(uint32(t.rep) + uint32(c.parentR) + t.total)
	fallbacks := p.tune.localFallbacks
	if fallbacks > 0 && t.local >= uint32(len(in.Items)>>1) && t.local > fallbacks {
		t.item = p.drawPermuted(in, uint32(r))
	} else {
		t.item = p.choose(in, r, t.pos)
	}
	typ, ok := p.typeOf(t.item)
	if !ok || t.item >= p.m.MaxDevices {
		return giveUp
	}
	if typ != c.typ {
		if t.item >= 0 {
			return giveUp
		}
		t.in = p.m.Bucket(t.item)
		return descend
	}
	for _, other := range c.out[:t.pos] {
		if other == t.item {
			return p.failed(c, t, true)
		}
	}
	if c.leafs && !p.leafFirstN(c, t, r) || typ == 0 && p.isOut(t.item) {
		return p.failed(c, t, false)
	}
	return accepted
}

// leafFirstN finds a device below the item just drawn.
func (p *Placer) leafFirstN(c *choice, t *try, r int32) bool {
	if t.item >= 0 {
		c.out2[t.pos] = t.item
		return true
	}
	sub := choice{
		bucket: p.m.Bucket(t.item), num: t.pos + 1, tries: c.recurseTries, out: c.out2,
	}
	if p.tune.stable != 0 {
		sub.num = 1
	}
	if v := p.tune.varyR; v != 0 {
		sub.parentR = r >> ((v - 1) & 31)
	}
	return p.firstN(&sub, t.pos, t.count) > t.pos
}

// failed counts a draw that did not fit and says where to go on.
func (p *Placer) failed(c *choice, t *try, collided bool) verdict {
	t.total++
	t.local++
	fallbacks := p.tune.localFallbacks
	switch {
	case collided && t.local <= p.tune.localTries:
		return again
	case fallbacks > 0 && t.local <= uint32(len(t.in.Items))+fallbacks:
		return again
	case t.total < c.tries:
		return restart
	}
	return giveUp
}
