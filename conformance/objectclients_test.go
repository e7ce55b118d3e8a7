package conformance

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"glue/ceph"
	library "glue/client/rados"
)

// errnoOf makes an error one that compares.
func errnoOf(err error) error {
	var e ceph.Errno
	if errors.As(err, &e) {
		return e
	}
	return err
}

// An ourPool is a pool by client/rados.
type ourPool struct {
	ctx context.Context
	x   *library.IOCtx
}

func ourObjects(t *testing.T) objects {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	c, err := library.Connect(ctx, library.Options{ConfFile: shared.conf})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	x, err := c.OpenPool(ctx, pool)
	if err != nil {
		t.Fatal(err)
	}
	return ourPool{ctx, x}
}

func (p ourPool) who() string { return fmt.Sprintf("client.%d", p.x.Cluster().InstanceID()) }

func (p ourPool) in(v view) objects {
	x := p.x.WithNamespace(v.ns).WithLocator(v.key).WithSnap(ceph.SnapID(v.snap))
	var snaps []ceph.SnapID
	for _, id := range v.snaps {
		snaps = append(snaps, ceph.SnapID(id))
	}
	if len(snaps) > 0 {
		x = x.WithSnapContext(snaps[0], snaps)
	}
	return ourPool{p.ctx, x}
}

func num(v any) uint64 {
	if n, ok := v.(int); ok {
		return uint64(n)
	}
	return v.(uint64)
}

func octets(v any) []byte { return v.([]byte) }

// ourSteps are the operations of a step.
var ourSteps = map[string]func(w *library.WriteOp, a []any){
	"create":        func(w *library.WriteOp, a []any) { w.Create(num(a[0]) == 1) },
	"write":         func(w *library.WriteOp, a []any) { w.Write(octets(a[1]), num(a[0])) },
	"write_full":    func(w *library.WriteOp, a []any) { w.WriteFull(octets(a[0])) },
	"append":        func(w *library.WriteOp, a []any) { w.Append(octets(a[0])) },
	"truncate":      func(w *library.WriteOp, a []any) { w.Truncate(num(a[0])) },
	"zero":          func(w *library.WriteOp, a []any) { w.Zero(num(a[0]), num(a[1])) },
	"remove":        func(w *library.WriteOp, _ []any) { w.Remove() },
	"setxattr":      func(w *library.WriteOp, a []any) { w.SetXattr(a[0].(string), octets(a[1])) },
	"rmxattr":       func(w *library.WriteOp, a []any) { w.RmXattr(a[0].(string)) },
	"omap_set":      func(w *library.WriteOp, a []any) { w.OmapSet(a[0].(map[string][]byte)) },
	"omap_clear":    func(w *library.WriteOp, _ []any) { w.OmapClear() },
	"set_header":    func(w *library.WriteOp, a []any) { w.OmapSetHeader(octets(a[0])) },
	"snap_rollback": func(w *library.WriteOp, a []any) { w.Rollback(ceph.SnapID(num(a[0]))) },
	"writesame": func(w *library.WriteOp, a []any) {
		w.WriteSame(octets(a[2]), num(a[0]), num(a[1]))
	},
	"omap_rm_range": func(w *library.WriteOp, a []any) {
		w.OmapRmRange(string(octets(a[0])), string(octets(a[1])))
	},
	"cmpxattr": func(w *library.WriteOp, a []any) {
		w.CompareXattr(a[0].(string), uint8(num(a[1])), octets(a[2]))
	},
	"omap_rm": func(w *library.WriteOp, a []any) {
		var keys []string
		for _, k := range a {
			keys = append(keys, string(octets(k)))
		}
		w.OmapRm(keys...)
	},
}

func (p ourPool) change(oid string, steps ...step) error {
	w := new(library.WriteOp)
	for _, s := range steps {
		ourSteps[s[0].(string)](w, s[1:])
	}
	return errnoOf(p.x.Operate(p.ctx, oid, w))
}

