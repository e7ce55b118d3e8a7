package cephx

import (
	"io"
	"time"

	"glue/ceph"
	"glue/ceph/denc"
)

// Generations is how many rotating keys a service has: previous, current and next.
const Generations = 3

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
}

// Denc is a section of the keys and the highest id ever given.
func (r *Rotating) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	denc.List(c, &r.Keys)
	c.U64(&r.MaxID)
	s.End()
}

// Rotate returns the keys that the service should have at now, for tickets of the given life, and
// whether they differ from r. The leader of the monitors calls it on every tick and replicates
// what it returns.
func (r Rotating) Rotate(now time.Time, ttl time.Duration, rand io.Reader) (Rotating, bool, error) {
	return r, false, nil
}

// Issue is the key that new tickets are sealed with: the current one, the next one when the
// current has expired. False: there is none.
func (r Rotating) Issue(now time.Time) (RotatingKey, bool) { return RotatingKey{}, false }

// Find is the key of an id.
func (r Rotating) Find(id uint64) (RotatingKey, bool) { return RotatingKey{}, false }

// Services are the services that have rotating keys.
var Services = []ceph.EntityType{
	ceph.TypeMon, ceph.TypeMDS, ceph.TypeOSD, ceph.TypeMgr, ceph.TypeAuth,
}
