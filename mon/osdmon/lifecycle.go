package osdmon

import (
	"encoding/json"
	"fmt"

	"glue/auth/keyring"
	"glue/ceph"
	"glue/cluster/crush"
	"glue/cluster/osdmap"
	"glue/mon/service"
)

// A Vault keeps what belongs to an OSD outside the OSD map: its cephx key and, for an encrypted
// disk, the key of the disk and the "lockbox" key that may fetch it.
type Vault interface {
	// Enroll prepares the secrets of an OSD and its disk; nil is success. It answers EEXIST when
	// there are others, or none and the OSD is not fresh.
	Enroll(id int32, disk ceph.UUID, s Secrets, fresh bool) *service.Answer
	// Forget prepares to delete everything of an OSD and its disk.
	Forget(id int32, disk ceph.UUID)
}

// Secrets are what "osd new" may bring along.
type Secrets struct {
	Cephx   keyring.Key
	Lockbox keyring.Key // zero for a disk that is not encrypted
	DMCrypt string
}

// newInput is the input of "osd new".
type newInput struct {
	Cephx   string `json:"cephx_secret"`
	Lockbox string `json:"cephx_lockbox_secret"`
	DMCrypt string `json:"dmcrypt_key"`
	Class   string `json:"crush_device_class"`
}

// readInput reads the input of "osd new"; as with stock, what is no JSON object counts as nothing.
func readInput(input []byte) (in newInput, s Secrets, bad *service.Answer) {
	fail := func(text string) (newInput, Secrets, *service.Answer) {
		a := service.Fail(ceph.EINVAL, "%s", text)
		return in, s, &a
	}
	var given map[string]json.RawMessage
	if json.Unmarshal(input, &given) != nil || len(given) == 0 {
		return in, s, nil
	}
	if err := json.Unmarshal(input, &in); err != nil {
		return fail("the values of the input must be strings")
	}
	_, secret := given["cephx_secret"]
	_, lockbox := given["cephx_lockbox_secret"]
	_, dmcrypt := given["dmcrypt_key"]
	switch {
	case !secret && (lockbox || dmcrypt):
		return fail("requires a cephx secret.")
	case lockbox != dmcrypt:
		return fail("requires both a cephx lockbox secret and a dm-crypt key.")
	}
	var err error
	if secret {
		if s.Cephx, err = keyring.ParseKey(in.Cephx); err != nil {
			return fail("invalid cephx secret.")
		}
	}
	if lockbox {
		if s.Lockbox, err = keyring.ParseKey(in.Lockbox); err != nil {
			return fail("invalid cephx lockbox secret.")
		}
		s.DMCrypt = in.DMCrypt
	}
	return in, s, nil
}

// cmdNew gives a disk, known by its UUID, a number.
func (s *Service) cmdNew(r *service.Request) service.Answer {
	var disk ceph.UUID
	if r.Has("uuid") {
		var err error
		if disk, err = ceph.ParseUUID(r.Str("uuid")); err != nil {
			return service.Fail(ceph.EINVAL, "invalid uuid value '%s'.", r.Str("uuid"))
		}
	}
	in, secrets, bad := readInput(r.Input)
	if bad != nil {
		return *bad
	}
	id, fresh, bad := s.pickNumber(r, disk)
	if bad != nil {
		return *bad
	}
	if secrets != (Secrets{}) {
		if bad := s.opt.Vault.Enroll(id, disk, secrets, fresh); bad != nil {
			return *bad
		}
	}
	if !fresh {
		return numberAnswer(r, id)
	}
	inc := s.inc(r.Now)
	inc.NewMaxOSD = growth(s.m, inc, id)
	if s.m.IsDestroyed(id) {
		flip := osdmap.OSDDestroyed
		if !s.m.State[id].Has(osdmap.OSDNew) {
			flip |= osdmap.OSDNew
		}
		put(&inc.NewState, id, flip)
	} else { // a weight makes it exist
		put(&inc.NewState, id, osdmap.OSDNew)
		put(&inc.NewWeight, id, osdmap.WeightIn)
	}
	if id < s.m.MaxOSD { // what the disk had that had the number before it has not
		put(&inc.NewLost, id, s.m.Epoch+1)
	}
	if !disk.IsZero() {
		put(&inc.NewUUID, id, disk)
	}
	if in.Class != "" {
		if err := s.classOfNew(r, id, in.Class); err != nil {
			return crushError(err)
		}
	}
	return numberAnswer(r, id)
}

