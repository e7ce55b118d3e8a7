package crush

import (
	"math/bits"
	"slices"

	"glue/ceph"
)

// maxTreeItems bounds a tree bucket: its node count travels in one byte.
const maxTreeItems = 64

// ItemWeight is the weight of the item at a position (crush_get_bucket_item_weight).
func (b *Bucket) ItemWeight(pos int) uint32 {
	switch {
	case pos < 0 || pos >= len(b.Items):
		return 0
	case b.Alg == Uniform && len(b.Weights) > 0:
		return b.Weights[0]
	case b.Alg == Tree && treeNode(pos) < len(b.Aux):
		return b.Aux[treeNode(pos)]
	case b.Alg != Tree && pos < len(b.Weights):
		return b.Weights[pos]
	}
	return 0
}

// newBucket is a bucket with items and their weights; it is not in a map yet.
func (m *Map) newBucket(alg Alg, hash uint8, typ uint16, items []int32, weights []uint32) (
	*Bucket, error,
) {
	b := &Bucket{Alg: alg, Hash: hash, Type: typ}
	switch alg {
	case Uniform:
		return b, b.fillUniform(items, weights)
	case List, Tree, Straw, Straw2:
	default:
		return nil, fail(ceph.EINVAL, "unknown bucket algorithm %d", alg)
	}
	for i, id := range items {
		if err := b.append(id, weights[i]); err != nil {
			return nil, err
		}
	}
	b.calcStraws(m.StrawCalcVersion)
	return b, nil
}

// fillUniform sets all items; the first weight is everyone's.
func (b *Bucket) fillUniform(items []int32, weights []uint32) error {
	b.Weights = []uint32{0}
	if len(items) == 0 {
		return nil
	}
	b.Weights[0] = weights[0]
	over, total := bits.Mul32(uint32(len(items)), weights[0])
	if over != 0 || weights[0] == 0 {
		return fail(ceph.ERANGE, "a uniform bucket can't have %d items of weight %d",
			len(items), weights[0])
	}
	b.Items, b.Weight = slices.Clone(items), total
	return nil
}

// add puts an item at the end.
func (b *Bucket) add(m *Map, id int32, weight uint32) error {
	if err := b.append(id, weight); err != nil {
		return err
	}
	b.calcStraws(m.StrawCalcVersion)
	return nil
}

// append is add without the straw lengths.
func (b *Bucket) append(id int32, weight uint32) error {
	sum, over := bits.Add32(b.Weight, weight, 0)
	if over != 0 {
		return fail(ceph.ERANGE, "the weight of bucket %d overflows", b.ID)
	}
	switch b.Alg {
	case Uniform:
		if len(b.Items) == 0 {
			b.Weights[0] = weight
		}
		if b.Weights[0] != weight {
			return fail(ceph.EINVAL, "uniform bucket %d has items of another weight", b.ID)
		}
	case List:
		b.Weights = append(b.Weights, weight)
		b.Aux = append(b.Aux, sum)
	case Tree:
		if err := b.growTree(weight); err != nil {
			return err
		}
	case Straw, Straw2:
		b.Weights = append(b.Weights, weight)
	}
	b.Items = append(b.Items, id)
	b.Weight = sum
	return nil
}

// remove takes out the first occurrence of an item.
func (b *Bucket) remove(m *Map, id int32) error {
	pos := slices.Index(b.Items, id)
	if pos < 0 {
		return fail(ceph.ENOENT, "item %d is not in bucket %d", id, b.ID)
	}
	weight := b.ItemWeight(pos)
	b.Weight -= min(weight, b.Weight)
	if b.Alg == Tree {
		b.pruneTree(pos, weight)
		return nil
	}
	b.Items = slices.Delete(b.Items, pos, pos+1)
	if b.Alg != Uniform {
		b.Weights = slices.Delete(b.Weights, pos, pos+1)
	}
	if b.Alg == List {
		b.Aux = slices.Delete(b.Aux, pos, pos+1)
		for i := pos; i < len(b.Aux); i++ {
			b.Aux[i] -= weight
		}
	}
	b.calcStraws(m.StrawCalcVersion)
	return nil
}

// setWeight sets the weight of an item's first occurrence; in a uniform bucket, of all items.
func (b *Bucket) setWeight(m *Map, id int32, weight uint32) {
	if b.Alg == Uniform {
		b.Weights[0] = weight
		b.Weight = weight * uint32(len(b.Items))
		return
	}
	pos := slices.Index(b.Items, id)
	if pos < 0 {
		return
	}
	diff := weight - b.ItemWeight(pos) // wraps when the weight falls, and so do the sums
	b.Weight += diff
	switch b.Alg {
	case Tree:
		for n := treeNode(pos); ; n = treeParent(n) {
			b.Aux[n] += diff
			if n == len(b.Aux)/2 {
				return
			}
		}
	case List:
		for i := pos; i < len(b.Aux); i++ {
			b.Aux[i] += diff
		}
	}
	b.Weights[pos] = weight
	b.calcStraws(m.StrawCalcVersion)
}

// A tree bucket keeps its items at the odd nodes of a binary tree and its sums at the even ones.

func treeNode(pos int) int { return pos<<1 + 1 }

func treeParent(n int) int {
	half := n & -n
	if n&(half<<1) != 0 {
		return n - half
	}
	return n + half
}

// treeDepth is the number of levels that size items need.
func treeDepth(size int) int {
	if size == 0 {
		return 0
	}
	return bits.Len(uint(size-1)) + 1
}

// growTree adds a leaf.
func (b *Bucket) growTree(weight uint32) error {
	size := len(b.Items) + 1
	if size > maxTreeItems {
		return fail(ceph.ERANGE, "a tree bucket can't have more than %d items", maxTreeItems)
	}
	depth := treeDepth(size)
	nodes := make([]uint32, 1<<depth)
	copy(nodes, b.Aux)
	n, root := treeNode(size-1), len(nodes)/2
	if depth >= 2 && n-1 == root {
		nodes[root] = nodes[root/2] // a new root starts with what is on its left
	}
	nodes[n] = weight
	for n != root {
		n = treeParent(n)
		nodes[n] += weight
	}
	b.Aux = nodes
	return nil
}

// pruneTree empties a leaf and drops the empty ones at the end. A hole in the middle stays, as
// item 0 of weight 0, so that the others keep their nodes.
func (b *Bucket) pruneTree(pos int, weight uint32) {
	b.Items[pos] = 0
	for n := treeNode(pos); ; n = treeParent(n) {
		b.Aux[n] -= weight
		if n == len(b.Aux)/2 {
			break
		}
	}
	size := len(b.Items)
	for size > 0 && b.Aux[treeNode(size-1)] == 0 {
		size--
	}
	b.Items = b.Items[:size]
	if depth := treeDepth(size); 1<<depth < len(b.Aux) {
		b.Aux = b.Aux[:1<<depth]
	}
}
