package crush

import (
	"math"
	"slices"
)

// calcStraws computes the straw lengths of a straw bucket; other buckets have none. Lighter items
// get shorter straws such that the chance to draw the longest is roughly by weight; version 0
// of the computation is off where weights are equal or zero (crush_calc_straw).
func (b *Bucket) calcStraws(version uint8) {
	if b.Alg != Straw {
		return
	}
	b.Aux = make([]uint32, len(b.Items))
	order := make([]int, len(b.Items)) // lightest first
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(x, y int) int {
		return int(int64(b.Weights[x]) - int64(b.Weights[y]))
	})
	s := strawScale{straw: 1, left: len(order)}
	for k, i := range order {
		w := b.Weights[i]
		if w == 0 {
			if version > 0 {
				s.left--
			}
			continue
		}
		b.Aux[i] = uint32(uint64(s.straw * 0x10000))
		if k+1 == len(order) {
			return
		}
		next := b.Weights[order[k+1]]
		if version > 0 {
			s.grow(w, next, 1)
			continue
		}
		if next == w {
			continue
		}
		same := 0
		for _, j := range order[k+1:] {
			if b.Weights[j] != next {
				break
			}
			same++
		}
		s.grow(w, next, same)
	}
}

// A strawScale is the length of the next straw, on the way from the lightest item up.
type strawScale struct {
	straw, below, last float64
	left               int
}

// grow goes from weight w to next; gone items leave the competition.
func (s *strawScale) grow(w, next uint32, gone int) {
	s.below += float64((float64(w) - s.last) * float64(s.left))
	s.left -= gone
	step := float64(uint32(s.left) * (next - w)) // wraps as in stock
	chance := s.below / (s.below + step)
	s.straw *= pow(1/chance, 1/float64(s.left))
	s.last = float64(w)
}

// pow is x**y, correctly rounded but for one case in millions, for x >= 1 and 0 < y <= 1. The
// straw lengths must come out as with the C library, and math.Pow is not exact enough: the cube
// root of 8 may come out below 2, and the truncated length with it.
func pow(x, y float64) float64 {
	if x == 1 || y == 1 || math.IsInf(x, 0) || math.IsInf(y, 0) || math.IsNaN(x) {
		return math.Pow(x, y)
	}
	l := logDouble(x)
	hi, lo := twoProd(l.hi, y)
	e, k := expDouble(quickSum(hi, lo+l.lo*y))
	return math.Ldexp(e.hi+e.lo, k)
}

// A double is an unevaluated sum of two floats: about 106 bits.
type double struct{ hi, lo float64 }

func twoSum(a, b float64) (s, err float64) {
	s = a + b
	t := s - a
	return s, (a - (s - t)) + (b - t)
}

func quickSum(a, b float64) double {
	s := a + b
	return double{s, b - (s - a)}
}

func twoProd(a, b float64) (p, err float64) {
	p = a * b
	return p, math.FMA(a, b, -p)
}

func (a double) add(b double) double {
	s, e := twoSum(a.hi, b.hi)
	return quickSum(s, e+a.lo+b.lo)
}

func (a double) mul(b double) double {
	p, e := twoProd(a.hi, b.hi)
	return quickSum(p, e+float64(a.hi*b.lo)+float64(a.lo*b.hi))
}

// logDouble is the natural logarithm: one Newton step on the float's.
func logDouble(x float64) double {
	y := math.Log(x)
	e, k := expDouble(double{-y, 0}) // about 1/x
	x = math.Ldexp(x, k)
	p, err := twoProd(x, e.hi)
	s, t := twoSum(y, (p-1)+err+x*e.lo)
	return double{s, t}
}

// logTwo is the logarithm of 2.
var logTwo = double{0.6931471805599453, 2.3190468138462996e-17}

// expDouble is e**x as a double times 2**k.
func expDouble(x double) (double, int) {
	const halvings = 6
	k := math.Round(x.hi / logTwo.hi)
	p, err := twoProd(-k, logTwo.hi)
	r := x.add(quickSum(p, err-k*logTwo.lo))
	r = double{math.Ldexp(r.hi, -halvings), math.Ldexp(r.lo, -halvings)}
	sum, term := double{1, 0}, double{1, 0}
	for i := 1; i <= 14; i++ {
		q := 1 / float64(i)
		h, e := twoProd(q, float64(i))
		term = term.mul(r).mul(double{q, ((1 - h) - e) / float64(i)})
		sum = sum.add(term)
	}
	for range halvings {
		sum = sum.mul(sum)
	}
	return sum, int(k)
}
