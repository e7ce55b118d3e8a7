package backup

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"

	"glue/ceph"
	"glue/client/rbd"
	"glue/client/rbd/difffile"
)

// A file of an image with its snapshots (rbd export --export-format 2): a line; records with what
// the image is like, each a letter, the length of the rest as u64, and that; a line; how many files
// of differences follow as u64; those, of format 2, each from one snapshot to the next, and the
// last to the image. Numbers are little endian.
const (
	imageBanner      = "rbd image v2\n"
	imageDiffsBanner = "rbd image diffs v2\n"

	imageOrder       = 'O' // u64
	imageFeatures    = 'T' // u64
	imageStripeUnit  = 'U' // u64
	imageStripeCount = 'C' // u64
	imageMeta        = 'M' // u32 length, key, u32 length, value
	imageEnd         = 'E' // no length
)

var le = binary.LittleEndian

// maxImageMeta bounds a record of the image's properties, maxImageSnaps the snapshots of a file.
const (
	maxImageMeta  = 1 << 20
	maxImageSnaps = 1 << 20
)

// ExportImage writes the image with its snapshots, their protection and its metadata to a stream,
// for ImportImage or rbd import --export-format 2. What a clone has of its parent is written like
// its own.
func ExportImage(ctx context.Context, i *rbd.Image, w io.Writer, p rbd.Progress) error {
	snaps, err := i.UserSnapshots(ctx)
	if err != nil {
		return err
	}
	meta, err := i.Metadata(ctx)
	if err != nil {
		return err
	}
	d := difffile.Writer{W: w, V2: true}
	head, info := []byte(imageBanner), i.Info()
	for _, f := range []struct {
		tag   byte
		value uint64
	}{{imageOrder, uint64(info.Order)}, {imageFeatures, uint64(info.Features)},
		{imageStripeUnit, info.StripeUnit}, {imageStripeCount, info.StripeCount}} {
		head = le.AppendUint64(le.AppendUint64(append(head, f.tag), 8), f.value)
	}
	for _, key := range slices.Sorted(maps.Keys(meta)) {
		pair := slices.Concat(le.AppendUint32(nil, uint32(len(key))), []byte(key),
			le.AppendUint32(nil, uint32(len(meta[key]))), meta[key])
		head = append(le.AppendUint64(append(head, imageMeta), uint64(len(pair))), pair...)
	}
	head = append(append(head, imageEnd), imageDiffsBanner...)
	if _, err := d.W.Write(le.AppendUint64(head, uint64(len(snaps)+1))); err != nil {
		return fmt.Errorf("write the image: %w", err)
	}
	o := DiffOptions{Format2: true}
	total := uint64(len(snaps) + 1)
	for n, s := range snaps {
		at, err := i.OpenAt(ctx, s)
		if err == nil {
			err = ExportDiff(ctx, at, w, o, nil)
		}
		if err != nil {
			return fmt.Errorf("export snapshot %s of image %s: %w", s.Name, i.Name(), err)
		}
		o.From = s.Name
		tell(p, uint64(n+1), total)
	}
	if _, ok := i.AtSnapshot(); !ok {
		err = ExportDiff(ctx, i, w, o, nil)
	} else { // the image is to be as the last snapshot
		err = d.Head(difffile.Head{From: o.From, Size: info.Size})
		err = errors.Join(err, d.Record(difffile.End, nil, 0))
	}
	tell(p, total, total)
	return err
}

// ImportImage makes an image of what ExportImage or rbd export --export-format 2 wrote. What o
// leaves open is as in the file, but features that come with other images or pools. If it fails
// there is no image.
func ImportImage(
	ctx context.Context, s *rbd.Store, name string, r io.Reader, o rbd.CreateOptions,
	p rbd.Progress,
) error {
	in := &imageReader{r: bufio.NewReaderSize(r, 1<<20), meta: map[string][]byte{}}
	if err := in.head(); err != nil {
		return err
	}
	o.Size = 0 // each of the files of differences says it
	in.info.Order = uint8(min(in.order, math.MaxUint8))
	o.Like(in.info)
	if err := s.Create(ctx, name, o); err != nil {
		return err
	}
	err := importDiffs(ctx, s, name, in, p)
	if err != nil {
		err = errors.Join(fmt.Errorf("import image %s: %w", name, err), s.Undo(ctx, name))
	}
	return err
}

