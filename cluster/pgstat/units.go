package pgstat

import (
	"fmt"
	"strconv"
)

// FormatBytes prints a size with a binary unit in at most five characters and the unit, as Ceph
// does: "512 B", "1.2 KiB", "3 MiB".
func FormatBytes(v uint64) string {
	return formatUnit(v, 1024, []string{" B", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB"})
}

// FormatCount prints a number with a decimal unit: "999", "1.23k", "5M".
func FormatCount(v uint64) string {
	return formatUnit(v, 1000, []string{"", "k", "M", "G", "T", "P", "E"})
}

func formatUnit(v, base uint64, units []string) string {
	n, mult, i := v, uint64(1), 0
	for ; n >= base && i < len(units)-1; i++ {
		n /= base
		mult *= base
	}
	if v%mult == 0 {
		return strconv.FormatUint(n, 10) + units[i]
	}
	var s string
	for digits := 2; digits >= 0; digits-- {
		s = strconv.FormatFloat(float64(v)/float64(mult), 'f', digits, 64) + units[i]
		if len(s) <= 7 {
			break
		}
	}
	return s
}

// percent prints a percentage with two decimals, "0" when it is next to nothing.
func percent(v float32) string {
	if v < 0.01 {
		return "0"
	}
	return fmt.Sprintf("%.2f", v)
}
