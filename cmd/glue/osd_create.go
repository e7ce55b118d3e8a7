package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"glue/auth/keyring"
	"glue/ceph"
	"glue/client/rados"
	"glue/internal/conffile"
	"glue/store/blockstore"
)

// A creator makes one OSD. Each step may find that it was done before, by a run that was
// interrupted.
type creator struct {
	req  creation
	conf string // path of ceph.conf
	l    *layout
	fsid string
	out  io.Writer

	plan *plan
	dir  string // where the OSD's folder is now
	mons *rados.Cluster
}

func newCreator(r creation, out io.Writer) (*creator, error) {
	c := &creator{req: r, out: out}
	if r.data != "" {
		l, err := newLayout(r.data)
		if err != nil {
			return nil, err
		}
		if _, err := loadSpec(l); err != nil {
			return nil, err
		}
		c.l = &l
	} else if r.disk == "" {
		return nil, errors.New("which device or file? name it, or a cluster of glue up with --data")
	}
	var err error
	if c.conf, err = confFile(r.data, r.conf); err != nil {
		return nil, err
	}
	if r.disk != "" {
		if c.req.disk, err = filepath.Abs(r.disk); err != nil {
			return nil, err
		}
	}
	if r.id >= 0 && r.replace >= 0 && r.id != r.replace {
		return nil, fmt.Errorf("--id %d and --replace %d: one OSD at a time", r.id, r.replace)
	}
	values, err := osdValues(c.conf, "")
	if err != nil {
		return nil, err
	}
	fsid, err := ceph.ParseUUID(values["fsid"])
	if err != nil {
		return nil, fmt.Errorf("fsid in %s: %w", c.conf, err)
	}
	c.fsid = fsid.String()
	return c, nil
}

// osdValues are what a ceph.conf says for an OSD.
func osdValues(conf, id string) (map[string]string, error) {
	text, err := os.ReadFile(conf)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w; name a ceph.conf with -c", err)
	}
	f, err := conffile.Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", conf, err)
	}
	return f.For("osd", id), nil
}

// want is the number that the user asks for, or -1.
func (c *creator) want() int { return max(c.req.id, c.req.replace) }

// dataOf is the folder of an OSD.
func (c *creator) dataOf(id string) string {
	values, err := osdValues(c.conf, id)
	if err != nil { // it was there a moment ago
		return ""
	}
	return or(values["osd_data"], defaultOSDData+id)
}

// steps are what has to be done, in this order.
func (c *creator) steps() []step {
	return []step{
		{"", c.checkNumber}, {"", c.prepare},
		{"make the store", c.format}, {"get a number", c.enroll}, {"place the folder", c.settle},
		{"place it in the CRUSH map", c.place}, {"add it to the cluster's folder", c.register},
		{"start it", c.start}, {"finish", c.finish},
	}
}

// A step is one of the steps of making an OSD.
type step struct {
	what string
	do   func(ctx context.Context) error
}

// run makes the OSD.
func (c *creator) run(ctx context.Context) error {
	if c.l != nil && len(running(*c.l)) == 0 {
		return fmt.Errorf("the cluster in %s does not run; start it with: glue up --data %s",
			c.l.dir, c.l.dir)
	}
	unlock, err := lockFolder(filepath.Dir(c.dataOf("x")))
	if err != nil {
		return err
	}
	defer unlock()
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	if c.mons, err = c.connect(ctx); err != nil {
		return err
	}
	defer c.mons.Close()
	for _, s := range c.steps() {
		if err := s.do(ctx); err != nil {
			if s.what != "" {
				err = fmt.Errorf("%s: %w", s.what, err)
			}
			if c.plan != nil && c.plan.ID >= 0 {
				err = fmt.Errorf("%w; osd.%d is begun: the same command goes on, or give its "+
					"number back with: ceph osd purge-new %d --yes-i-really-mean-it", err,
					c.plan.ID, c.plan.ID)
			}
			return err
		}
	}
	if c.l == nil {
		fmt.Fprintf(c.out, "osd.%d is made in %s. Start it with: glue osd --id %d -c %s\n",
			c.plan.ID, c.dir, c.plan.ID, c.conf)
		return nil
	}
	fmt.Fprintf(c.out, "%s is up. It fills while the cluster works: ceph -s\n",
		osdName(c.plan.ID))
	return nil
}

