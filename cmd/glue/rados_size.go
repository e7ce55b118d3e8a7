package main

import (
	"fmt"
	"strconv"
	"strings"
)

// A byteSize is a flag that takes bytes with an optional unit: 4096, 4K, 10M, 1G.
type byteSize uint64

func (s *byteSize) String() string { return strconv.FormatUint(uint64(*s), 10) }

// Type names the flag's kind in the help.
func (s *byteSize) Type() string { return "SIZE" }

// Set reads a flag's value.
func (s *byteSize) Set(text string) error {
	n, err := parseSize(text, 1)
	if err == nil {
		*s = byteSize(n)
	}
	return err
}

// parseSize reads a size; without a unit the number counts units of plain bytes.
func parseSize(text string, plain uint64) (uint64, error) {
	t := strings.ToUpper(strings.TrimSpace(text))
	digits := strings.TrimRight(t, "KMGTPEIB")
	unit := plain
	if u := strings.TrimSuffix(strings.TrimSuffix(t[len(digits):], "B"), "I"); u != "" {
		shift := strings.Index("KMGTPE", u)
		if shift < 0 || len(u) != 1 {
			return 0, fmt.Errorf("%q is not a size such as 4096, 4K or 10G", text)
		}
		unit = 1 << (10 * (shift + 1))
	} else if len(t) > len(digits) {
		unit = 1
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || n != 0 && n*unit/n != unit {
		return 0, fmt.Errorf("%q is not a size such as 4096, 4K or 10G", text)
	}
	return n * unit, nil
}

// bytesText prints bytes as Ceph's tools do: three digits and a binary unit.
func bytesText(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	v, u := float64(n), 0
	for v >= 1024 && u < len(units)-1 {
		v /= 1024
		u++
	}
	switch {
	case u == 0 || v >= 100 || v == float64(int64(v)):
		return fmt.Sprintf("%d %s", int64(v), units[u])
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 0, 64) + " " + units[u]
	}
	return strconv.FormatFloat(v, 'f', 1, 64) + " " + units[u]
}
