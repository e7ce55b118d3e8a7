package cephjson

import (
	"math"
	"strconv"
)

// A Float prints as Ceph's JSON formatter prints doubles: 17 significant digits at most, without
// trailing zeros, and an exponent only when it is below -4 or above 16.
type Float float64

// MarshalJSON is the number; what JSON has no word for becomes 0.
func (f Float) MarshalJSON() ([]byte, error) {
	v := float64(f)
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return []byte("0"), nil
	}
	return []byte(FormatFloat(v, 17)), nil
}

// FormatFloat is a C++ stream's default form of v with the given number of significant digits
// (printf's %.*g).
func FormatFloat(v float64, digits int) string {
	if v == 0 {
		return "0"
	}
	exp := strconv.FormatFloat(v, 'e', digits-1, 64)
	mark := len(exp) - 1
	for exp[mark] != 'e' {
		mark--
	}
	power, err := strconv.Atoi(exp[mark+1:])
	if err != nil {
		return exp
	}
	if power < -4 || power >= digits {
		return trimZeros(exp[:mark]) + exp[mark:]
	}
	return trimZeros(strconv.FormatFloat(v, 'f', digits-1-power, 64))
}

func trimZeros(s string) string {
	dot := false
	for _, c := range s {
		dot = dot || c == '.'
	}
	if !dot {
		return s
	}
	end := len(s)
	for s[end-1] == '0' {
		end--
	}
	if s[end-1] == '.' {
		end--
	}
	return s[:end]
}
