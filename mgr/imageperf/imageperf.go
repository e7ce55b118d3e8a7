// Package imageperf answers what clients do to images ("rbd perf image iostat"), as the stock
// manager's module rbd_support does: a question begins to count, which ends when it was not asked
// again for a while. It is pure; a Watch belongs to one goroutine.
package imageperf

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"

	"glue/cluster/imagestat"
)

const (
	expire   = time.Minute // after the last question
	window   = time.Minute // between two samples that make a rate
	maxShown = 64          // images in an answer
	refresh  = 5 * time.Minute
	maxKept  = 50_000 // images of one question
)

// A Scope is what a question is about: a namespace of a pool, or all pools of images.
type Scope struct {
	All             bool
	Pool, Namespace string
}

var scopeForm = regexp.MustCompile(`^([^/]+)(?:/([^/]+))?$`)

// ParseScope reads POOL[/NAMESPACE]; the empty text means all.
func ParseScope(text string) (Scope, error) {
	if text == "" {
		return Scope{All: true}, nil
	}
	m := scopeForm.FindStringSubmatch(text)
	if m == nil {
		return Scope{}, fmt.Errorf("Invalid pool spec: %s", text)
	}
	return Scope{Pool: m[1], Namespace: m[2]}, nil
}

// A sample is what was counted until a second.
type sample struct {
	at int64
	imagestat.Counters
}

// An image is the last two samples and the sum of all since the question was first asked.
type image struct {
	last, before *sample
	sum          imagestat.Counters
}

// rate is one counter per second; of a latency the average.
func (i *image) rate(k int) float64 {
	if i.last == nil || i.before == nil {
		return 0
	}
	span := i.last.at - i.before.at
	if span <= 0 || span > int64(window/time.Second) {
		return 0
	}
	r := float64(i.last.Counters[k]) / float64(span)
	switch k {
	case imagestat.WriteLatency:
		r /= max(1, i.rate(imagestat.WriteOps))
	case imagestat.ReadLatency:
		r /= max(1, i.rate(imagestat.ReadOps))
	}
	return r
}

// A question is one scope that was asked about.
type question struct {
	asked  time.Time
	images map[imagestat.Key]*image
}

// A Place is a namespace of a pool whose images have names.
type Place struct {
	Pool      int64
	Namespace string
}

// A Watch is all that was asked and counted. Its zero value is ready.
type Watch struct {
	questions map[Scope]*question
	pending   map[imagestat.Key]*imagestat.Counters
	names     map[Place]map[string]string
	namedAt   time.Time
}

// Active says whether anything is to be counted.
func (w *Watch) Active() bool { return len(w.questions) > 0 }

// Take takes an OSD's report.
func (w *Watch) Take(report map[imagestat.Key]*imagestat.Counters) {
	if !w.Active() {
		return
	}
	if w.pending == nil {
		w.pending = map[imagestat.Key]*imagestat.Counters{}
	}
	for k, c := range report {
		if sum := w.pending[k]; sum != nil {
			sum.Add(c)
		} else if len(w.pending) < maxKept {
			w.pending[k] = c
		}
	}
}

// Step makes what was reported since the last step a sample. It returns the places where images
// have no known name: tell Named what they have.
func (w *Watch) Step(now time.Time, pools map[int64]string) []Place {
	for s, q := range w.questions {
		if now.Sub(q.asked) > expire {
			delete(w.questions, s)
		}
	}
	if !w.Active() {
		*w = Watch{}
		return nil
	}
	if now.Sub(w.namedAt) > refresh {
		w.names = nil // they may have been renamed
	}
	unknown := map[Place]bool{}
	for k := range w.pending {
		p := Place{k.Pool, k.Namespace}
		if _, ok := w.names[p][k.Image]; !ok && pools[k.Pool] != "" {
			unknown[p] = true
		}
	}
	for s, q := range w.questions {
		q.step(now, s, w.pending, pools)
		for k := range q.images {
			if p := (Place{k.Pool, k.Namespace}); w.names[p] == nil && pools[k.Pool] != "" {
				unknown[p] = true
			}
		}
	}
	w.pending = nil
	return slices.SortedFunc(maps.Keys(unknown), func(a, b Place) int {
		return cmp.Or(cmp.Compare(a.Pool, b.Pool), cmp.Compare(a.Namespace, b.Namespace))
	})
}

