package cephjson

import "testing"

func TestFormatFloat(t *testing.T) {
	for _, c := range []struct {
		v      float64
		digits int
		want   string
	}{
		{float64(float32(0.95)), 17, "0.94999998807907104"},
		{1, 17, "1"}, {0, 17, "0"}, {0.25, 17, "0.25"}, {100, 17, "100"},
		{0.00001234, 6, "1.234e-05"}, {1e20, 17, "1e+20"}, {123456789, 6, "1.23457e+08"},
		{float64(float32(0.85)), 6, "0.85"}, {-2.5, 17, "-2.5"}, {999999.5, 6, "1e+06"},
	} {
		if got := FormatFloat(c.v, c.digits); got != c.want {
			t.Errorf("FormatFloat(%v, %d) = %s, want %s", c.v, c.digits, got, c.want)
		}
	}
	if got := string(Marshal(Float(0.5), false)); got != "0.5" {
		t.Errorf("Float marshals as %s", got)
	}
}
