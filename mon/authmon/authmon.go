// Package authmon keeps the keys database of the cluster: entities with their keys and caps, the
// rotating keys that tickets are sealed with, and which global ids were given out.
//
// Invariant: secrets leave this package's memory only sealed (auth/keyring Seal under the key of a
// file of mode 0600) or as the answer to a command that the caller's caps allow; neither the
// quorum's log nor the store nor a log line has them in the clear.
//
// A Service belongs to the monitor's loop; the Keys that it publishes are immutable and may be read
// by any goroutine. The commands are those of Ceph 16.2's mon/AuthMonitor.cc.
package authmon

import (
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"glue/auth/caps"
	"glue/auth/cephx"
	"glue/auth/keyring"
	"glue/ceph"
	"glue/ceph/denc"
	"glue/mon/healthmon"
	"glue/mon/service"
)

// The first global id, and how many are reserved at once.
const (
	firstGlobalID = 4096
	globalIDStep  = 4096
	globalIDLow   = 512
)

// The keys of the state, behind "auth/".
const (
	name       = "auth"
	entityKey  = "entity/"
	rotateKey  = "rotating/"
	globalsKey = "max_global_id"
)

// Keys is the database at one moment. It is a cephx.KeyDB.
type Keys struct {
	entities map[ceph.AuthName]keyring.Entry
	rotating map[ceph.EntityType]cephx.Rotating
}

// Entity is the entry of a name.
func (k *Keys) Entity(n ceph.AuthName) (keyring.Entry, bool) {
	e, ok := k.entities[n]
	return e, ok
}

// Rotating is the keys of a service.
func (k *Keys) Rotating(t ceph.EntityType) cephx.Rotating { return k.rotating[t] }

// Options is what a Service needs.
type Options struct {
	Seal    [keyring.SealKeyBytes]byte
	Rand    io.Reader
	Publish func(*Keys)
	// GlobalIDs gets every range of ids that this monitor may give out: from first to last-1.
	GlobalIDs func(first, last uint64)
	// Own says whether the change that is being applied is this monitor's own proposal. A range
	// that another leader has reserved is not ours, even if we had wished for one too.
	Own func() bool
}

// A Service is the keys service.
type Service struct {
	opt       Options
	keys      *Keys
	globals   uint64   // ids below may have been given out
	badCaps   []string // each line about an entity whose caps mean nothing
	badCount  int      // such entities
	judged    *Keys    // of which badCaps is
	left      func() uint64
	edit      service.Edit
	want      []func(first, last uint64) // each gets a range with the prepared change
	reserving []func(first, last uint64) // with the proposed one
	wantOwn   bool                       // one of want is ours
}

// New makes a service; left tells how many reserved global ids are left.
func New(opt Options, left func() uint64) *Service {
	return &Service{opt: opt, keys: &Keys{}, left: left}
}

// Name is "auth".
func (s *Service) Name() string { return name }

// Keys is the committed database.
func (s *Service) Keys() *Keys { return s.keys }

