package options

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

func parseBool(s string) (bool, bool) {
	switch strings.ToLower(s) {
	case "true", "yes", "on", "1":
		return true, true
	case "false", "no", "off", "0":
		return false, true
	}
	return false, false
}

var secUnits = map[string]float64{
	"": 1, "s": 1, "sec": 1, "second": 1, "seconds": 1, "m": 60, "min": 60, "minute": 60,
	"minutes": 60, "h": 3600, "hr": 3600, "hour": 3600, "hours": 3600, "d": 86400, "day": 86400,
	"days": 86400, "w": 604800, "wk": 604800, "week": 604800, "weeks": 604800, "mo": 2592000,
	"month": 2592000, "months": 2592000, "y": 31536000, "yr": 31536000, "year": 31536000,
	"years": 31536000, "ms": 1e-3,
}

var secPart = regexp.MustCompile(`^\s*([0-9.]+)\s*([a-z]*)\s*`)

// parseSecs reads a sum such as 1h 30m.
func parseSecs(s string) (float64, bool) {
	total := 0.0
	for first := true; first || s != ""; first = false {
		m := secPart.FindStringSubmatch(s)
		if m == nil {
			return 0, false
		}
		unit, ok := secUnits[m[2]]
		n, err := strconv.ParseFloat(m[1], 64)
		if !ok || err != nil {
			return 0, false
		}
		total += n * unit
		s = s[len(m[0]):]
	}
	return total, true
}

// parseSize reads a whole number; the suffixes K, M, G, T, P, E with or without "i" or "iB" mean
// powers of 1024, as Ceph's size options do. Counts take powers of 1000.
func parseSize(s string, k Kind) (int64, bool) {
	number := strings.TrimRight(s, "KMGTPEkiB")
	suffix := strings.TrimRight(s[len(number):], "iB")
	base := int64(1024)
	if k != Size {
		base = 1000
		if strings.Contains(s[len(number):], "i") {
			base = 1024
		}
	}
	mul := int64(1)
	if suffix != "" {
		i := strings.Index("KMGTPE", strings.ToUpper(suffix))
		if i < 0 || len(suffix) != 1 {
			return 0, false
		}
		for range i + 1 {
			mul *= base
		}
	}
	if n, err := strconv.ParseInt(number, 0, 64); err == nil {
		if n != 0 && (n*mul)/mul != n {
			return 0, false
		}
		return n * mul, true
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || k != Size && f*float64(mul) != float64(int64(f*float64(mul))) {
		return 0, false
	}
	return int64(f * float64(mul)), true
}

// parseLevel reads how much a part logs, N or N/M: what is written and what is kept in memory.
func parseLevel(s string) (string, error) {
	n, m, two := strings.Cut(s, "/")
	if !two || m == "" {
		m = n
	}
	for _, p := range []string{n, m} {
		i, err := strconv.Atoi(strings.TrimSpace(p))
		if err != nil {
			return "", errors.New("value must take the form N or N/M, where N and M are integers")
		}
		if i < 0 || i > 99 {
			return "", errRange
		}
	}
	return strings.TrimSpace(n) + "/" + strings.TrimSpace(m), nil
}

// errRange is answered with ERANGE.
var errRange = errors.New("value must be in range [0, 99]")

// OutOfRange says whether an error of Check is about the range of a level, for which the stock
// tools have an error number of its own.
func OutOfRange(err error) bool { return errors.Is(err, errRange) }

var uuidForm = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// parseAddr reads TYPE:IP:PORT/NONCE, of which only the IP has to be there, or "-" for none.
func parseAddr(s string) (string, error) {
	if s == "-" {
		return s, nil
	}
	typ, rest := "v2", s
	for _, t := range []string{"v1", "v2", "any"} {
		if after, ok := strings.CutPrefix(s, t+":"); ok {
			typ, rest = t, after
		}
	}
	host, nonce, found := strings.Cut(rest, "/")
	if !found {
		nonce = "0"
	}
	at, err := netip.ParseAddrPort(host)
	if err != nil {
		ip, e := netip.ParseAddr(strings.Trim(host, "[]"))
		at, err = netip.AddrPortFrom(ip, 0), e
	}
	if _, bad := strconv.ParseUint(nonce, 10, 32); err != nil || bad != nil {
		return "", fmt.Errorf("Expected an address such as 192.0.2.1 or v2:192.0.2.1:6800/0, "+
			"got '%s'", s)
	}
	return fmt.Sprintf("%s:%v/%s", typ, at, nonce), nil
}

// parseAddrs reads one address, or several in brackets.
func parseAddrs(s string) (string, error) {
	inner, ok := strings.CutPrefix(s, "[")
	if inner, ok = strings.CutSuffix(inner, "]"); !ok || !strings.Contains(s, "[v") {
		return parseAddr(s)
	}
	var out []string
	for _, one := range strings.Split(inner, ",") {
		a, err := parseAddr(strings.TrimSpace(one))
		if err != nil {
			return "", err
		}
		out = append(out, a)
	}
	return "[" + strings.Join(out, ",") + "]", nil
}

// features are those of RBD images, from the lowest bit.
var features = []string{"layering", "striping", "exclusive-lock", "object-map", "fast-diff",
	"deep-flatten", "journaling", "data-pool", "operations", "migrating", "non-primary",
	"dirty-cache"}

// parseFeatures reads a mask, or names with commas or plus signs between them.
func parseFeatures(s string) (string, error) {
	if s == "" {
		return "61", nil
	}
	if n, err := strconv.ParseUint(s, 0, 64); err == nil {
		return strconv.FormatUint(n, 10), nil
	}
	mask := uint64(0)
	for _, name := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == '+' }) {
		i := slices.Index(features, strings.TrimSpace(name))
		if i < 0 {
			return "", fmt.Errorf("'%s' is not a feature of images; they are %s", name,
				strings.Join(features, ", "))
		}
		mask |= 1 << i
	}
	return strconv.FormatUint(mask, 10), nil
}