func (p ourPool) look(oid string) (content, error) {
	var r library.ReadOp
	data, x, k, h := r.Read(0, 1<<20), r.Xattrs(), r.OmapPage("", "", 1000), r.OmapHeader()
	if err := p.x.OperateRead(p.ctx, oid, &r); err != nil {
		return content{}, errnoOf(err)
	}
	c := content{Data: *data, X: *x, K: map[string][]byte{}, H: *h}
	for _, pair := range k.Pairs {
		c.K[pair.Key] = pair.Value
	}
	return c, nil
}

func (p ourPool) read(oid string, off, n uint64) ([]byte, error) {
	b, err := p.x.Read(p.ctx, oid, off, n)
	return b, errnoOf(err)
}

func (p ourPool) list() (out []string, err error) {
	for o, err := range p.x.List(p.ctx) {
		if err != nil {
			return nil, errnoOf(err)
		}
		out = append(out, o.Namespace+"/"+o.Name+"/"+o.Locator)
	}
	slices.Sort(out)
	return out, nil
}

func (p ourPool) lock(oid, name, cookie string, shared bool) error {
	l := library.Lock{Name: name, Cookie: cookie, Kind: library.LockExclusive}
	if shared {
		l.Kind, l.Tag = library.LockShared, "tag"
	}
	return errnoOf(p.x.Lock(p.ctx, oid, l))
}

func (p ourPool) unlock(oid, name, cookie string) error {
	return errnoOf(p.x.Unlock(p.ctx, oid, name, cookie))
}

func (p ourPool) lockers(oid, name string) (out []string, err error) {
	info, err := p.x.LockInfo(p.ctx, oid, name)
	for _, l := range info.Lockers {
		out = append(out, fmt.Sprintf("%v/%s", l.Name, l.Cookie))
	}
	slices.Sort(out)
	return out, errnoOf(err)
}

func (p ourPool) takeSnap() (uint64, error) {
	id, err := p.x.CreateSnapID(p.ctx)
	return uint64(id), errnoOf(err)
}

func (p ourPool) dropSnap(id uint64) error {
	return errnoOf(p.x.DeleteSnapID(p.ctx, ceph.SnapID(id)))
}

func (p ourPool) watch(oid, reply string) (heard func() []string, stop func() error, err error) {
	var mu sync.Mutex
	var list []string
	w, err := p.x.Watch(p.ctx, oid, func(n *library.Notification) {
		mu.Lock()
		list = append(list, string(n.Payload))
		mu.Unlock()
		n.Ack(p.ctx, []byte(reply)) // without it the notifier says who was silent
	}, nil)
	if err != nil {
		return nil, nil, errnoOf(err)
	}
	heard = func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(list)
	}
	return heard, func() error { return errnoOf(w.Close(p.ctx)) }, nil
}

func (p ourPool) notify(oid, text string) (replies []string, err error) {
	r, err := p.x.Notify(p.ctx, oid, []byte(text), 5*time.Second)
	for _, a := range r.Acks {
		replies = append(replies, string(a.Reply))
	}
	slices.Sort(replies)
	return replies, errnoOf(err)
}

// A stockPool is a pool by librados, which python/rados_client.py has loaded.
type stockPool struct {
	p *stockProcess
	v view
}

type stockProcess struct {
	in  io.Writer
	out *bufio.Reader
	gid uint64
}

// A stockCall is a line to the process, a stockAnswer one of its.
type stockCall struct {
	Call   string   `json:"call"`
	NS     string   `json:"ns"`
	Key    string   `json:"key"`
	Snap   uint64   `json:"snap"`
	Snaps  []uint64 `json:"snaps"`
	OID    string   `json:"oid"`
	Steps  [][]any  `json:"steps,omitempty"`
	Name   string   `json:"name"`
	Cookie string   `json:"cookie"`
	Shared bool     `json:"shared"`
	Text   string   `json:"text"`
	Off    uint64   `json:"off"`
	N      uint64   `json:"n"`
}

type stockAnswer struct {
	Err   int
	N     uint64
	Names []string
	content
}

