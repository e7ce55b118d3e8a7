package conformance

import (
	"encoding/json"
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestStatus(t *testing.T) {
	text := must(t, "ceph", "-s")
	has(t, text, "cluster:", "health: HEALTH_OK", "services:", "mon: 1 daemons, quorum a",
		"mgr: x(active", "osd: 3 osds: 3 up", "3 in", "data:", "pools:", "active+clean")
	var s struct {
		FSID   string `json:"fsid"`
		Health struct {
			Status string `json:"status"`
		} `json:"health"`
		OSDMap struct {
			NumOSDs, NumUpOSDs, NumInOSDs int
		} `json:"osdmap"`
		PGMap struct {
			NumPGs     int `json:"num_pgs"`
			PGsByState []struct {
				StateName string `json:"state_name"`
				Count     int    `json:"count"`
			} `json:"pgs_by_state"`
		} `json:"pgmap"`
	}
	asJSON(t, &s, "ceph", "status")
	if s.Health.Status != "HEALTH_OK" || len(s.PGMap.PGsByState) != 1 ||
		s.PGMap.PGsByState[0].StateName != "active+clean" ||
		s.PGMap.PGsByState[0].Count != s.PGMap.NumPGs || s.PGMap.NumPGs == 0 {
		t.Errorf("status: %+v", s)
	}
	if got := strings.TrimSpace(must(t, "ceph", "fsid")); got != s.FSID {
		t.Errorf("fsid %q, status has %q", got, s.FSID)
	}
	has(t, must(t, "ceph", "health", "detail"), "HEALTH_OK")
}

// TestPlainOutput looks for what scripts and eyes rely on in the plain text of each command.
func TestPlainOutput(t *testing.T) {
	for _, c := range []struct {
		args string
		want []string // regular expressions, in any order
	}{
		{"osd tree", []string{`(?m)^ID +CLASS +WEIGHT +TYPE NAME +STATUS +REWEIGHT +PRI-AFF`,
			`root default`, `host \S+`, `osd\.2 +up +1\.00000 +1\.00000`}},
		{"osd dump", []string{`(?m)^epoch \d+$`, `(?m)^fsid [0-9a-f-]{36}$`,
			`(?m)^flags sortbitwise`,
			`(?m)^full_ratio 0\.95$`, `(?m)^require_osd_release pacific$`, `(?m)^max_osd 3$`,
			`(?m)^pool \d+ 'conf' replicated size 3 min_size 2 crush_rule 0 `,
			` object_hash rjenkins pg_num 16`,
			`(?m)^osd\.0 up   in  weight 1 up_from \d+`}},
		{"osd stat", []string{`^3 osds: 3 up \(since .*\), 3 in \(since .*\); epoch: e\d+`}},
		{"osd ls", []string{`^0\n1\n2\n$`}},
		{"mon dump", []string{`(?m)^epoch \d+$`, `(?m)^min_mon_release 16 \(pacific\)$`,
			`(?m)^0: .*v2:127\.0\.0\.1:\d+/0.* mon\.a$`}},
		{"mon stat", []string{
			`^e\d+: 1 mons at \{a=.*\}, election epoch \d+, leader 0 a, quorum 0 a`}},
		{"pg stat", []string{`^\d+ pgs: \d+ active\+clean; .* data, .* used, .* / .* avail`}},
		{"pg dump", []string{`(?m)^version \d+$`, `(?m)^PG_STAT +OBJECTS`,
			`(?m)^\d+\.0 .*active\+clean`,
			`(?m)^OSD_STAT +USED`, `(?m)^sum `}},
		{"pg ls", []string{`(?m)^PG +OBJECTS`, `active\+clean`}},
		{"df", []string{`--- RAW STORAGE ---`, `--- POOLS ---`, `(?m)^TOTAL `,
			`(?m)^POOL +ID +PGS +STORED +OBJECTS +USED +%USED +MAX AVAIL`, `(?m)^conf +\d+ +16 `}},
		{"osd df", []string{`(?m)^ID +CLASS +WEIGHT +REWEIGHT +SIZE +RAW USE`, `(?m)^ +TOTAL `,
			`(?m)^MIN/MAX VAR:`}},
		{"osd pool stats", []string{`(?m)^pool conf id \d+`}},
		{"osd pool ls", []string{`(?m)^conf$`}},
		{"osd pool ls detail", []string{`(?m)^pool \d+ 'conf' replicated`, `application rbd`}},
		{"osd lspools", []string{`(?m)^\d+ conf$`}},
		{"versions", []string{`"mon": \{`, `"osd": \{`, `"overall": \{`}},
		{"auth ls", []string{`(?m)^client\.admin$`, `(?m)^osd\.0$`, `caps: \[mon\] allow \*`}},
		{"quorum_status", []string{`"quorum_names":`}},
		{"config dump", []string{`(?m)^WHO +MASK +LEVEL +OPTION +VALUE +RO`}},
		{"mgr stat", []string{`"active_name": "x"`, `"available": true`}},
		{"osd crush rule ls", []string{`(?m)^replicated_rule$`}},
		{"osd blocklist ls", nil},
		{"features", []string{`"mon":`}},
		{"osd pool get conf all", []string{`(?m)^size: 3$`, `(?m)^pg_num: 16$`}},
		{"osd find 0", []string{`"osd": 0`}},
		{"osd metadata 0", []string{`"id": 0`, `"ceph_version"`, `"distro": "`, `"arch": "`,
			`"mem_total_kb": "`, `"kernel_version": "`, `"rotational": "`, `"osd_data": "`}},
		{"tell osd.0 version", []string{`"version":`}},
		{"mon metadata a", []string{`"hostname": "`}},
		{"osd erasure-code-profile ls", []string{`default`}},
		{"osd map conf someobject", []string{
			`^osdmap e\d+ pool 'conf' \(\d+\) object 'someobject' -> pg .* -> up \(\[`}},
	} {
		out := must(t, "ceph", strings.Fields(c.args)...)
		for _, w := range c.want {
			if !regexp.MustCompile(w).MatchString(out) {
				t.Errorf("ceph %s: no match for %s in:\n%s", c.args, w, out)
			}
		}
	}
}

// TestFormats checks that -f json and -f xml parse, and have the keys that tools read.
func TestFormats(t *testing.T) {
	for args, keys := range map[string]string{
		"osd tree": "nodes stray",
		"osd dump": "epoch fsid pools osds osd_xinfo flags crush_version",
		"osd stat": "epoch num_osds num_up_osds num_in_osds", "mon dump": "epoch fsid mons quorum",
		"pg dump": "pg_map", "pg stat": "pg_summary", "df": "stats pools",
		"osd df": "nodes stray summary", "versions": "mon osd overall", "auth ls": "auth_dump",
		"health detail": "status checks", "quorum_status": "quorum monmap quorum_leader_name",
		"mgr dump": "epoch active_name available", "mgr stat": "epoch available",
		"osd crush dump": "devices types buckets rules tunables", "pg ls": "pg_stats",
		"mon stat": "epoch leader", "fsid": "fsid", "osd metadata 0": "id hostname osd_objectstore",
		"osd pool get conf size": "pool size", "node ls": "mon osd",
		"osd find 1":       "osd crush_location",
		"time-sync-status": "timechecks", "osd perf": "osdstats",
	} {
		var v map[string]any
		asJSON(t, &v, "ceph", strings.Fields(args)...)
		for _, k := range strings.Fields(keys) {
			if _, ok := v[k]; !ok {
				t.Errorf("ceph %s -f json has no %q", args, k)
			}
		}
	}
	for _, args := range []string{"osd pool ls", "osd pool ls detail", "osd lspools", "osd ls",
		"config dump", "log last 3", "osd pool stats", "osd crush rule dump", "mon metadata",
		"osd crush class ls", "config-key ls"} {
		var v []any
		asJSON(t, &v, "ceph", strings.Fields(args)...)
	}
	for args, path := range map[string]string{
		"df -f xml": "stats pools pool name", "status -f xml-pretty": "status quorum_names id",
		"osd dump -f xml": "osdmap osds osd_info osd", "tell osd.0 status -f xml": "status whoami",
		"pg dump -f xml": "pg_info pg_map pg_stats pg_stat up osd",
	} {
		dec := xml.NewDecoder(strings.NewReader(must(t, "ceph", strings.Fields(args)...)))
		if left := follow(dec, strings.Fields(path)); len(left) > 0 {
			t.Errorf("ceph %s has no %s on the way %s", args, left[0], path)
		}
		for err := error(nil); err != io.EOF; _, err = dec.Token() {
			if err != nil {
				t.Fatalf("ceph %s: %v", args, err)
			}
		}
	}
}

// follow goes from the outermost element of a text through ones within it, and returns those that
// aren't there.
func follow(dec *xml.Decoder, path []string) []string {
	depth := 0
	for len(path) > 0 {
		tok, err := dec.Token()
		if err != nil {
			return path
		}
		switch e := tok.(type) {
		case xml.StartElement:
			if e.Name.Local != path[0] {
				if depth == 0 || dec.Skip() != nil {
					return path
				}
				continue
			}
			path = path[1:]
			depth++
		case xml.EndElement:
			return path
		}
	}
	return nil
}

func TestMapsReadByStockTools(t *testing.T) {
	dir := t.TempDir()
	crush, osdmap := filepath.Join(dir, "crush"), filepath.Join(dir, "osdmap")
	must(t, "ceph", "osd", "getcrushmap", "-o", crush)
	has(t, must(t, "crushtool", "-d", crush), "rule replicated_rule {", "root default {",
		"device 2 osd.2")
	must(t, "ceph", "osd", "getmap", "-o", osdmap)
	printed := must(t, "osdmaptool", osdmap, "--print")
	dumped := must(t, "ceph", "osd", "dump")
	for _, line := range strings.Split(strings.TrimSpace(dumped), "\n") {
		if strings.HasPrefix(line, "epoch") || strings.HasPrefix(line, "modified") {
			continue // the map may have moved on between the two commands
		}
		if !strings.Contains(printed, line) && !strings.HasPrefix(line, "osd.") {
			t.Errorf("osd dump has a line that osdmaptool --print lacks: %s", line)
		}
	}
	// A CRUSH map that goes back in is the same map.
	must(t, "ceph", "osd", "setcrushmap", "-i", crush)
	again := filepath.Join(dir, "again")
	must(t, "ceph", "osd", "getcrushmap", "-o", again)
	if string(read(t, crush)) != string(read(t, again)) {
		t.Error("getcrushmap after setcrushmap differs")
	}
	if err := os.WriteFile(again, []byte("no map"), 0o644); err != nil {
		t.Fatal(err)
	}
	fails(t, 22, "EINVAL", "ceph", "osd", "setcrushmap", "-i", again)
}

func TestAuthCommands(t *testing.T) {
	defer must(t, "ceph", "auth", "rm", "client.conftest")
	made := must(t, "ceph", "auth", "get-or-create", "client.conftest", "mon", "allow r", "osd",
		"allow rw pool=conf")
	has(t, made, "[client.conftest]", "key = ")
	if again := must(t, "ceph", "auth", "get-or-create", "client.conftest", "mon", "allow r", "osd",
		"allow rw pool=conf"); again != made {
		t.Errorf("get-or-create again: %q, first %q", again, made)
	}
	fails(t, 22, "does not match", "ceph", "auth", "get-or-create", "client.conftest", "mon",
		"allow *")
	r, err := shared.exec("", "ceph", "auth", "caps", "client.conftest", "mon", "allow r",
		"osd", "allow r")
	if err != nil || r.code != 0 ||
		!strings.Contains(r.stderr, "updated caps for client.conftest") {
		t.Errorf("auth caps: %+v %v", r, err)
	}
	got := must(t, "ceph", "auth", "get", "client.conftest")
	has(t, got, `caps osd = "allow r"`, `caps mon = "allow r"`)
	key := strings.TrimSpace(must(t, "ceph", "auth", "print-key", "client.conftest"))
	if !strings.Contains(made, key) || len(key) != 40 {
		t.Errorf("print-key: %q", key)
	}
	fails(t, 22, "EINVAL", "ceph", "auth", "caps", "client.conftest", "mon", "allow nonsense")
	fails(t, 2, "failed to find client.nobody", "ceph", "auth", "get", "client.nobody")
}

func TestPoolCommands(t *testing.T) {
	must(t, "ceph", "osd", "pool", "create", "p1", "8")
	fails(t, 0, "pool 'p1' already exists", "ceph", "osd", "pool", "create", "p1", "8")
	must(t, "ceph", "osd", "pool", "application", "enable", "p1", "rados")
	has(t, must(t, "ceph", "osd", "pool", "application", "get", "p1"), `"rados": {}`)
	must(t, "ceph", "osd", "pool", "set", "p1", "size", "2")
	if got := must(t, "ceph", "osd", "pool", "get", "p1", "size"); got != "size: 2\n" {
		t.Errorf("size: %q", got)
	}
	fails(t, 22, "EINVAL", "ceph", "osd", "pool", "set", "p1", "size", "0")
	fails(t, 22, "EINVAL", "ceph", "osd", "pool", "set", "p1", "nonsense", "1")
	fails(t, 2, "unrecognized pool 'nope'", "ceph", "osd", "pool", "get", "nope", "size")
	must(t, "ceph", "osd", "pool", "rename", "p1", "p2")
	has(t, must(t, "ceph", "osd", "pool", "ls"), "p2\n")
	fails(t, 1, "EPERM", "ceph", "osd", "pool", "rm", "p2")
	must(t, "ceph", "osd", "pool", "rm", "p2", "p2", "--yes-i-really-really-mean-it")
	if strings.Contains(must(t, "ceph", "osd", "pool", "ls"), "p2") {
		t.Error("p2 is still there")
	}
	fails(t, 34, "ERANGE", "ceph", "osd", "pool", "create", "huge", "65537")
}

func TestConfigCommands(t *testing.T) {
	must(t, "ceph", "config", "set", "osd", "osd_max_backfills", "3")
	if got := must(t, "ceph", "config", "get", "osd.0", "osd_max_backfills"); got != "3\n" {
		t.Errorf("config get: %q", got)
	}
	has(t, must(t, "ceph", "config", "dump"), "osd_max_backfills")
	must(t, "ceph", "config", "rm", "osd", "osd_max_backfills")
	if got := must(t, "ceph", "config", "get", "osd.0", "osd_max_backfills"); got != "1\n" {
		t.Errorf("config get after rm: %q", got)
	}
	fails(t, 22, "EINVAL", "ceph", "config", "set", "osd", "osd_max_backfills", "many")
	fails(t, 22, "unrecognized config option", "ceph", "config", "set", "osd", "no_such_option",
		"1")
	must(t, "ceph", "config-key", "set", "conf/a", "one")
	if got := must(t, "ceph", "config-key", "get", "conf/a"); got != "one\n" && got != "one" {
		t.Errorf("config-key get: %q", got)
	}
	must(t, "ceph", "config-key", "rm", "conf/a")
	fails(t, 2, "ENOENT", "ceph", "config-key", "get", "conf/a")
}

func TestClusterLog(t *testing.T) {
	must(t, "ceph", "log", "a line for the test")
	has(t, must(t, "ceph", "log", "last", "50"), "a line for the test")
}

func TestUnknownCommands(t *testing.T) {
	fails(t, 22, "no valid command found", "ceph", "no", "such", "command")
	fails(t, 22, "Invalid command", "ceph", "osd", "in")
}

func TestTell(t *testing.T) {
	var v map[string]any
	if err := json.Unmarshal([]byte(must(t, "ceph", "tell", "osd.1", "version")), &v); err != nil {
		t.Fatal(err)
	}
	has(t, must(t, "ceph", "tell", "osd.1", "config", "get", "osd_heartbeat_grace"), "20")
	has(t, must(t, "ceph", "tell", "osd.1", "dump_ops_in_flight"), "num_ops")
	has(t, must(t, "ceph", "tell", "osd.1", "perf", "dump"), "{")
}
