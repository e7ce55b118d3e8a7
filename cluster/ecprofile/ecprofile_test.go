package ecprofile

import (
	"errors"
	"strings"
	"testing"

	"glue/ceph"
)

// What a stock 16.2.15 monitor made of "osd erasure-code-profile set X WORDS", where it answers the
// same; the last column is the profile with its defaults, or the error's beginning.
var asStock = []struct {
	words  string
	errno  ceph.Errno
	chunks int
	want   string
}{
	{"", 0, 4, "jerasure-per-chunk-alignment=false k=2 m=2 plugin=jerasure " +
		"technique=reed_sol_van w=8"},
	{"k=4 m=3", 0, 7, "jerasure-per-chunk-alignment=false k=4 m=3 plugin=jerasure " +
		"technique=reed_sol_van w=8"},
	{"technique=cauchy_good", 0, 4, "jerasure-per-chunk-alignment=false k=2 m=2 " +
		"packetsize=2048 plugin=jerasure technique=cauchy_good w=8"},
	{"technique=liberation", 0, 4, "k=2 m=2 packetsize=2048 plugin=jerasure " +
		"technique=liberation w=7"},
	{"technique=liber8tion", 0, 4, "k=2 m=2 packetsize=2048 plugin=jerasure " +
		"technique=liber8tion w=8"},
	{"stripe_unit=8K m=1", 0, 3, "jerasure-per-chunk-alignment=false k=2 m=1 plugin=jerasure " +
		"stripe_unit=8K technique=reed_sol_van w=8"},
	{"foo=bar", 0, 4, "foo=bar jerasure-per-chunk-alignment=false k=2 m=2 plugin=jerasure " +
		"technique=reed_sol_van w=8"},
	{"plugin=isa", 0, 10, "k=7 m=3 plugin=isa technique=reed_sol_van"},
	{"plugin=shec", 0, 7, "plugin=shec technique=multiple"},
	{"plugin=shec k=4 m=3 c=2", 0, 7, "c=2 k=4 m=3 plugin=shec technique=multiple"},
	{"plugin=clay", 0, 6, "d=5 k=4 m=2 plugin=clay"},
	{"plugin=lrc k=4 m=2 l=3", 0, 8, "k=4 l=3 m=2 plugin=lrc"},
	{"k=0", ceph.EINVAL, 0, "k=0 must be >= 2"},
	{"k=1 m=1", ceph.EINVAL, 0, "k=1 must be >= 2"},
	{"m=-1", ceph.EINVAL, 0, "m=-1 must be >= 1"},
	{"k=x", ceph.EINVAL, 0, "could not convert k=x to int because Expected option value to be " +
		"integer, got 'x'"},
	{"technique=zzz", ceph.ENOENT, 0, "technique=zzz is not a valid coding technique.  Choose " +
		"one of the following: reed_sol_van, reed_sol_r6_op, cauchy_orig, cauchy_good, " +
		"liberation, blaum_roth, liber8tion"},
	{"m=3 technique=reed_sol_r6_op", ceph.EINVAL, 0, "ReedSolomonRAID6: m=3 must be 2 for RAID6"},
	{"w=9", ceph.EINVAL, 0, "ReedSolomonVandermonde: w=9 must be one of {8, 16, 32}"},
	{"technique=liberation k=9 w=7", ceph.EINVAL, 0, "k=9 must be less than or equal to w=7"},
	{"stripe_unit=4095", ceph.EINVAL, 0, "stripe_unit 4095 does not match ec profile alignment. " +
		"Would be padded to 4096"},
	{"stripe_unit=zz", ceph.EINVAL, 0, "could not parse stripe_unit 'zz': strict_iecstrtoll: " +
		"unit prefix not recognized"},
	{"plugin=isa stripe_unit=100", ceph.EINVAL, 0, "stripe_unit 100 does not match ec profile " +
		"alignment. Would be padded to 128"},
	{"mapping=D m=1", ceph.EINVAL, 0, "mapping D maps 1 chunks instead of the expected 3"},
	{"ruleset-root=default", ceph.EINVAL, 0, "property 'ruleset-root' is no longer supported; " +
		"try 'crush-root' instead"},
	{"plugin=isa k=40 m=2", ceph.EINVAL, 0, "Vandermonde: k=40 should be less/equal than 32"},
	{"plugin=isa m=5", ceph.EINVAL, 0, "Vandermonde: m=5 should be less than 5 to guarantee an " +
		"MDS codec"},
	{"plugin=clay d=9", ceph.EINVAL, 0, "value of d 9 must be within [ 4,5]"},
	{"plugin=clay scalar_mds=zz", ceph.EINVAL, 0, "scalar_mds zz is not currently supported"},
	{"plugin=lrc k=4 m=2 l=4", ceph.EINVAL, 0, "k + m must be a multiple of l in " +
		"{k=4,l=4,m=2,plugin=lrc}"},
	{"plugin=zzz", ceph.EIO, 0, "there is no erasure code plugin 'zzz'"},
	{"plugin=shec k=4 m=3 c=5", ceph.EINVAL, 0, "c=5 must be less than"},
	// Not as stock, which takes what no code over 8 bits can do.
	{"k=300", ceph.EINVAL, 0, "k+m=302 is more than"},
	{"k=99999999999999999999", ceph.EINVAL, 0, "could not convert"},
}

func TestCheck(t *testing.T) {
	base := Profile{"plugin": "jerasure", "technique": "reed_sol_van", "k": "2", "m": "2"}
	for _, c := range asStock {
		in := Parse(nil, strings.Fields(c.words))
		if in["plugin"] == "" {
			in = Parse(base, strings.Fields(c.words))
		}
		before := in.String()
		code, err := Check(in)
		if in.String() != before {
			t.Errorf("%q: the profile that was given has changed", c.words)
		}
		var errno ceph.Errno
		errors.As(err, &errno)
		if c.errno != 0 {
			if errno != c.errno || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("%q: %v %v, want %v %s", c.words, errno, err, c.errno, c.want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", c.words, err)
			continue
		}
		want := Parse(nil, strings.Fields("crush-device-class= crush-failure-domain=host "+
			"crush-root=default "+c.want))
		if got := code.Profile.String(); got != want.String() || code.Chunks != c.chunks {
			t.Errorf("%q: %s with %d chunks, want %v with %d", c.words, got, code.Chunks, want,
				c.chunks)
		}
		if again, err := Check(code.Profile); err != nil ||
			again.Profile.String() != code.Profile.String() {
			t.Errorf("%q: its own result gives %v %v", c.words, again, err)
		}
	}
	if _, err := Check(nil); err == nil {
		t.Error("no profile at all is fine")
	}
}
