package keyring

import (
	"errors"

	"glue/ceph"
)

// An Entry is one entity's key and caps.
type Entry struct {
	Name ceph.AuthName
	Key  Key
	Caps map[string]string // service ("mon", "osd", "mgr", "mds") to its caps text
}

// A Keyring is the entries of a file, in the order of their names once printed.
type Keyring struct {
	Entries map[ceph.AuthName]Entry
}

// Get is the entry of a name.
func (k *Keyring) Get(name ceph.AuthName) (Entry, bool) {
	e, ok := k.Entries[name]
	return e, ok
}

// Set puts an entry, replacing the one of the same name.
func (k *Keyring) Set(e Entry) {
	if k.Entries == nil {
		k.Entries = make(map[ceph.AuthName]Entry)
	}
	k.Entries[e.Name] = e
}

// Parse reads a keyring file.
func Parse(text string) (*Keyring, error) {
	return nil, errors.New("not done")
}

// Format prints a keyring file as "ceph auth export" does.
func (k *Keyring) Format() string { return "" }
