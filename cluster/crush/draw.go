package crush

import "math"

// choose draws one item of a bucket that has items (crush_bucket_choose). place is the position
// in the result, which selects the weight set. None stands for a bucket without a valid answer.
func (p *Placer) choose(b *Bucket, r int32, place int) int32 {
	switch b.Alg {
	case Straw2:
		return p.drawStraw2(b, uint32(r), place)
	case Uniform:
		return p.drawPermuted(b, uint32(r))
	case List:
		return p.drawList(b, uint32(r))
	case Tree:
		return p.drawTree(b, uint32(r))
	case Straw:
		return p.drawStraw(b, uint32(r))
	}
	return b.Items[0]
}

// hash3, hash4 are a bucket's hash; an unknown hash gives 0, as in stock.
func (b *Bucket) hash3(x, y, z uint32) uint32 {
	if b.Hash != 0 {
		return 0
	}
	return Hash3(x, y, z)
}

func (b *Bucket) hash4(x, y, z, u uint32) uint32 {
	if b.Hash != 0 {
		return 0
	}
	return Hash4(x, y, z, u)
}

// drawStraw2 gives every item a straw whose length is exponentially distributed by its weight,
// and the longest wins; the first of equals.
func (p *Placer) drawStraw2(b *Bucket, r uint32, place int) int32 {
	p.work -= len(b.Items)
	weights, ids := b.Weights, b.Items
	if p.args != nil {
		weights, ids = p.replaced(b, place)
	}
	if len(weights) != len(b.Items) || len(ids) != len(b.Items) {
		return None
	}
	best, bestDraw := 0, int64(math.MinInt64)
	for i, w := range weights {
		if w == 0 {
			continue
		}
		u := b.hash3(p.x, uint32(ids[i]), r) & 0xffff
		// The logarithm of a number in (0, 1]; the weight is signed in stock too.
		if draw := (ln(u) - 1<<48) / int64(int32(w)); draw > bestDraw {
			best, bestDraw = i, draw
		}
	}
	return b.Items[best]
}

// replaced are the weights and ids that choose_args put in place of a bucket's own.
func (p *Placer) replaced(b *Bucket, place int) (weights []uint32, ids []int32) {
	weights, ids = b.Weights, b.Items
	a := p.args[b.ID]
	if a == nil {
		return weights, ids
	}
	if n := len(a.WeightSets); n > 0 {
		weights = a.WeightSets[min(place, n-1)]
	}
	if len(a.IDs) > 0 {
		ids = a.IDs
	}
	return weights, ids
}

// drawStraw is straw2's forerunner: straw lengths are computed when the bucket changes.
func (p *Placer) drawStraw(b *Bucket, r uint32) int32 {
	p.work -= len(b.Items)
	if len(b.Aux) != len(b.Items) {
		return None
	}
	best, bestDraw := 0, uint64(0)
	for i, straw := range b.Aux {
		draw := uint64(b.hash3(p.x, uint32(b.Items[i]), r)&0xffff) * uint64(straw)
		if i == 0 || draw > bestDraw {
			best, bestDraw = i, draw
		}
	}
	return b.Items[best]
}

// drawList walks from the newest item to the oldest and takes one with the probability of its
// weight among those before it.
func (p *Placer) drawList(b *Bucket, r uint32) int32 {
	p.work -= len(b.Items)
	if len(b.Weights) != len(b.Items) || len(b.Aux) != len(b.Items) {
		return None
	}
	for i := len(b.Items) - 1; i >= 0; i-- {
		w := uint64(b.hash4(p.x, uint32(b.Items[i]), r, uint32(b.ID)) & 0xffff)
		if w*uint64(b.Aux[i])>>16 < uint64(b.Weights[i]) {
			return b.Items[i]
		}
	}
	return b.Items[0]
}

// drawTree descends a binary tree whose nodes hold the weights below them. Odd nodes are leaves,
// and the number of trailing zeros is a node's height.
func (p *Placer) drawTree(b *Bucket, r uint32) int32 {
	n := len(b.Aux) >> 1
	if n == 0 {
		return None
	}
	for n&1 == 0 {
		half := (n & -n) >> 1
		t := uint64(b.hash4(p.x, uint32(n), r, uint32(b.ID))) * uint64(b.Aux[n]) >> 32
		if left := n - half; t < uint64(b.Aux[left]) {
			n = left
		} else {
			n += half
		}
	}
	if n>>1 >= len(b.Items) {
		return None
	}
	return b.Items[n>>1]
}

// A perm is a random order of a bucket's items for one x, made as far as it was asked for.
type perm struct {
	serial uint64 // of the Do that it belongs to
	done   int
	order  []uint32
}

// drawPermuted takes the item at place r of a random order (bucket_perm_choose): what uniform
// buckets do, and every bucket in the fallback of the oldest tunables.
func (p *Placer) drawPermuted(b *Bucket, r uint32) int32 {
	size := len(b.Items)
	if len(p.perms) != len(p.m.Buckets) {
		p.perms = make([]perm, len(p.m.Buckets))
	}
	s := &p.perms[-1-b.ID]
	if s.serial != p.serial {
		p.work -= size
		s.serial, s.done = p.serial, 0
		s.order = s.order[:0]
		for i := range size {
			s.order = append(s.order, uint32(i))
		}
	}
	want := int(r % uint32(size))
	for ; s.done <= want; s.done++ {
		at := s.done
		if at == size-1 {
			continue // nothing is left to swap the last with
		}
		i := int(b.hash3(p.x, uint32(b.ID), uint32(at)) % uint32(size-at))
		s.order[at], s.order[at+i] = s.order[at+i], s.order[at]
	}
	return b.Items[s.order[want]]
}
