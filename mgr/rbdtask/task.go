// Package rbdtask removes, flattens and migrates images in the background, as the stock manager's
// module rbd_support does: a task is a record in the object rbd_task of its pool, so that it
// outlives the manager, and the managers of Ceph 16.2 read the same records.
//
// A Queue belongs to the manager's process. Its methods may be called from any goroutine; tasks are
// carried out one after the other by the goroutine that Activate starts. Invariants: a task that
// was answered is durable in its pool; its record goes only when it is done, has failed for good,
// or was cancelled.
package rbdtask

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"regexp"
	"time"

	"glue/ceph"
)

// Actions, as in the records.
const (
	Flatten     = "flatten"
	Remove      = "remove"
	TrashRemove = "trash remove"
	Execute     = "migrate execute"
	Commit      = "migrate commit"
	Abort       = "migrate abort"
)

// phrases are the messages of tasks; %s is what they are about.
var phrases = map[string]string{
	Flatten:     "Flattening image %s",
	Remove:      "Removing image %s",
	TrashRemove: "Removing image %s from trash",
	Commit:      "Committing image migration for %s",
	Abort:       "Aborting image migration for %s",
}

// object holds the tasks of a pool or namespace: omap of sequence to record.
const object = "rbd_task"

// refs say what a task is about.
type refs struct {
	Action    string `json:"action"`
	Pool      string `json:"pool_name"`
	Namespace string `json:"pool_namespace"`
	Image     string `json:"image_name,omitempty"`
	ID        string `json:"image_id,omitempty"`
}

// same says whether two tasks are about the same thing. An image that is gone has no id any more.
func (r refs) same(q refs) bool {
	if q.ID == "" {
		r.ID = ""
	}
	return r == q
}

// A record is a task as it is kept.
type record struct {
	Sequence uint64 `json:"sequence"`
	ID       string `json:"id"`
	Message  string `json:"message"`
	Refs     refs   `json:"refs"`
}

// A task is a record and how far it is.
type task struct {
	record
	running  bool
	progress float64
	attempts int
	retryAt  time.Time // not before
	lastErr  string
	cancel   func() // of one that runs
	canceled bool
	told     time.Time // when its event was last brought up to date
	unsaved  bool      // its record is not in its pool yet
}

func (r record) key() string { return fmt.Sprintf("%016X", r.Sequence) }

// dump is what the commands print of a task.
func (t *task) dump() map[string]any {
	text, _ := json.Marshal(t.record) // strings and a number
	out := map[string]any{}
	_ = json.Unmarshal(text, &out)
	out["sequence"] = t.Sequence
	if t.lastErr != "" {
		out["retry_message"] = t.lastErr
	}
	if t.attempts > 0 {
		out["retry_attempts"] = t.attempts
		out["retry_time"] = t.retryAt.Format("2006-01-02T15:04:05.000000")
	}
	if t.running {
		out["in_progress"], out["progress"] = true, t.progress
	}
	if t.canceled {
		out["canceled"] = true
	}
	return out
}

// eventRefs are what an event in "ceph progress" says that it is about.
func (r record) eventRefs() map[string]any {
	text, _ := json.Marshal(r.Refs) // strings
	out := map[string]any{"origin": "rbd_support"}
	_ = json.Unmarshal(text, &out)
	return out
}

// parse reads the record of a task.
func parse(text []byte) (record, error) {
	var r record
	if err := json.Unmarshal(text, &r); err != nil {
		return r, err
	}
	if r.ID == "" || r.Refs.Pool == "" {
		return r, fmt.Errorf("no id or no pool in %.200q", text)
	}
	return r, nil
}

// A spec names an image, or the id of one in the trash.
type spec struct{ pool, namespace, image string }

func (s spec) String() string {
	if s.namespace == "" {
		return s.pool + "/" + s.image
	}
	return s.pool + "/" + s.namespace + "/" + s.image
}

var specForm = regexp.MustCompile(`^(?:([^/]+)/(?:([^/]+)/)?)?([^/@]+)$`)

// parseSpec reads [POOL/[NAMESPACE/]]IMAGE.
func parseSpec(text, defaultPool string) (spec, error) {
	m := specForm.FindStringSubmatch(text)
	if m == nil {
		return spec{}, &Error{ceph.EINVAL, "Invalid image spec: " + text}
	}
	if m[1] == "" {
		m[1] = defaultPool
	}
	return spec{m[1], m[2], m[3]}, nil
}

// newID is a random UUID.
func newID() string {
	var u ceph.UUID
	_, _ = rand.Read(u[:]) // never fails
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	return u.String()
}

// An Error is an answer to who asked, in the words of the stock module.
type Error struct {
	Errno ceph.Errno
	Text  string
}

func (e *Error) Error() string { return e.Text }

// Unwrap is the error number.
func (e *Error) Unwrap() error { return e.Errno }

const (
	retryStep = 30 * time.Second // per attempt
	retryMost = 5 * time.Minute
)

// retryAfter is how long a task that failed rests.
func retryAfter(attempts int) time.Duration {
	return min(time.Duration(attempts)*retryStep, retryMost)
}
