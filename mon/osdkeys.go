package mon

import (
	"fmt"

	"glue/auth/keyring"
	"glue/ceph"
	"glue/mon/osdmon"
	"glue/mon/service"
)

// A vault keeps the OSDs' keys in the auth service and the config-key store: osdmon.Vault.
type vault struct{ c *core }

func osdEntity(id int32) ceph.AuthName {
	return ceph.AuthName{Type: ceph.TypeOSD, ID: fmt.Sprint(id)}
}

func lockboxEntity(disk ceph.UUID) ceph.AuthName {
	return ceph.AuthName{Type: ceph.TypeClient, ID: "osd-lockbox." + disk.String()}
}

// diskKeys is where the keys of an encrypted disk are in the config-key store.
func diskKeys(disk ceph.UUID) string { return "dm-crypt/osd/" + disk.String() + "/" }

// Enroll prepares an OSD's secrets; the same ones again are fine.
func (v vault) Enroll(id int32, disk ceph.UUID, s osdmon.Secrets, fresh bool) *service.Answer {
	if !fresh && !v.holds(id, disk, s) {
		a := service.Fail(ceph.EEXIST, "osd.%d exists but secrets do not match", id)
		return &a
	}
	bad := v.adopt(keyring.Entry{Name: osdEntity(id), Key: s.Cephx, Caps: map[string]string{
		"mon": "allow profile osd", "mgr": "allow profile osd", "osd": "allow *"}})
	if bad != nil || s.Lockbox.IsZero() {
		return bad
	}
	where := diskKeys(disk) + "luks"
	bad = v.adopt(keyring.Entry{Name: lockboxEntity(disk), Key: s.Lockbox,
		Caps: map[string]string{"mon": fmt.Sprintf(
			`allow command "config-key get" with key="%s"`, where)}})
	if bad != nil {
		return bad
	}
	if have, ok := v.c.kv.Get(where); ok && string(have) != s.DMCrypt {
		a := service.Fail(ceph.EEXIST, "dm-crypt key already exists and does not match")
		return &a
	} else if !ok {
		v.c.kv.Put(where, []byte(s.DMCrypt))
	}
	return nil
}

// holds reports whether there are secrets of each kind that s has, be they the same or not.
func (v vault) holds(id int32, disk ceph.UUID, s osdmon.Secrets) bool {
	_, known := v.c.auth.Keys().Entity(osdEntity(id))
	if s.Lockbox.IsZero() {
		return known
	}
	_, box := v.c.auth.Keys().Entity(lockboxEntity(disk))
	_, luks := v.c.kv.Get(diskKeys(disk) + "luks")
	return known && box && luks
}

// adopt prepares an entry that is not there yet.
func (v vault) adopt(e keyring.Entry) *service.Answer {
	var a service.Answer
	if have, ok := v.c.auth.Keys().Entity(e.Name); ok {
		if have.Key.Secret == e.Key.Secret {
			return nil
		}
		a = service.Fail(ceph.EEXIST, "entity %v exists but key does not match", e.Name)
		return &a
	}
	if err := v.c.auth.Adopt(e); err != nil {
		a = service.Fail(ceph.EIO, "the key can't be sealed: %v", err)
		return &a
	}
	return nil
}

// Forget prepares to delete everything of an OSD and its disk.
func (v vault) Forget(id int32, disk ceph.UUID) {
	v.c.auth.Forget(osdEntity(id))
	if !disk.IsZero() {
		v.c.auth.Forget(lockboxEntity(disk))
		v.c.kv.RemovePrefix(diskKeys(disk))
	}
	v.c.kv.RemovePrefix(fmt.Sprintf("daemon-private/osd.%d/", id))
}
