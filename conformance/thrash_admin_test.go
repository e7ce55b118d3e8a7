package conformance

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"syscall"
)

// What an operator does to a cluster that works.

// crushWeight is that of an OSD of the usual 10 GiB: TiB.
const crushWeight = 0.00977

const mostAdded = 2 // OSDs beyond those that were there first

// maybe runs a command on something that may be gone by now.
func (h *thrasher) maybe(args ...string) bool {
	r, err := h.exec("", "ceph", args...)
	if err == nil && r.code == int(syscall.ENOENT) {
		return false
	}
	if err == nil && r.code == 0 {
		return true
	}
	return h.ceph(args...) // which says what is wrong
}

// decode runs a command and decodes its JSON.
func (h *thrasher) decode(v any, args ...string) bool {
	out, err := h.run("ceph", append(args, "-f", "json")...)
	if err == nil {
		err = json.Unmarshal([]byte(out), v)
	}
	if err != nil {
		h.t.Errorf("ceph %v: %v", args, err)
	}
	return err == nil
}

// add gives the cluster one more OSD.
func (h *thrasher) add() bool {
	if len(h.ids) >= h.own+mostAdded {
		return false
	}
	out, err := h.glue("osd", "create", "--data", h.dir)
	m := regexp.MustCompile(`osd\.(\d+) is up`).FindStringSubmatch(out)
	if err != nil || m == nil {
		h.t.Errorf("glue osd create: %v\n%s", err, out)
		return false
	}
	id, _ := strconv.Atoi(m[1])
	h.ids = append(h.ids, id)
	h.say("osd.%d is added", id)
	return true
}

// purge takes an OSD that was added out for good, or, when nothing is left on one that is, away.
func (h *thrasher) purge() bool {
	if len(h.ids) == h.own {
		return false
	}
	id := h.ids[h.own+h.r.Intn(len(h.ids)-h.own)]
	name, n := osdName(id), strconv.Itoa(id)
	if !h.leaving[id] {
		delete(h.outs, id)
		h.leaving[id] = true
		h.say("%s is to go", name)
		h.ceph("osd", "out", n)
		return false
	}
	if r, err := h.exec("", "ceph", "osd", "safe-to-destroy", n); err != nil || r.code != 0 {
		return false
	}
	if !h.dead[name] {
		h.kill9(h.t, name)
	}
	delete(h.dead, name)
	delete(h.held, name)
	if !h.ceph("osd", "down", n) || !h.ceph("osd", "purge", n, "--yes-i-really-mean-it") {
		return false
	}
	delete(h.leaving, id)
	h.ids = slices.DeleteFunc(h.ids, func(x int) bool { return x == id })
	for _, path := range []string{filepath.Join("run", name+".pid"), name} {
		if err := os.RemoveAll(filepath.Join(h.dir, path)); err != nil {
			h.t.Fatal(err)
		}
	}
	h.say("%s is purged", name)
	return true
}

func (h *thrasher) crushWeight() bool {
	name, w := osdName(h.id()), fmt.Sprintf("%.5f", crushWeight*(0.3+0.7*h.r.Float64()))
	h.say("%s weighs %s", name, w)
	return h.ceph("osd", "crush", "reweight", name, w)
}

// upmap puts a copy of a PG elsewhere.
func (h *thrasher) upmap() bool {
	var ls struct {
		PGs []pgRow `json:"pg_stats"`
	}
	if !h.decode(&ls, "pg", "ls") || len(ls.PGs) == 0 {
		return false
	}
	p, to := ls.PGs[h.r.Intn(len(ls.PGs))], h.id()
	if slices.Contains(p.Up, to) || len(p.Up) == 0 || h.outs[to] || h.leaving[to] {
		return false
	}
	from := p.Up[h.r.Intn(len(p.Up))]
	h.say("pg %s from osd.%d to osd.%d", p.ID, from, to)
	return h.maybe("osd", "pg-upmap-items", p.ID, strconv.Itoa(from), strconv.Itoa(to))
}

func (h *thrasher) rmUpmap() bool {
	var dump struct {
		Items []struct {
			PG string `json:"pgid"`
		} `json:"pg_upmap_items"`
	}
	if !h.decode(&dump, "osd", "dump") || len(dump.Items) == 0 {
		return false
	}
	pg := dump.Items[h.r.Intn(len(dump.Items))].PG
	h.say("pg %s where CRUSH puts it", pg)
	return h.maybe("osd", "rm-pg-upmap-items", pg)
}

func (h *thrasher) balancer() bool {
	h.balanced = !h.balanced
	word := map[bool]string{false: "off", true: "on"}[h.balanced]
	h.say("balancer %s", word)
	return h.ceph("balancer", word)
}
