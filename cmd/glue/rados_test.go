package main

import "testing"

func TestParseSize(t *testing.T) {
	for text, want := range map[string]uint64{
		"0": 0, "7": 7 << 20, "4096B": 4096, "4K": 4096, "4KiB": 4096, "4k": 4096, "10M": 10 << 20,
		"1g": 1 << 30, "2T": 2 << 40, "1GB": 1 << 30,
	} {
		if got, err := parseSize(text, 1<<20); err != nil || got != want {
			t.Errorf("%q is %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "x", "-1", "1.5G", "K", "4KM", "99999999999T"} {
		if got, err := parseSize(text, 1); err == nil {
			t.Errorf("%q is taken as %d", text, got)
		}
	}
}

func TestBytesText(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 1023: "1023 B", 1024: "1 KiB", 1536: "1.5 KiB", 10 << 20: "10 MiB",
		29<<30 + 300<<20: "29 GiB", 8000000: "7.6 MiB", 1 << 40: "1 TiB",
	} {
		if got := bytesText(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}

// The dump is byte for byte what rados listomapvals of 16.2.15 prints.
func TestHexDump(t *testing.T) {
	got := hexDump([]byte("0123456789abcdef\x00\xff~"))
	want := "00000000  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  |0123456789abcdef|\n" +
		"00000010  00 ff 7e                                          |..~|\n" +
		"00000013\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	const zeros = "  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|\n"
	want = "00000000" + zeros + "*\n00000030" + zeros + "00000040\n"
	if got := hexDump(make([]byte, 64)); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestParseLocker(t *testing.T) {
	n, err := parseLocker("client.4123")
	if err != nil || n.Num != 4123 || n.String() != "client.4123" {
		t.Errorf("%v, %v", n, err)
	}
	for _, bad := range []string{"", "client", "client.x", "nobody.1"} {
		if _, err := parseLocker(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// The standard deviation of a benchmark's seconds is that of the sample.
func TestStddev(t *testing.T) {
	if got := stddev(10, 52, 2); got < 1.41 || got > 1.42 {
		t.Errorf("of 4 and 6: %v", got)
	}
	if got := stddev(5, 25, 1); got != 0 {
		t.Errorf("of one value: %v", got)
	}
}
