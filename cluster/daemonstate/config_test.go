package daemonstate

import (
	"reflect"
	"strings"
	"testing"

	"glue/internal/options"
)

func TestConfigRoundTrip(t *testing.T) {
	c := Config{"osd_max_backfills": {{Source: options.FromOverride, Value: "7"},
		{Source: options.FromMon, Value: "3"}, {Source: options.FromDefault, Value: "1"}},
		"log_level": {{Source: options.FromFile, Value: "debug"}}}
	b := EncodeConfig(c)
	got, err := DecodeConfig(b)
	if err != nil || !reflect.DeepEqual(got, c) {
		t.Fatalf("%v, want %v: %v", got, c, err)
	}
	for n := range b {
		if _, err := DecodeConfig(b[:n]); err == nil {
			t.Fatalf("cut at %d of %d decodes", n, len(b))
		}
	}
	text := c.Text()
	if !strings.Contains(text, "override  mon[3]") || !strings.Contains(text, "debug  file") {
		t.Errorf("table:\n%s", text)
	}
	all := c.WithDefaults()
	if len(all) < 1500 || len(all) > len(options.All()) || len(c) != 2 || all["debug_osd"] == nil ||
		all["mgr/balancer/mode"] != nil {
		t.Errorf("%d with defaults, %d without", len(all), len(c))
	}
}