// lockFolder keeps two of us from making OSDs in the same place.
func lockFolder(dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("another glue is making an OSD in %s", dir)
	}
	return func() { f.Close() }, nil
}

// bootstrapRing is where hosts have the key that may do nothing but make OSDs.
const bootstrapRing = "/var/lib/ceph/bootstrap-osd/ceph.keyring"

// connect reaches the monitors with the administrator's key, or else with that for making OSDs.
func (c *creator) connect(ctx context.Context) (*rados.Cluster, error) {
	bootstrap := ceph.AuthName{Type: ceph.TypeClient, ID: "bootstrap-osd"}
	o := rados.Options{ConfFile: c.conf, Keyring: c.req.ring}
	if c.req.ring != "" {
		if _, err := readKey(c.req.ring, bootstrap); err == nil {
			o.Name = bootstrap
		}
		return rados.Connect(ctx, o)
	}
	m, err := rados.Connect(ctx, o)
	if _, err2 := os.Stat(bootstrapRing); errors.Is(err, ceph.ENOENT) && err2 == nil {
		return rados.Connect(ctx, rados.Options{ConfFile: c.conf, Name: bootstrap,
			Keyring: bootstrapRing})
	}
	return m, err
}

// checkNumber refuses a number that can't be had before anything is touched.
func (c *creator) checkNumber(context.Context) error {
	if err := c.findPlan(); err != nil || c.plan != nil && c.plan.ID >= 0 {
		return err
	}
	id, m := int32(c.want()), c.mons.Map()
	switch {
	case id < 0:
		return nil
	case c.req.replace >= 0 && !m.Exists(id):
		return fmt.Errorf("there is no osd.%d; leave --replace out to add one", id)
	case m.Exists(id) && !m.IsDestroyed(id):
		return fmt.Errorf("osd.%d is in use; to replace its disk, stop it and run: "+
			"ceph osd destroy %d", id, id)
	}
	dir := c.dataOf(strconv.Itoa(int(id)))
	if strings.HasPrefix(c.req.disk, dir+"/") {
		return fmt.Errorf("%s is in the folder of the OSD that is replaced; move it", c.req.disk)
	}
	if info, err := blockstore.ReadInfo(dir); err == nil && info.InUse {
		return fmt.Errorf("the old osd.%d still runs on %s; stop it", id, dir)
	}
	return nil
}

// prepare decides what to do.
func (c *creator) prepare(context.Context) error {
	if c.plan != nil {
		return nil
	}
	return c.begin()
}

// format makes the store, unless it is there.
func (c *creator) format(context.Context) error {
	p := c.plan
	if info, err := blockstore.ReadInfo(c.dir); err == nil {
		if info.Label != p.label() {
			return fmt.Errorf("%s holds the store of another OSD: %s", c.dir, info.Label)
		}
		return nil
	}
	o := blockstore.Options{Label: p.label(), Device: p.Disk}
	if p.Disk == "" {
		o.Size = p.Bytes
	} else if err := makeFile(p.Disk, p.Bytes); err != nil {
		return err
	}
	return blockstore.Format(c.dir, o)
}

// makeFile makes a sparse file, unless there is something by that name.
func makeFile(path string, bytes int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		if fi, err := os.Stat(path); err != nil || fi.Size() > 0 || !fi.Mode().IsRegular() {
			return err
		}
		f, err = os.OpenFile(path, os.O_WRONLY, 0) // an earlier run got this far
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(bytes), f.Sync(), f.Close())
}

// enroll gets the OSD's number. The monitors give the same to the same UUID.
func (c *creator) enroll(ctx context.Context) error {
	p := c.plan
	if p.ID >= 0 {
		return nil
	}
	input := map[string]string{"cephx_secret": p.Key}
	if p.Class != "" {
		input["crush_device_class"] = p.Class
	}
	in, err := json.Marshal(input)
	if err != nil {
		return err
	}
	cmd := map[string]any{"prefix": "osd new", "uuid": p.UUID, "format": "json"}
	if c.want() >= 0 {
		cmd["id"] = osdName(c.want())
	}
	var answer struct {
		ID *int `json:"osdid"`
	}
	if err := askWith(ctx, c.mons, &answer, cmd, in); err != nil {
		return err
	}
	if answer.ID == nil {
		return errors.New("the monitors gave no number")
	}
	p.ID = *answer.ID
	return p.save(c.dir)
}