// Load reads the database.
func (s *Service) Load(r service.Reader) error {
	k := &Keys{
		entities: map[ceph.AuthName]keyring.Entry{},
		rotating: map[ceph.EntityType]cephx.Rotating{},
	}
	s.globals = firstGlobalID
	var failed error
	err := r.Scan(name+"/", func(key string, value []byte) bool {
		failed = s.take(k, key[len(name)+1:], append([]byte{}, value...))
		return failed == nil
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return fmt.Errorf("load keys: %w", err)
	}
	s.keys = k
	s.opt.Publish(k)
	return nil
}

// take puts one stored value into k.
func (s *Service) take(k *Keys, key string, value []byte) error {
	if key == globalsKey {
		if len(value) != 8 {
			return fmt.Errorf("%s has %d bytes", key, len(value))
		}
		s.globals = binary.LittleEndian.Uint64(value)
		return nil
	}
	return k.put(s.opt.Seal, key, value)
}

// put opens a sealed value; nil removes.
func (k *Keys) put(seal [keyring.SealKeyBytes]byte, key string, value []byte) error {
	var plain []byte
	var err error
	if value != nil {
		if plain, err = keyring.Open(seal, name+"/"+key, value); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	if id, ok := cut(key, rotateKey); ok {
		t, err := ceph.ParseEntityType(id)
		if err != nil {
			return err
		}
		var rot cephx.Rotating
		if err := denc.Unmarshal(plain, &rot, ceph.FeaturesAll); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		k.rotating[t] = rot
		return nil
	}
	id, ok := cut(key, entityKey)
	if !ok {
		return fmt.Errorf("key %q is not known", key)
	}
	n, err := ceph.ParseAuthName(id)
	if err != nil {
		return err
	}
	if value == nil {
		delete(k.entities, n)
		return nil
	}
	e := stored{keyring.Entry{Name: n}}
	if err := denc.Unmarshal(plain, &e, ceph.FeaturesAll); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	k.entities[n] = e.Entry
	return nil
}

func cut(key, prefix string) (string, bool) {
	if len(key) < len(prefix) || key[:len(prefix)] != prefix {
		return "", false
	}
	return key[len(prefix):], true
}

// stored is an entry's form at rest, before sealing.
type stored struct{ keyring.Entry }

// Denc is a section of the key and the caps.
func (e *stored) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	e.Key.Denc(c)
	denc.MapFunc(c, &e.Caps, (*denc.Coder).Str, (*denc.Coder).Str)
	s.End()
}

// Checks adds the health check about entities whose caps mean nothing: keyrings bring them along.
func (s *Service) Checks(out healthmon.Checks) {
	if s.judged != s.keys {
		s.badCount, s.badCaps, s.judged = 0, nil, s.keys
		byName := func(a, b ceph.AuthName) int { return strings.Compare(a.String(), b.String()) }
		for _, n := range slices.SortedFunc(maps.Keys(s.keys.entities), byName) {
			before := len(s.badCaps)
			given := s.keys.entities[n].Caps
			for _, svc := range slices.Sorted(maps.Keys(given)) {
				if err := caps.Validate(svc, given[svc]); err != nil {
					s.badCaps = append(s.badCaps, fmt.Sprintf("%v %v", n, err))
				}
			}
			if len(s.badCaps) > before {
				s.badCount++
			}
		}
	}
	if s.badCount > 0 {
		out.Add("AUTH_BAD_CAPS", healthmon.Err, int64(s.badCount), fmt.Sprintf(
			"%d auth entities have invalid capabilities", s.badCount), s.badCaps...)
	}
}

// Adopt wishes an entry, sealed.
func (s *Service) Adopt(e keyring.Entry) error { return s.set(e) }

// Forget wishes an entry gone, if it is there.
func (s *Service) Forget(n ceph.AuthName) {
	if _, ok := s.keys.Entity(n); ok {
		s.edit.Remove(entityKey + n.String())
	}
}

// set wishes an entry.
func (s *Service) set(e keyring.Entry) error {
	return s.seal(entityKey+e.Name.String(), &stored{e})
}

func (s *Service) seal(key string, v denc.Value) error {
	plain := denc.Marshal(v, ceph.FeaturesAll)
	b, err := keyring.Seal(s.opt.Seal, name+"/"+key, plain, s.opt.Rand)
	if err != nil {
		return fmt.Errorf("seal %s: %w", key, err)
	}
	s.edit.Put(key, b)
	return nil
}

// Tick prepares what time asks for: new rotating keys, more global ids.
func (s *Service) Tick(now time.Time, ttl time.Duration) error {
	for _, t := range cephx.Services {
		rot, changed, err := s.keys.rotating[t].Rotate(now, ttl, cephx.RememberedOf(t), s.opt.Rand)
		if err != nil {
			return fmt.Errorf("rotate the keys of %v: %w", t, err)
		}
		if changed {
			if err := s.seal(rotateKey+t.String(), &rot); err != nil {
				return err
			}
		}
	}
	if s.Low() && !s.wantOwn {
		s.wantOwn = true
		s.Reserve(s.opt.GlobalIDs)
	}
	return nil
}

// Low says whether this monitor has few global ids left.
func (s *Service) Low() bool { return s.left() < globalIDLow }

// maxRanges bounds the ranges of one change.
const maxRanges = 64

// Reserve wishes a range of global ids, which f gets when it is certain that nobody else has them.
func (s *Service) Reserve(f func(first, last uint64)) {
	if len(s.want) < maxRanges {
		s.want = append(s.want, f)
		last := s.globals + uint64(len(s.want))*globalIDStep
		s.edit.Put(globalsKey, binary.LittleEndian.AppendUint64(nil, last))
	}
}

// Dirty says whether something is prepared.
func (s *Service) Dirty() bool { return !s.edit.Empty() }

// Change encodes what is prepared.
func (s *Service) Change() ([]byte, error) {
	b := s.edit.Encode()
	s.reserving = s.want
	s.edit, s.want, s.wantOwn = service.Edit{}, nil, false
	return b, nil
}

// Discard forgets what is prepared or proposed.
func (s *Service) Discard() {
	s.edit, s.want, s.reserving, s.wantOwn = service.Edit{}, nil, nil, false
}

// Apply carries out a change and publishes the new database.
func (s *Service) Apply(change []byte, w service.Writer) error {
	e, err := service.DecodeEdit(change)
	if err != nil {
		return fmt.Errorf("change of keys: %w", err)
	}
	k := &Keys{entities: maps.Clone(s.keys.entities), rotating: maps.Clone(s.keys.rotating)}
	for _, key := range e.Keys() {
		if key == globalsKey {
			before := s.globals
			if err := s.take(k, key, e.Set[key]); err != nil {
				return err
			}
			s.hand(before)
			continue
		}
		if err := k.put(s.opt.Seal, key, e.Set[key]); err != nil {
			return fmt.Errorf("change of keys: %w", err)
		}
	}
	e.Write(w, name+"/")
	s.keys = k
	s.opt.Publish(k)
	return nil
}

// hand gives the ranges of a change that is applied to who wished for them.
func (s *Service) hand(first uint64) {
	if len(s.reserving) == 0 || !s.opt.Own() {
		return
	}
	for _, f := range s.reserving {
		f(first, first+globalIDStep)
		first += globalIDStep
	}
	s.reserving = nil
}

// Initial writes the entries of a keyring into a new store. With the same rand the bytes are the
// same.
func Initial(w service.Writer, seal [keyring.SealKeyBytes]byte, rand io.Reader,
	ring *keyring.Keyring,
) error {
	s := New(Options{Seal: seal, Rand: rand}, nil)
	for _, n := range slices.SortedFunc(maps.Keys(ring.Entries), func(a, b ceph.AuthName) int {
		return strings.Compare(a.String(), b.String())
	}) {
		if err := s.set(ring.Entries[n]); err != nil {
			return err
		}
	}
	s.edit.Write(w, name+"/")
	return nil
}
