package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A slowRequest is a request of the model that waited.
type slowRequest struct {
	span
	Pool, Object string
}

// model runs python/model.py on a pool, and perhaps one for snapshots of pools, until the returned
// function is called. That lists the requests that took more than 2 s.
func (c *cluster) model(t *testing.T, pool string, seed int64, pooled ...string) (
	end func() []slowRequest,
) {
	t.Helper()
	script := filepath.Join(root(), "conformance", "python", "model.py")
	cmd := c.command(context.Background(), "/usr/bin/python3",
		append([]string{script, pool, fmt.Sprint(seed)}, pooled...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	return func() []slowRequest {
		t.Helper()
		in.Close()
		err := cmd.Wait()
		var r struct {
			Writes, Copies, Snapshots, Notifies, Images int
			Slow                                        []slowRequest
			Violations                                  []string
		}
		if e := json.Unmarshal(out.Bytes(), &r); e != nil || err != nil ||
			min(r.Writes, r.Copies, r.Notifies) == 0 ||
			len(pooled) > 0 && min(r.Snapshots, r.Images) == 0 {
			t.Errorf("the model: %v\n%s%s", err, &out, &errs)
		}
		_, counts, _ := strings.Cut(out.String(), `], "writes"`)
		t.Logf(`model: {"writes"%s`, counts)
		return r.Slow
	}
}

// trimmed waits until nothing is left of snapshots, all of which were removed. That is known when
// no PGs are merged any more.
func (h *thrasher) trimmed() {
	resizing, begin := time.Now(), time.Now()
	for {
		var d struct {
			Pools []struct {
				Name   string
				Clones int `json:"num_object_clones"`
			}
		}
		out, err := h.run("rados", "df", "--format=json")
		if err != nil || json.Unmarshal([]byte(out), &d) != nil {
			h.t.Fatalf("rados df: %v\n%s", err, out)
		}
		clones := 0
		for _, p := range d.Pools {
			clones += p.Clones
		}
		detail, err := h.run("ceph", "osd", "pool", "ls", "detail")
		if err == nil && clones == 0 && !strings.Contains(detail, "removed_snaps_queue") {
			h.say("no clone is left after %v", time.Since(begin))
			return
		}
		if strings.Contains(detail, "_target ") && time.Since(resizing) < 5*time.Minute {
			begin = time.Now()
		}
		if time.Since(begin) > 2*time.Minute {
			h.t.Fatalf("%d clones are left, %v:\n%s", clones, err, detail)
		}
		time.Sleep(500 * time.Millisecond)
	}
}