// settle fills the folder and gives it its name. A folder of that name belongs to a disk that has
// no number any more, and is kept beside.
func (c *creator) settle(context.Context) error {
	p := c.plan
	key, err := keyring.ParseKey(p.Key)
	if err != nil {
		return err
	}
	var ring keyring.Keyring
	name := ceph.AuthName{Type: ceph.TypeOSD, ID: strconv.Itoa(p.ID)}
	ring.Set(keyring.Entry{Name: name, Key: key, Caps: osdCaps})
	for file, text := range map[string]string{"keyring": ring.Format(), uuidFile: p.UUID + "\n",
		numberFile: name.ID + "\n", "ceph_fsid": p.Cluster + "\n"} {
		if err := writeFile(filepath.Join(c.dir, file), []byte(text), 0o600); err != nil {
			return err
		}
	}
	final := c.dataOf(name.ID)
	if c.dir == final {
		return nil
	}
	if info, err := blockstore.ReadInfo(final); err == nil && info.InUse {
		return fmt.Errorf("an earlier osd.%d still runs on %s; stop it", p.ID, final)
	}
	if entries, err := os.ReadDir(final); err == nil && len(entries) > 0 {
		old := fmt.Sprintf("%s.old-%d", final, time.Now().Unix())
		if err := os.Rename(final, old); err != nil {
			return err
		}
		fmt.Fprintf(c.out, "The folder of the osd.%d before is kept as %s; remove it when all "+
			"PGs are clean.\n", p.ID, old)
	}
	if err := os.Rename(c.dir, final); err != nil {
		return err
	}
	c.dir = final
	return syncFolder(filepath.Dir(final))
}

func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// place puts the OSD under this host, with the size of its store in TiB as weight. One that has a
// place keeps its weight. Without the administrator's key the monitors place it when it comes up.
func (c *creator) place(ctx context.Context) error {
	if c.mons.Name().ID != "admin" {
		return nil
	}
	info, err := blockstore.ReadInfo(c.dir)
	if err != nil {
		return err
	}
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	return ask(ctx, c.mons, nil, "osd crush create-or-move", map[string]any{
		"id": osdName(c.plan.ID), "weight": float64(info.Size) / tebibyte,
		"args": []string{"host=" + host, "root=default"}})
}

// register notes the OSD in the folder of a cluster of glue up, which starts it from now on.
func (c *creator) register(context.Context) error {
	if c.l == nil {
		return nil
	}
	s, err := loadSpec(*c.l)
	if err != nil {
		return err
	}
	info, err := blockstore.ReadInfo(c.dir)
	if err != nil {
		return err
	}
	o := osdSpec{ID: c.plan.ID, UUID: c.plan.UUID, Bytes: info.Size}
	if i := slices.IndexFunc(s.OSDs, func(x osdSpec) bool { return x.ID == o.ID }); i >= 0 {
		s.OSDs[i] = o
	} else {
		s.OSDs = append(s.OSDs, o)
	}
	return errors.Join(s.saveConf(*c.l), s.save(*c.l))
}

// finish forgets the plan, with its copy of the key.
func (c *creator) finish(context.Context) error {
	return errors.Join(os.Remove(filepath.Join(c.dir, planFile)), syncFolder(c.dir))
}

// start starts the OSD of a cluster of glue up as a process of its own and waits until it is up.
func (c *creator) start(ctx context.Context) error {
	if c.l == nil {
		return nil
	}
	name := osdName(c.plan.ID)
	ctx, watch := newNursery(ctx, *c.l)
	if err := watch.spawnMissing([]string{name}); err != nil {
		return err
	}
	for {
		err := c.mons.WaitLatestMap(ctx)
		if err == nil && c.mons.Map().IsUp(int32(c.plan.ID)) {
			return nil
		}
		select {
		case <-ctx.Done():
			return watch.explain(fmt.Errorf("%s is made, but not up yet; %s says why", name,
				c.l.log(name)))
		case <-time.After(healthPoll):
		}
	}
}
