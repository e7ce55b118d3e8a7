package configmon

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"glue/ceph"
	"glue/mon/service"
)

// The bounds of the config-key store.
const (
	kvName       = "config-key"
	maxEntrySize = 64 << 10 // mon_config_key_max_entry_size
)

// A KV is the config-key store: named blobs of managers and orchestrators.
type KV struct {
	values map[string][]byte
	edit   service.Edit
}

// NewKV makes an empty store.
func NewKV() *KV { return &KV{values: map[string][]byte{}} }

// Name is "config-key".
func (k *KV) Name() string { return kvName }

// Load reads the store.
func (k *KV) Load(r service.Reader) error {
	k.values = map[string][]byte{}
	err := r.Scan(kvName+"/", func(key string, value []byte) bool {
		k.values[key[len(kvName)+1:]] = append([]byte{}, value...)
		return true
	})
	if err != nil {
		return fmt.Errorf("load config-key: %w", err)
	}
	return nil
}

// Dirty says whether something is prepared.
func (k *KV) Dirty() bool { return !k.edit.Empty() }

// Discard forgets what is prepared.
func (k *KV) Discard() { k.edit = service.Edit{} }

// Change encodes what is prepared.
func (k *KV) Change() ([]byte, error) {
	b := k.edit.Encode()
	k.edit = service.Edit{}
	return b, nil
}

// Apply carries out a change.
func (k *KV) Apply(change []byte, w service.Writer) error {
	e, err := service.DecodeEdit(change)
	if err != nil {
		return fmt.Errorf("change of config-key: %w", err)
	}
	for key, v := range e.Set {
		if v == nil {
			delete(k.values, key)
		} else {
			k.values[key] = v
		}
	}
	e.Write(w, kvName+"/")
	return nil
}

// Commands are the config-key commands.
func (k *KV) Commands() []service.Row {
	return []service.Row{
		{Prefix: "config-key get", Run: k.get},
		{Prefix: "config-key set", Run: k.set},
		{Prefix: "config-key put", Run: k.set},
		{Prefix: "config-key rm", Run: k.remove},
		{Prefix: "config-key del", Run: k.remove},
		{Prefix: "config-key exists", Run: k.exists},
		{Prefix: "config-key ls", Run: k.list},
		{Prefix: "config-key list", Run: k.list},
		{Prefix: "config-key dump", Run: k.dump},
	}
}

func (k *KV) get(r *service.Request) service.Answer {
	v, ok := k.values[r.Need("key")]
	if !ok {
		return service.Answer{Err: ceph.ENOENT, Bare: true}
	}
	return service.Answer{Data: v}
}

func (k *KV) set(r *service.Request) service.Answer {
	key, value := r.Need("key"), []byte(r.Str("val"))
	if !r.Has("val") {
		value = r.Input
	}
	if len(value) > maxEntrySize {
		return service.Fail(ceph.EFBIG, "error: entry size limited to %d bytes. "+
			"Use 'mon config key max entry size' to manually adjust", maxEntrySize)
	}
	if key == "" {
		return service.Fail(ceph.EINVAL, "a key must not be empty")
	}
	k.edit.Put(key, value)
	return service.OK("set %s", key)
}

func (k *KV) remove(r *service.Request) service.Answer {
	key := r.Need("key")
	if _, ok := k.values[key]; ok {
		k.edit.Remove(key)
	}
	return service.OK("key deleted")
}

func (k *KV) exists(r *service.Request) service.Answer {
	if _, ok := k.values[r.Need("key")]; !ok {
		return service.Fail(ceph.ENOENT, "key '%s' doesn't exist", r.Str("key"))
	}
	return service.OK("key '%s' exists", r.Str("key"))
}

func (k *KV) list(r *service.Request) service.Answer {
	names := slices.Sorted(maps.Keys(k.values))
	if names == nil {
		names = []string{}
	}
	return r.JSON(names)
}

func (k *KV) dump(r *service.Request) service.Answer {
	out := map[string]string{}
	for key, v := range k.values {
		if strings.HasPrefix(key, r.Str("key")) {
			out[key] = string(v)
		}
	}
	return r.JSON(out)
}

// Put wishes a value.
func (k *KV) Put(key string, value []byte) { k.edit.Put(key, value) }

// Get is a value.
func (k *KV) Get(key string) ([]byte, bool) {
	v, ok := k.values[key]
	return v, ok
}

// RemovePrefix wishes everything under a prefix gone.
func (k *KV) RemovePrefix(prefix string) {
	for key := range k.values {
		if strings.HasPrefix(key, prefix) {
			k.edit.Remove(key)
		}
	}
}

// WithPrefix is all values under a prefix, for subscribers; the caller must not change them.
func (k *KV) WithPrefix(prefix string) map[string][]byte {
	out := map[string][]byte{}
	for key, v := range k.values {
		if strings.HasPrefix(key, prefix) {
			out[key] = v
		}
	}
	return out
}
