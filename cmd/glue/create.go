package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"glue/auth/keyring"
	"glue/ceph"
	"glue/mon"
	"glue/store/blockstore"
)

// Capabilities of the entities that a new cluster has.
var (
	adminCaps = map[string]string{"mon": "allow *", "osd": "allow *", "mds": "allow *",
		"mgr": "allow *"}
	mgrCaps = map[string]string{"mon": "allow profile mgr", "osd": "allow *", "mds": "allow *"}
	osdCaps = map[string]string{"mon": "allow profile osd", "mgr": "allow profile osd",
		"osd": "allow *"}
	monCaps = map[string]string{"mon": "allow *"}
)

// create lays a new cluster out under l.dir: all of it is made in a folder beside and then
// renamed, so that a failure or a crash on the way leaves nothing behind that looks like a
// cluster, and an existing folder with anything in it is not touched.
func create(l layout, s *spec, now time.Time) error {
	entries, err := os.ReadDir(l.dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s holds %s and no cluster of Glue's; name an empty or a new folder",
			l.dir, entries[0].Name())
	}
	if err := os.MkdirAll(filepath.Dir(l.dir), 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(l.dir), "."+filepath.Base(l.dir)+".creating-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := layOut(layout{dir: tmp}, l, s, now); err != nil {
		return err
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	return os.Rename(tmp, l.dir)
}

// layOut fills the folder at; final is where it will be.
func layOut(at, final layout, s *spec, now time.Time) error {
	for _, d := range []string{"run", "log"} {
		if err := os.Mkdir(at.path(d), 0o755); err != nil {
			return err
		}
	}
	keys, err := makeKeys(at, s, now)
	if err != nil {
		return err
	}
	for _, name := range s.Mons {
		err := mon.Mkfs(at.data("mon."+name), mon.Bootstrap{FSID: s.fsid(), Name: name,
			Members: s.monAddrs(), Keyring: []byte(keys), CrushLeafType: 0, Now: now,
			Config: s.Config})
		if err != nil {
			return fmt.Errorf("create mon.%s: %w", name, err)
		}
	}
	for _, o := range s.OSDs {
		err := blockstore.Format(at.data(osdName(o.ID)), blockstore.Options{Size: o.Bytes,
			Label: fmt.Sprintf("osd.%d %s of cluster %s", o.ID, o.UUID, s.FSID)})
		if err != nil {
			return fmt.Errorf("create osd.%d: %w", o.ID, err)
		}
	}
	if err := writeFile(at.conf(), []byte(confText(final, s)), 0o644); err != nil {
		return err
	}
	return s.save(at)
}

// makeKeys makes a key for everyone, writes each daemon's and the administrator's keyring and
// returns the text of those that the monitors start from. They learn the OSDs' keys with the OSDs.
func makeKeys(at layout, s *spec, now time.Time) (string, error) {
	var all strings.Builder
	add := func(name, file string, caps map[string]string) error {
		n, err := ceph.ParseAuthName(name)
		if err != nil {
			return err
		}
		k, err := keyring.Generate(rand.Reader, now)
		if err != nil {
			return err
		}
		var ring keyring.Keyring
		ring.Set(keyring.Entry{Name: n, Key: k, Caps: caps})
		text := ring.Format()
		if n.Type != ceph.TypeOSD {
			all.WriteString(text)
		}
		if file == "" {
			return nil
		}
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		return writeFile(file, []byte(text), 0o600)
	}
	err := add("mon.", "", monCaps)
	if err == nil {
		err = add("client.admin", at.adminKeyring(), adminCaps)
	}
	if err == nil {
		err = add("mgr."+s.Mgr, at.keyring("mgr."+s.Mgr), mgrCaps)
	}
	for _, o := range s.OSDs {
		if err == nil {
			err = add(osdName(o.ID), at.keyring(osdName(o.ID)), osdCaps)
		}
	}
	return all.String(), err
}

// confText is the ceph.conf that Glue's daemons and stock clients share.
func confText(l layout, s *spec) string {
	var b strings.Builder
	line := func(name string, value any) { fmt.Fprintf(&b, "\t%s = %v\n", name, value) }
	b.WriteString("# Written by glue up; stock Ceph clients use it as it is.\n[global]\n")
	line("fsid", s.FSID)
	line("mon host", s.monHost())
	for _, who := range []string{"cluster", "service", "client"} {
		line("auth "+who+" required", "cephx")
	}
	line("run dir", l.path("run"))
	line("crash dir", l.path("crash"))
	b.WriteString("[mon]\n")
	line("mon data", l.path("mon.$id"))
	b.WriteString("[osd]\n")
	line("osd data", l.path("osd.$id"))
	if s.Cluster != "" {
		line("cluster addr", s.Cluster)
	}
	for _, sec := range []string{"mon", "osd", "mgr"} {
		fmt.Fprintf(&b, "[%s]\n", sec)
		line("admin socket", l.path("run", "$name.asok"))
		line("keyring", l.path("$name", "keyring"))
	}
	for _, name := range s.Mons {
		fmt.Fprintf(&b, "[mon.%s]\n", name)
		line("public addr", addrText(s.monAddr(name)))
	}
	fmt.Fprintf(&b, "[mgr.%s]\n", s.Mgr)
	line("public addr", s.addr(mgrPort))
	for _, o := range s.OSDs {
		fmt.Fprintf(&b, "[osd.%d]\n", o.ID)
		line("public addr", s.addr(firstOSDPort+o.ID))
	}
	b.WriteString("[client]\n")
	line("keyring", l.path("ceph.$name.keyring"))
	return b.String()
}

func newUUID() string {
	var u ceph.UUID
	rand.Read(u[:]) // never fails, by its documentation
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	return u.String()
}
