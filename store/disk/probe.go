package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// A Content is what a file or device holds, as far as one can tell from its ends.
type Content struct {
	Size   int64
	Device bool   // a block device
	Kind   string // one word, such as "ext4"; empty if there is nothing
	What   string // the same for a sentence
}

// edge is how much of each end has to be empty for a disk to count as empty, and is made empty by
// Wipe. Everything in signatures lies within.
const edge = 1 << 20

// signatures are how the usual contents begin, or, with a negative offset, end. The first that
// fits counts, so what embraces others comes first.
var signatures = []struct {
	off   int
	magic string
	kind  string
	what  string
}{
	{0, "GLUE-BLOCKSTORE\n", "glue", "an OSD's store"},
	{0, "bluestore block device\n", "bluestore", "a Ceph OSD (BlueStore)"},
	{0, "LUKS\xba\xbe", "luks", "an encrypted volume (LUKS)"},
	{536, "LVM2 001", "lvm", "a physical volume of LVM"},
	{24, "LVM2 001", "lvm", "a physical volume of LVM"},
	{4096, "\xfc\x4e\x2b\xa9", "raid", "a member of a RAID (md)"},
	{0, "\xfc\x4e\x2b\xa9", "raid", "a member of a RAID (md)"},
	{-8192, "\xfc\x4e\x2b\xa9", "raid", "a member of a RAID (md)"},
	{0, "XFSB", "xfs", "an XFS file system"},
	{1080, "\x53\xef", "ext4", "an ext file system"},
	{65600, "_BHRfS_M", "btrfs", "a Btrfs file system"},
	{32769, "CD001", "iso9660", "an ISO 9660 image"},
	{3, "NTFS    ", "ntfs", "an NTFS file system"},
	{82, "FAT32   ", "vfat", "a FAT file system"},
	{54, "FAT", "vfat", "a FAT file system"},
	{4086, "SWAPSPACE2", "swap", "swap space"},
	{0, "QFI\xfb", "qcow2", "a QCOW2 image"},
	{512, "EFI PART", "gpt", "a partition table (GPT)"},
	{4096, "EFI PART", "gpt", "a partition table (GPT)"},
	{-512, "EFI PART", "gpt", "a partition table (GPT)"},
	{-4096, "EFI PART", "gpt", "a partition table (GPT)"},
	{510, "\x55\xaa", "mbr", "a partition table (MBR)"},
}

// ErrInUse is a device that the system uses, or a file that a daemon or a loop device has open.
var ErrInUse = errors.New("in use")

// Probe says what a regular file or a block device holds; ErrInUse if it is being used.
func Probe(path string) (Content, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return Content{}, fmt.Errorf("%s: %w", path, err)
	}
	c := Content{Device: st.Mode&unix.S_IFMT == unix.S_IFBLK}
	if !c.Device && st.Mode&unix.S_IFMT != unix.S_IFREG {
		return c, fmt.Errorf("%s is neither a block device nor a regular file", path)
	}
	f, err := claim(path, c.Device, os.O_RDONLY)
	if err != nil {
		return c, err
	}
	defer f.Close()
	if c.Size, err = f.Seek(0, io.SeekEnd); err != nil {
		return c, fmt.Errorf("%s: %w", path, err)
	}
	head, tail, err := ends(f, c.Size)
	if err != nil {
		return c, fmt.Errorf("%s: %w", path, err)
	}
	c.identify(head, tail)
	if c.Kind == "" && !c.Device {
		err = c.inside(f)
	}
	return c, err
}

// ends reads both ends, which overlap in a short file.
func ends(f io.ReaderAt, size int64) (head, tail []byte, err error) {
	n := min(size, edge)
	head, tail = make([]byte, n), make([]byte, n)
	if _, err = f.ReadAt(head, 0); err == nil {
		_, err = f.ReadAt(tail, size-n)
	}
	return head, tail, err
}