func (q *question) step(
	now time.Time, s Scope, counted map[imagestat.Key]*imagestat.Counters, pools map[int64]string,
) {
	at := now.Unix()
	for k := range counted {
		name := pools[k.Pool]
		if name == "" || !s.All && (name != s.Pool || k.Namespace != s.Namespace) {
			continue
		}
		if q.images[k] == nil && len(q.images) < maxKept {
			q.images[k] = &image{}
		}
	}
	for k, i := range q.images {
		if i.last != nil && i.last.at < at {
			i.before, i.last = i.last, nil
		}
		if i.last == nil {
			i.last = &sample{at: at}
		}
		if c := counted[k]; c != nil {
			i.last.Counters.Add(c)
			i.sum.Add(c)
		}
	}
}

// Named takes the names of the images of a place, by id. Images that are not there are forgotten.
func (w *Watch) Named(now time.Time, p Place, names map[string]string) {
	if w.names == nil {
		w.names = map[Place]map[string]string{}
	}
	w.names[p], w.namedAt = names, now
	for _, q := range w.questions {
		for k := range q.images {
			if k.Pool == p.Pool && k.Namespace == p.Namespace && names[k.Image] == "" {
				delete(q.images, k)
			}
		}
	}
}

// Ask answers a question: rates per second, or with counters the sums since it was first asked.
func (w *Watch) Ask(
	now time.Time, s Scope, pools map[int64]string, sortBy int, counters bool,
) []byte {
	q := w.questions[s]
	if q == nil {
		q = &question{images: map[imagestat.Key]*image{}}
		if w.questions == nil {
			w.questions = map[Scope]*question{}
		}
		w.questions[s] = q
	}
	q.asked = now
	keys := slices.SortedFunc(maps.Keys(q.images), func(a, b imagestat.Key) int {
		return cmp.Or(cmp.Compare(q.images[b].rate(sortBy), q.images[a].rate(sortBy)),
			cmp.Compare(a.Pool, b.Pool), cmp.Compare(a.Namespace, b.Namespace),
			cmp.Compare(a.Image, b.Image))
	})
	what, rows, places := "stat", []any{}, map[string]string{}
	if counters {
		what = "counter"
	}
	index := map[string]int{}
	for _, k := range keys[:min(len(keys), maxShown)] {
		place, name := pools[k.Pool], w.names[Place{k.Pool, k.Namespace}][k.Image]
		if place == "" || name == "" {
			continue
		}
		if k.Namespace != "" {
			place += "/" + k.Namespace
		}
		data, some := q.images[k].data(counters)
		if !some {
			continue
		}
		n, ok := index[place]
		if !ok {
			n = len(index)
			index[place], places[fmt.Sprint(n)] = n, place
		}
		rows = append(rows, map[string]any{fmt.Sprintf("%d/%s", n, name): data})
	}
	answer, _ := json.Marshal(map[string]any{"timestamp": now.Unix(), // strings and numbers
		what + "_descriptors": imagestat.Names, "pool_descriptors": places, what + "s": rows})
	return answer
}

// data is what an answer has of an image, and whether any of it is not 0.
func (i *image) data(counters bool) (out []any, some bool) {
	for k := range imagestat.Names {
		if counters {
			out = append(out, i.sum[k])
			some = some || i.sum[k] != 0
			continue
		}
		r := i.rate(k)
		out = append(out, r)
		some = some || r != 0
	}
	return out, some
}