// pickNumber is the number for a disk; fresh says that it does not have it yet.
func (s *Service) pickNumber(r *service.Request, disk ceph.UUID) (id int32, fresh bool,
	bad *service.Answer,
) {
	fail := func(e ceph.Errno, format string, args ...any) (int32, bool, *service.Answer) {
		a := service.Fail(e, format, args...)
		return -1, false, &a
	}
	want := int32(-1)
	if r.Has("id") {
		want = r.OSD("id")
	}
	if have := s.m.OSDByUUID(disk); !disk.IsZero() && have >= 0 {
		if want >= 0 && want != have {
			return fail(ceph.EEXIST, "uuid %v already in use for different id %d", disk, have)
		}
		return have, false, nil
	}
	switch {
	case want > maxOSDNumber:
		return fail(ceph.EINVAL, "id %d is too large: at most %d", want, maxOSDNumber)
	case want >= 0 && s.m.Exists(want) && !s.m.IsDestroyed(want):
		return fail(ceph.EINVAL, "id %d already in use and does not match uuid %v", want, disk)
	case want < 0:
		want = s.freeNumber()
	}
	return want, true, nil
}

// classOfNew gives a new OSD its device class before it is in the CRUSH hierarchy.
func (s *Service) classOfNew(r *service.Request, id int32, class string) error {
	return s.editCrush(r.Now, func(c *crush.Map) error {
		return c.ClassStray(id, fmt.Sprintf("osd.%d", id), class)
	})
}

func numberAnswer(r *service.Request, id int32) service.Answer {
	return r.Either(struct {
		ID int32 `json:"osdid"`
	}{id}, fmt.Sprintf("%d\n", id))
}

func (s *Service) freeNumber() int32 {
	for id := range s.m.MaxOSD {
		if !s.m.Exists(id) {
			return id
		}
	}
	return s.m.MaxOSD
}

// gone checks that an OSD may be destroyed: it exists and is down.
func (s *Service) gone(r *service.Request) (int32, *service.Answer) {
	id := r.OSD("id")
	var a service.Answer
	switch {
	case !r.Bool("yes_i_really_mean_it"):
		a = service.Fail(ceph.EPERM, "Are you SURE?  Did you verify with 'ceph osd "+
			"safe-to-destroy'?  "+
			"This will mean real, permanent data loss, as well as deletion of cephx and "+
			"lockbox keys. "+
			"Pass --yes-i-really-mean-it if you really do.")
	case !s.m.Exists(id):
		a = service.OK("osd.%d does not exist", id)
	case s.m.IsUp(id):
		a = service.Fail(ceph.EBUSY, "osd.%d is not `down`.", id)
	default:
		return id, nil
	}
	return id, &a
}

// cmdDestroy deletes an OSD's keys and marks it destroyed: it can't come back, and its number and
// its place in the CRUSH map wait for another disk.
func (s *Service) cmdDestroy(r *service.Request) service.Answer {
	id, bad := s.gone(r)
	if bad != nil {
		return *bad
	}
	if !s.m.IsDestroyed(id) {
		s.opt.Vault.Forget(id, s.m.UUIDs[id])
		inc := s.inc(r.Now)
		put(&inc.NewState, id, osdmap.OSDDestroyed)
		put(&inc.NewUUID, id, ceph.UUID{})
	}
	return service.OK("destroyed osd.%d", id)
}

// cmdPurge removes an OSD from the OSD map and from the CRUSH map, with its keys.
func (s *Service) cmdPurge(r *service.Request) service.Answer {
	id, bad := s.gone(r)
	if bad != nil {
		return *bad
	}
	if err := s.dropFromCrush(r.Now, id); err != nil {
		return crushError(err)
	}
	s.opt.Vault.Forget(id, s.m.UUIDs[id])
	put(&s.inc(r.Now).NewState, id, s.m.State[id])
	return service.OK("purged osd.%d", id)
}

// cmdPurgeNew purges an OSD that has never been up.
func (s *Service) cmdPurgeNew(r *service.Request) service.Answer {
	id, bad := s.gone(r)
	if bad == nil && !s.m.State[id].Has(osdmap.OSDNew) {
		return service.Fail(ceph.EPERM, "osd.%d is not new", id)
	}
	return s.cmdPurge(r)
}
