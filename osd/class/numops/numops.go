// Package numops is the class "numops": numbers in decimal text under omap keys, changed in place.
// The methods are pure and run on the goroutine that executes the request. Specified by
// src/cls/numops of Ceph 16.2.
package numops

import (
	"errors"
	"math"
	"strconv"
	"strings"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/osd/class"
)

// Class is the table of methods.
var Class = class.Class{Name: "numops", Methods: []class.Method{
	{Name: "add", Flags: class.RD | class.WR,
		Func: change(func(v, by float64) float64 { return v + by })},
	{Name: "mul", Flags: class.RD | class.WR,
		Func: change(func(v, by float64) float64 { return v * by })},
}}

// precision is how many digits are kept.
const precision = 10

// change makes the method that applies f to the number under a key; a missing one is 0.
func change(f func(v, by float64) float64) class.Func {
	return func(ctx class.Context, in []byte) ([]byte, error) {
		var key, text string
		err := class.Decode(in, func(c *denc.Coder) {
			c.Str(&key)
			c.Str(&text)
		})
		if err != nil {
			return nil, err
		}
		by, ok := parse(text)
		if !ok {
			return nil, ceph.EINVAL
		}
		stored, err := ctx.OmapVal(key)
		if err != nil && !errors.Is(err, ceph.ENOENT) {
			return nil, err
		}
		v, ok := parse(string(stored))
		if !ok {
			return nil, ceph.EBADMSG
		}
		return nil, ctx.OmapSet(map[string][]byte{key: []byte(format(f(v, by)))})
	}
}

// parse reads a number as strtod does, which ends at a zero byte; nothing is 0.
func parse(s string) (float64, bool) {
	s, _, _ = strings.Cut(s, "\x00")
	s = strings.TrimLeft(s, " \t\n\v\f\r")
	if s == "" {
		return 0, true
	}
	if l := strings.ToLower(s); strings.Contains(l, "0x") && !strings.Contains(l, "p") {
		s += "p0" // what Go wants after hexadecimal digits
	}
	v, err := strconv.ParseFloat(s, 64)
	if strings.Contains(s, "_") || (err != nil && !errors.Is(err, strconv.ErrRange)) {
		return 0, false
	}
	return v, true
}

// format writes a number as a C++ stream does.
func format(v float64) string {
	switch {
	case math.IsInf(v, 1):
		return "inf"
	case math.IsInf(v, -1):
		return "-inf"
	case math.IsNaN(v):
		if math.Signbit(v) {
			return "-nan"
		}
		return "nan"
	}
	return strconv.FormatFloat(v, 'g', precision, 64)
}
