package crash

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

const stock = `{"crash_id":"%s","timestamp":"2026-11-27T07:00:00.123456Z",` +
	`"process_name":"ceph-osd","entity_name":"osd.1","utsname_hostname":"h1",` +
	`"backtrace":["(foo(int)+0x12) [0x1234]","(bar()+0x1) [0x99]"],"note":"ü <&>"}`

func at(s string) time.Time {
	t, err := parseTime(s)
	if err != nil {
		panic(err)
	}
	return t
}

// TestPost: the signature is the one that 16.2.15 gives the same report.
func TestPost(t *testing.T) {
	s := Reports{}
	r, err := s.Post(fmt.Appendf(nil, stock, "a"))
	if err != nil || r["stack_sig"] !=
		"61366fe4e06bd1c06cac527f19908e44b5ce3bfe8c6c756f6c889ad940adb602" {
		t.Fatalf("%v, %v", r, err)
	}
	if again, err := s.Post(fmt.Appendf(nil, stock, "a")); again != nil || err != nil {
		t.Errorf("posted twice: %v, %v", again, err)
	}
	back, err := Read(r.Encode())
	if err != nil || back.ID() != "a" || back["note"] != "ü <&>" {
		t.Errorf("%v, %v", back, err)
	}
	for text, says := range map[string]string{
		`{"x"`: "EOF", `null`: "no object", `[]`: "cannot unmarshal",
		`{"timestamp":"2026-11-27T07:00:00Z"}`:                   "missing 'crash_id' field",
		`{"crash_id":"b"}`:                                       "missing 'timestamp' field",
		`{"crash_id":"b","timestamp":"z"}`:                       "time data 'z' does not match",
		`{"crash_id":"../b","timestamp":"2026-11-27T07:00:00Z"}`: "not valid",
		`"` + strings.Repeat("x", MaxReport) + `"`:               "at most",
	} {
		if r, err := s.Post([]byte(text)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%.50s: %v, %v", text, r, err)
		}
	}
	if len(s) != 1 {
		t.Errorf("%d reports", len(s))
	}
	for i := range MaxReports {
		s.Post(fmt.Appendf(nil, stock, fmt.Sprint("n", i)))
	}
	if len(s) != MaxReports {
		t.Errorf("%d reports", len(s))
	}
}

// TestLife: reports warn until somebody has taken note of them or they are old, and are pruned.
func TestLife(t *testing.T) {
	s := Reports{}
	for _, id := range []string{"b", "a"} {
		if _, err := s.Post(fmt.Appendf(nil, stock, id)); err != nil {
			t.Fatal(err)
		}
	}
	now, day := at("2026-11-29T08:00:00"), 24*time.Hour
	c := s.Checks(now, 14*day)
	if len(c) != 1 || c[0].Summary != "2 daemons have recently crashed" || c[0].Count != 2 ||
		c[0].Detail[0] != "osd.1 crashed on host h1 at 2026-11-27T07:00:00.123456Z" {
		t.Errorf("%+v", c)
	}
	if c := s.Checks(now, day); c != nil {
		t.Errorf("%+v", c)
	}
	for got, want := range map[string]string{
		s.Stat(now):         "2 crashes recorded\n2 older than 1 days old:\na\nb\n\n",
		Table(s.List(true)): "ID  ENTITY  NEW  \na   osd.1    *   \nb   osd.1    *   \n",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := s.Archive(now, "b"); len(got) != 1 || got[0]["archived"] == nil {
		t.Errorf("%v", got)
	}
	if got := s.Archive(now, ""); len(got) != 1 || got[0].ID() != "a" {
		t.Errorf("%v", got)
	}
	if got := s.Archive(now, ""); got != nil || len(s.Checks(now, 14*day)) > 0 ||
		len(s.List(true)) > 0 || len(s.List(false)) != 2 {
		t.Errorf("%v", got)
	}
	if got := s.Prune(now, 3*day); got != nil {
		t.Errorf("%v", got)
	}
	if got := s.Prune(now, day); !slices.Equal(got, []string{"a", "b"}) || len(s) > 0 {
		t.Errorf("%v", got)
	}
}
