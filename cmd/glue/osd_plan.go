package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"glue/auth/keyring"
	"glue/store/blockstore"
	"glue/store/disk"
)

// A plan is what is written down before an OSD is made, so that whoever goes on with it uses the
// same UUID and key, for which the monitors give the same number.
type plan struct {
	Cluster string `json:"cluster"`
	UUID    string `json:"uuid"`
	Key     string `json:"key"`
	Disk    string `json:"disk"`  // empty for a file in the folder
	Bytes   int64  `json:"bytes"` // of a file to make
	Class   string `json:"class,omitempty"`
	ID      int    `json:"id"` // -1 until it is known
}

// label is what the store says of itself.
func (p *plan) label() string { return fmt.Sprintf("OSD %s of cluster %s", p.UUID, p.Cluster) }

func (p *plan) save(dir string) error {
	b, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, planFile), append(b, '\n'), 0o600)
}

func readPlan(dir string) (*plan, error) {
	b, err := os.ReadFile(filepath.Join(dir, planFile))
	if err != nil {
		return nil, err
	}
	p := &plan{}
	if err := json.Unmarshal(b, p); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", filepath.Join(dir, planFile), err)
	}
	return p, nil
}

// findPlan looks for an OSD on this disk that was begun and not finished.
func (c *creator) findPlan() error {
	dirs, err := filepath.Glob(c.dataOf("*"))
	if err != nil {
		return err
	}
	for _, dir := range append(dirs, c.staging()) {
		p, err := readPlan(dir)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if p.Disk != c.req.disk {
			continue
		}
		if p.Cluster != c.fsid {
			return fmt.Errorf("%s was begun for cluster %s, not for %s; remove it to begin anew",
				dir, p.Cluster, c.fsid)
		}
		if want := c.want(); want >= 0 && p.ID >= 0 && p.ID != want {
			return fmt.Errorf("%s was begun as osd.%d; finish that without --id and --replace",
				dir, p.ID)
		}
		fmt.Fprintf(c.out, "Going on with what was begun in %s.\n", dir)
		c.plan, c.dir = p, dir
		return nil
	}
	return nil
}

// staging is the folder of an OSD that has no number yet.
func (c *creator) staging() string {
	h := fnv.New32a()
	h.Write([]byte(c.req.disk))
	return filepath.Join(filepath.Dir(c.dataOf("x")), fmt.Sprintf(".osd-creating-%08x", h.Sum32()))
}

// begin decides what will be made and writes it down.
func (c *creator) begin() error {
	bytes, err := c.checkDisk()
	if err != nil {
		return err
	}
	k, err := keyring.Generate(rand.Reader, time.Now())
	if err != nil {
		return err
	}
	class := c.req.class
	if class == "" {
		class = rotates(c.req.disk)
	}
	c.plan = &plan{Cluster: c.fsid, UUID: newUUID(), Key: k.Base64(), Disk: c.req.disk,
		Bytes: bytes, Class: class, ID: -1}
	c.dir = c.staging()
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return err
	}
	return c.plan.save(c.dir)
}

// checkDisk refuses a disk that holds anything which --force does not name, and is the size of the
// file that is to be made, if one is.
func (c *creator) checkDisk() (int64, error) {
	bytes, err := diskBytes(or(c.req.size, defaultOSDSize))
	if err != nil {
		return 0, fmt.Errorf("--size: %w", err)
	}
	path, size := c.req.disk, bytes
	if path != "" {
		content, err := disk.Probe(path)
		switch {
		case errors.Is(err, os.ErrNotExist):
		case err != nil:
			return 0, fmt.Errorf("%w: it can't become an OSD", err)
		default:
			if c.req.size != "" {
				return 0, fmt.Errorf("--size is for a file that is made; %s has %d bytes", path,
					content.Size)
			}
			if size = content.Size; content.Kind != "" {
				if err := c.mayWipe(path, content); err != nil {
					return 0, err
				}
			}
		}
	}
	if size < minOSDBytes {
		return 0, fmt.Errorf("%d bytes are too few for an OSD, it needs at least 1G", size)
	}
	return bytes, nil
}

// mayWipe says whether the user has named what will be destroyed.
func (c *creator) mayWipe(path string, content disk.Content) error {
	what := content.What
	if content.Kind == "glue" {
		info, err := blockstore.ReadDiskInfo(path)
		if err == nil {
			what += fmt.Sprintf(" (%s)", info.Label)
		}
	}
	switch c.req.force {
	case content.Kind:
		fmt.Fprintf(c.out, "%s held %s; it is wiped.\n", path, what)
		return disk.Wipe(path)
	case "":
		return fmt.Errorf("%s holds %s: nothing was changed; if nobody needs it any more, add: "+
			"--force %s", path, what, content.Kind)
	}
	return fmt.Errorf("%s holds %s, not what --force %s says: nothing was changed", path, what,
		c.req.force)
}

// rotates is the device class that follows from what the kernel says of a device.
func rotates(path string) string {
	var st syscall.Stat_t
	if path == "" || syscall.Stat(path, &st) != nil || st.Mode&syscall.S_IFMT != syscall.S_IFBLK {
		return ""
	}
	major, minor := st.Rdev>>8&0xfff, st.Rdev&0xff|st.Rdev>>12&0xfff00
	sys := fmt.Sprintf("/sys/dev/block/%d:%d/", major, minor)
	for _, f := range []string{"queue/rotational", "../queue/rotational"} {
		if b, err := os.ReadFile(sys + f); err == nil {
			return map[string]string{"0": "ssd", "1": "hdd"}[strings.TrimSpace(string(b))]
		}
	}
	return ""
}
