package mon

import (
	crand "crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/cockroachdb/pebble/v2/vfs"

	"glue/auth/keyring"
	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/monmap"
	"glue/internal/options"
	"glue/mon/authmon"
	"glue/mon/configmon"
	"glue/mon/mgrmon"
	"glue/mon/monmon"
	"glue/mon/osdmon"
	"glue/mon/quorum"
)

// ErrExists says that the folder holds a monitor's store already.
var ErrExists = errors.New("a monitor's store is there already")

// The files of a monitor's folder.
const (
	storeDir = "store.db"
	sealFile = "seal.key"
)

var monName = ceph.AuthName{Type: ceph.TypeMon}

// Mkfs creates the store of a new monitor in dir. It refuses to touch a folder that holds one.
func Mkfs(dir string, b Bootstrap) error {
	ring, seal, err := b.check()
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, storeDir)); err == nil {
		return fmt.Errorf("make mon.%s in %s: %w", b.Name, dir, ErrExists)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("make mon.%s: %w", b.Name, err)
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("make mon.%s: %w", b.Name, err)
	}
	if err := writeSealKey(dir, seal); err != nil {
		return fmt.Errorf("make mon.%s: %w", b.Name, err)
	}
	return b.create(vfs.Default, dir, seal, ring)
}

// A Joining is what the store of a monitor is made from that will be added to a quorum.
type Joining struct {
	Name    string
	Monmap  []byte // the quorum's, as "ceph mon getmap" gives it
	Keyring []byte // a keyring file's text with the key of "mon."
	// Member is the store's identity, which no other store may have; 0: a random one.
	Member uint64
}

// MkfsJoin creates the store of a monitor that asks to join the quorum when it is started. What is
// in it until then is no more than is needed to reach the others and to be let in. The store has an
// identity of its own: a monitor that lost its disk does not pass for the one that it was.
func MkfsJoin(dir string, j Joining) error {
	b, err := j.bootstrap()
	if err != nil {
		return err
	}
	return Mkfs(dir, b)
}

func (j Joining) bootstrap() (Bootstrap, error) {
	m := &monmap.Map{}
	if err := denc.Unmarshal(j.Monmap, m, ceph.FeaturesAll); err != nil {
		return Bootstrap{}, fmt.Errorf("make mon.%s: the quorum's map: %w", j.Name, err)
	}
	if err := checkMonName(j.Name); err != nil {
		return Bootstrap{}, err
	}
	return Bootstrap{FSID: m.FSID, Name: j.Name, Keyring: j.Keyring, Now: m.Created.Go(),
		Members: map[string]ceph.AddrVec{j.Name: nil}, join: m, member: j.Member}, nil
}

// newMember is a member id that no other store has.
func newMember() uint64 {
	var b [8]byte
	crand.Read(b[:]) // never fails, by its documentation
	return max(binary.BigEndian.Uint64(b[:])&^(1<<63), 1)
}

// check reads the keyring, and derives the seal key.
func (b Bootstrap) check() (*keyring.Keyring, [keyring.SealKeyBytes]byte, error) {
	var none [keyring.SealKeyBytes]byte
	ring, err := keyring.Parse(string(b.Keyring))
	if err != nil {
		return nil, none, fmt.Errorf("make mon.%s: %w", b.Name, err)
	}
	e, ok := ring.Get(monName)
	if !ok || e.Key.IsZero() {
		return nil, none, fmt.Errorf("make mon.%s: the keyring has no key of \"mon.\"", b.Name)
	}
	if _, ok := b.Members[b.Name]; !ok {
		return nil, none, fmt.Errorf("make mon.%s: it is not among the initial monitors", b.Name)
	}
	return ring, sealKeyOf(e.Key), nil
}

func (b Bootstrap) create(fs vfs.FS, dir string, seal [keyring.SealKeyBytes]byte,
	ring *keyring.Keyring,
) error {
	id, ids := b.member, []uint64(nil)
	switch {
	case b.join == nil:
		id = monmon.InitialID(b.Name)
		for _, name := range slices.Sorted(maps.Keys(b.Members)) {
			ids = append(ids, monmon.InitialID(name))
		}
	case id == 0:
		id = newMember()
	}
	err := quorum.Create(filepath.Join(dir, storeDir), fs, id, ids,
		func(w *quorum.Batch) error { return initial(w, b, seal, ring) })
	return errors.Join(err, syncDir(fs, dir), syncDir(fs, filepath.Dir(dir)))
}

// syncDir makes the names in a folder durable.
func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}

// sealKeyOf derives the key that secrets are sealed with at rest from the monitors' own key, which
// all monitors have, so that all can open what one of them sealed.
func sealKeyOf(k keyring.Key) [keyring.SealKeyBytes]byte {
	return sha256.Sum256(append([]byte("glue monitor seal\x00"), k.Secret[:]...))
}

func writeSealKey(dir string, key [keyring.SealKeyBytes]byte) error {
	f, err := os.OpenFile(filepath.Join(dir, sealFile), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write seal key: %w", err)
	}
	_, err = f.Write(key[:])
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write seal key: %w", err)
	}
	return nil
}

func readSealKey(dir string) (key [keyring.SealKeyBytes]byte, err error) {
	path := filepath.Join(dir, sealFile)
	info, err := os.Stat(path)
	if err != nil {
		return key, fmt.Errorf("read seal key: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return key, fmt.Errorf("seal key %s can be read by others (mode %v): chmod 600 it", path,
			info.Mode().Perm())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return key, fmt.Errorf("read seal key: %w", err)
	}
	if copy(key[:], b) != len(key) || len(b) != len(key) {
		return key, fmt.Errorf("seal key %s has %d bytes, want %d", path, len(b), len(key))
	}
	return key, nil
}

// nonces are what the first entries are sealed with. All initial monitors must write the same
// bytes,
// so they follow from what is sealed: no nonce comes twice with other contents.
func nonces(seal [keyring.SealKeyBytes]byte, ring *keyring.Keyring) io.Reader {
	return rand.NewChaCha8(sha256.Sum256(append(seal[:], ring.Format()...)))
}

// initial writes the first state of every service.
func initial(w *quorum.Batch, b Bootstrap, seal [keyring.SealKeyBytes]byte,
	ring *keyring.Keyring,
) error {
	m := monmap.New(b.FSID, ceph.TimeOf(b.Now))
	for _, name := range slices.Sorted(maps.Keys(b.Members)) {
		m.Add(monmap.Mon{Name: name, Addrs: b.Members[name]})
	}
	if b.join != nil {
		m = b.join
	}
	monmon.Initial(w, m)
	mgrmon.Initial(w)
	if err := authmon.Initial(w, seal, nonces(seal, ring), ring); err != nil {
		return err
	}
	if err := configmon.Initial(w, b.Config, b.Now); err != nil {
		return err
	}
	var osds []int32
	for name := range ring.Entries {
		if id, err := strconv.ParseUint(name.ID, 10, 31); name.Type == ceph.TypeOSD && err == nil {
			osds = append(osds, int32(id))
		}
	}
	slices.Sort(osds)
	return osdmon.Initial(w, b.FSID, b.Now, b.CrushLeafType, osds, options.Set{})
}