func stockObjects(t *testing.T) objects {
	t.Helper()
	return stockPool{p: stockLibrary(t, "rados_client.py")}
}

// stockLibrary starts a script that has loaded a stock library.
func stockLibrary(t *testing.T, name string) *stockProcess {
	t.Helper()
	script := filepath.Join(root(), "conformance", "python", name)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	cmd := shared.command(ctx, "/usr/bin/python3", script, pool)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
		cancel()
	})
	p := &stockProcess{in: in, out: bufio.NewReader(out)}
	a, err := p.answer()
	if err != nil {
		t.Fatal(err)
	}
	p.gid = a.N
	return p
}

func (p *stockProcess) answer() (a stockAnswer, err error) {
	line, err := p.out.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &a)
	}
	if err == nil && a.Err != 0 {
		err = ceph.Errno(a.Err)
	}
	return a, err
}

func (s stockPool) call(c stockCall) (stockAnswer, error) {
	c.NS, c.Key, c.Snap, c.Snaps = s.v.ns, s.v.key, s.v.snap, s.v.snaps
	if err := json.NewEncoder(s.p.in).Encode(c); err != nil {
		return stockAnswer{}, err
	}
	return s.p.answer()
}

func (s stockPool) who() string       { return fmt.Sprintf("client.%d", s.p.gid) }
func (s stockPool) in(v view) objects { return stockPool{s.p, v} }

func (s stockPool) change(oid string, steps ...step) error {
	c := stockCall{Call: "change", OID: oid}
	for _, st := range steps {
		args := []any{}
		for _, a := range st {
			switch a.(type) {
			case []byte:
				a = map[string]any{"b": a}
			case map[string][]byte:
				a = map[string]any{"m": a}
			}
			args = append(args, a)
		}
		c.Steps = append(c.Steps, args)
	}
	_, err := s.call(c)
	return err
}

func (s stockPool) look(oid string) (content, error) {
	a, err := s.call(stockCall{Call: "look", OID: oid})
	return a.content, err
}

func (s stockPool) read(oid string, off, n uint64) ([]byte, error) {
	a, err := s.call(stockCall{Call: "read", OID: oid, Off: off, N: n})
	return a.Data, err
}

func (s stockPool) names(c stockCall) ([]string, error) {
	a, err := s.call(c)
	slices.Sort(a.Names)
	return a.Names, err
}

func (s stockPool) list() ([]string, error) { return s.names(stockCall{Call: "list"}) }

func (s stockPool) lock(oid, name, cookie string, shared bool) error {
	_, err := s.call(stockCall{Call: "lock", OID: oid, Name: name, Cookie: cookie, Shared: shared})
	return err
}

func (s stockPool) unlock(oid, name, cookie string) error {
	_, err := s.call(stockCall{Call: "unlock", OID: oid, Name: name, Cookie: cookie})
	return err
}

func (s stockPool) lockers(oid, name string) ([]string, error) {
	return s.names(stockCall{Call: "lockers", OID: oid, Name: name})
}

func (s stockPool) takeSnap() (uint64, error) {
	a, err := s.call(stockCall{Call: "takesnap"})
	return a.N, err
}

func (s stockPool) dropSnap(id uint64) error {
	_, err := s.call(stockCall{Call: "dropsnap", N: id})
	return err
}

func (s stockPool) watch(oid, reply string) (heard func() []string, stop func() error, err error) {
	w, err := s.call(stockCall{Call: "watch", OID: oid, Text: reply})
	if err != nil {
		return nil, nil, err
	}
	heard = func() []string {
		a, err := s.call(stockCall{Call: "heard", N: w.N})
		if err != nil {
			return []string{err.Error()}
		}
		return a.Names
	}
	return heard, func() error {
		_, err := s.call(stockCall{Call: "unwatch", N: w.N})
		return err
	}, nil
}

func (s stockPool) notify(oid, text string) ([]string, error) {
	return s.names(stockCall{Call: "notify", OID: oid, Text: text})
}