// importDiffs fills a new image.
func importDiffs(
	ctx context.Context, s *rbd.Store, name string, in *imageReader, p rbd.Progress,
) (err error) {
	i, err := s.Open(ctx, name, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, i.Close(ctx)) }()
	if err := i.SetAllMetadata(ctx, in.meta); err != nil {
		return err
	}
	for n := range in.diffs {
		d, err := difffile.NewReader(in.r)
		if err == nil && !d.V2 {
			err = fmt.Errorf("differences of format 1 in a file of format 2: %w", ceph.EINVAL)
		}
		if err == nil {
			err = importDiff(ctx, i, d, nil)
		}
		if err != nil {
			return err
		}
		tell(p, n+1, in.diffs)
	}
	return nil
}

// An imageReader reads the beginning of a file of an image.
type imageReader struct {
	r *bufio.Reader

	info  rbd.Info // but the order, which is a wider number in the file:
	order uint64
	meta  map[string][]byte
	diffs uint64
}

func (in *imageReader) line(want string) error {
	b := make([]byte, len(want))
	if n, err := io.ReadFull(in.r, b); err != nil || string(b) != want {
		return fmt.Errorf("this is no file of an image in format 2 (%q instead of %q): %w", b[:n],
			want, ceph.EINVAL)
	}
	return nil
}

func (in *imageReader) head() error {
	if err := in.line(imageBanner); err != nil {
		return err
	}
	for {
		more, err := in.record()
		if err != nil {
			return difffile.CutShort(err)
		}
		if !more {
			break
		}
	}
	if err := in.line(imageDiffsBanner); err != nil {
		return err
	}
	if err := binary.Read(in.r, le, &in.diffs); err != nil {
		return difffile.CutShort(err)
	}
	if in.diffs == 0 || in.diffs > maxImageSnaps {
		return fmt.Errorf("a file of %d differences: %w", in.diffs, ceph.EINVAL)
	}
	return nil
}

// record reads one property of the image; false at their end.
func (in *imageReader) record() (more bool, err error) {
	tag, err := in.r.ReadByte()
	if err != nil || tag == imageEnd {
		return false, err
	}
	var length uint64
	if err := binary.Read(in.r, le, &length); err != nil {
		return false, err
	}
	if length > maxImageMeta {
		return false, fmt.Errorf("record %q of %d bytes in the file of an image: %w", tag, length,
			ceph.EINVAL)
	}
	b := make([]byte, length)
	if _, err := io.ReadFull(in.r, b); err != nil {
		return false, err
	}
	to := map[byte]*uint64{imageOrder: &in.order, imageFeatures: (*uint64)(&in.info.Features),
		imageStripeUnit: &in.info.StripeUnit, imageStripeCount: &in.info.StripeCount}[tag]
	switch {
	case to != nil && length == 8:
		*to = le.Uint64(b)
	case tag == imageMeta:
		key, rest, ok := cutString(b)
		value, rest, ok2 := cutString(rest)
		if !ok || !ok2 || len(rest) > 0 {
			return false, fmt.Errorf("metadata in the file of an image: %w", ceph.EINVAL)
		}
		in.meta[string(key)] = value
	case to != nil:
		return false, fmt.Errorf("record %q of %d bytes in the file of an image: %w", tag, length,
			ceph.EINVAL)
	}
	return true, nil // what is not known is passed over
}

// cutString takes a string with its length off b.
func cutString(b []byte) (s, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	n := uint64(le.Uint32(b))
	if b = b[4:]; n > uint64(len(b)) {
		return nil, nil, false
	}
	return b[:n], b[n:], true
}
