package cephx

import (
	"fmt"
	"io"
	"slices"
	"time"

	"glue/ceph"
	"glue/ceph/denc"
)

// Generations is how many rotating keys a service has: previous, current and next.
const Generations = 3

// remembered is how many auth keys are kept beyond these, to know old tickets by. With the default
// life of auth_mon_ticket_ttl (72 hours) that is 48 days.
const remembered = 16

// RememberedOf is how many retired keys of a service are kept.
func RememberedOf(service ceph.EntityType) int {
	if service == ceph.TypeAuth {
		return remembered
	}
	return 0
}

// SealBytes is the length of a rotating key.
const SealBytes = 32

// A RotatingKey seals a service's tickets until it expires.
type RotatingKey struct {
	ID      uint64
	Secret  [SealBytes]byte
	Expires ceph.Time
}

// Denc is a section of the id, the secret and the expiry.
func (k *RotatingKey) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	c.U64(&k.ID)
	c.Raw(k.Secret[:])
	k.Expires.Denc(c)
	s.End()
}

// A Rotating is the keys of one service, oldest first (RotatingSecrets). It is a value: the
// monitors replicate it as a whole. The zero value has no keys.
type Rotating struct {
	Keys  []RotatingKey
	MaxID uint64
	// Retired keys were in Keys before, oldest first. They are good for Known only.
	Retired []RotatingKey
}

// Denc is a section of the keys, the highest id ever given and, since version 2, retired keys.
func (r *Rotating) Denc(c *denc.Coder) {
	s := c.Begin(2, 1)
	denc.List(c, &r.Keys)
	c.U64(&r.MaxID)
	if s.V >= 2 {
		denc.List(c, &r.Retired)
	}
	s.End()
}

// Rotate returns the keys that the service should have at now, for tickets of the given life, and
// whether they differ from r. The leader of the monitors calls it on every tick and replicates
// what it returns. Of the keys that leave, the newest are remembered.
func (r Rotating) Rotate(
	now time.Time, ttl time.Duration, remembered int, rand io.Reader,
) (Rotating, bool, error) {
	changed := false
	for r.needs(now) {
		k := RotatingKey{ID: r.MaxID + 1}
		if _, err := io.ReadFull(rand, k.Secret[:]); err != nil {
			return r, false, fmt.Errorf("make a rotating key: %w", err)
		}
		end := now
		if n := len(r.Keys); n > 0 {
			end = now.Add(ttl)
			if last := r.Keys[n-1].Expires.Go(); last.After(end) {
				end = last
			}
		}
		k.Expires = ceph.TimeOf(end.Add(ttl))
		keys := append(slices.Clone(r.Keys), k)
		leave := max(0, len(keys)-Generations)
		r.Retired = append(slices.Clone(r.Retired), keys[:leave]...)
		r.Retired = r.Retired[max(0, len(r.Retired)-remembered):]
		r.Keys = keys[leave:]
		r.MaxID = k.ID
		changed = true
	}
	return r, changed, nil
}

func (r Rotating) needs(now time.Time) bool {
	return len(r.Keys) < Generations || !r.Keys[1].Expires.Go().After(now)
}

// Issue is the key that new tickets are sealed with: the current one, the next one when the
// current has expired. False: there is none.
func (r Rotating) Issue(now time.Time) (RotatingKey, bool) {
	if len(r.Keys) == 0 {
		return RotatingKey{}, false
	}
	i := min(1, len(r.Keys)-1)
	if r.Keys[i].Expires.Go().Before(now) && i+1 < len(r.Keys) {
		i++
	}
	return r.Keys[i], true
}

// Find is the key of an id.
func (r Rotating) Find(id uint64) (RotatingKey, bool) {
	for _, k := range r.Keys {
		if k.ID == id {
			return k, true
		}
	}
	return RotatingKey{}, false
}

// Known is the key of an id, also one that seals nothing valid any more: it says only who somebody
// was.
func (r Rotating) Known(id uint64) (RotatingKey, bool) {
	if k, ok := r.Find(id); ok {
		return k, true
	}
	return Rotating{Keys: r.Retired}.Find(id)
}

// life is how long a ticket issued at now may live: ttl, but not beyond the last key.
func (r Rotating) life(now time.Time, ttl time.Duration) time.Duration {
	if n := len(r.Keys); n > 0 {
		ttl = min(ttl, r.Keys[n-1].Expires.Go().Sub(now))
	}
	return max(ttl, time.Second)
}

// Services are the services that have rotating keys.
var Services = []ceph.EntityType{
	ceph.TypeMon, ceph.TypeMDS, ceph.TypeOSD, ceph.TypeMgr, ceph.TypeAuth,
}