func (c *Content) identify(head, tail []byte) {
	for _, s := range signatures {
		b, off := head, s.off
		if off < 0 {
			b, off = tail, len(tail)+off
		}
		if off >= 0 && len(b) >= off && bytes.HasPrefix(b[off:], []byte(s.magic)) {
			c.Kind, c.What = s.kind, s.what
			return
		}
	}
	if used(head) || used(tail) {
		c.Kind, c.What = "data", "data of a kind that is not recognised"
	}
}

func used(b []byte) bool { return len(bytes.TrimLeft(b, "\x00")) > 0 }

// samples is how many places within a file are looked at.
const samples = 64

// inside looks for data between the ends of a file, where a disk that was wiped may still have
// some.
func (c *Content) inside(f io.ReaderAt) error {
	b := make([]byte, 64<<10)
	for i := int64(1); i < samples && c.Size > 2*edge; i++ {
		n, err := f.ReadAt(b, c.Size/samples*i)
		if err != nil && err != io.EOF {
			return err
		}
		if used(b[:n]) {
			c.Kind, c.What = "data", "data of a kind that is not recognised"
			return nil
		}
	}
	return nil
}

// Wipe empties both ends, so that nothing recognises what was there. ErrInUse if it is used.
func Wipe(path string) error {
	c, err := Probe(path)
	if err != nil {
		return err
	}
	f, err := claim(path, c.Device, os.O_RDWR)
	if err != nil {
		return err
	}
	defer f.Close()
	zeros := make([]byte, min(c.Size, edge))
	if _, err = f.WriteAt(zeros, 0); err == nil {
		_, err = f.WriteAt(zeros, c.Size-int64(len(zeros)))
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return fmt.Errorf("wipe %s: %w", path, err)
	}
	return nil
}

// claim opens what nobody else uses. The kernel refuses O_EXCL on a device that is mounted, swapped
// to, part of another, or our daemons'; files are locked by them, and loop devices name theirs.
func claim(path string, device bool, mode int) (*os.File, error) {
	if device {
		mode |= unix.O_EXCL
	} else if loop := loopOf(path); loop != "" {
		return nil, fmt.Errorf("%s is %w by %s", path, ErrInUse, loop)
	}
	f, err := os.OpenFile(path, mode|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.EBUSY) {
		return nil, fmt.Errorf("%s is %w%s", path, ErrInUse, userOf(path))
	}
	if err != nil {
		return nil, err
	}
	if err := lock(f, device); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s is %w by a daemon that runs", path, ErrInUse)
	}
	return f, nil
}

// loopOf is the loop device that a file is attached to, if any.
func loopOf(path string) string {
	real, err := filepath.EvalSymlinks(path)
	if err == nil {
		real, err = filepath.Abs(real)
	}
	if err != nil {
		return ""
	}
	names, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
	for _, n := range names {
		b, err := os.ReadFile(n)
		if err == nil && strings.TrimSuffix(string(b), "\n") == real {
			return "/dev/" + strings.Split(n, "/")[3]
		}
	}
	return ""
}

// userOf says, as far as is known, what uses a busy device or its partitions.
func userOf(path string) string {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return ""
	}
	sys := "/sys/class/block/" + filepath.Base(real)
	holders, _ := filepath.Glob(sys + "/holders/*")
	more, _ := filepath.Glob(sys + "/*/holders/*")
	if all := append(holders, more...); len(all) > 0 {
		return " by " + filepath.Base(all[0])
	}
	for _, list := range []struct{ file, text string }{
		{"/proc/mounts", ": mounted at "}, {"/proc/swaps", ": swap space, "}} {
		b, _ := os.ReadFile(list.file)
		for line := range strings.Lines(string(b)) {
			w := strings.Fields(line)
			if len(w) > 1 && strings.HasPrefix(w[0], real) {
				return list.text + w[1]
			}
		}
	}
	return ""
}
