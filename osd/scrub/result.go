package scrub

import (
	"fmt"
	"slices"

	"glue/cluster/pginfo"
)

// maxLines bounds what one scrub says of single objects.
const maxLines = 1000

// Say returns the lines of a chunk for the cluster log, as far as this scrub may say any more.
func (m *Machine) Say(f *Comparison) []string {
	lines := f.Lines[:min(len(f.Lines), max(0, maxLines-m.lines))]
	m.lines += len(f.Lines)
	if len(lines) < len(f.Lines) && len(lines) > 0 {
		lines = append(lines, "more is wrong than is said here; see 'rados list-inconsistent-obj'")
	}
	return lines
}

// Mend replaces a PG's counts by what was found, and says how they differed; empty if they did
// not, or were known to be estimated.
func (m *Machine) Mend(s *pginfo.Stats) (mismatch string) {
	c := &m.Counts
	if m.Job.Deep {
		s.OmapBytes, s.OmapKeys, s.Scrub.LargeOmap = c.OmapBytes, c.OmapKeys, c.LargeOmap
	}
	if c.Objects != s.Objects || c.Bytes != s.Bytes || c.Omap != s.ObjectsOmap ||
		c.Dirty != s.ObjectsDirty || c.Clones != s.ObjectsClone || c.Whiteouts != s.Whiteouts {
		mismatch = fmt.Sprintf("%s : stat mismatch, got %d/%d objects, %d/%d clones, %d/%d dirty, "+
			"%d/%d omap, 0/0 pinned, 0/0 hit_set_archive, %d/%d whiteouts, %d/%d bytes, "+
			"0/0 manifest objects, 0/0 hit_set_archive bytes.", m.Job.Name(), c.Objects,
			s.Objects, c.Clones, s.ObjectsClone, c.Dirty, s.ObjectsDirty, c.Omap, s.ObjectsOmap,
			c.Whiteouts, s.Whiteouts, c.Bytes, s.Bytes)
	}
	if s.Estimated {
		mismatch = ""
	}
	s.Objects, s.Bytes, s.ObjectsOmap, s.ObjectsDirty = c.Objects, c.Bytes, c.Omap, c.Dirty
	s.ObjectsClone, s.Whiteouts = c.Clones, c.Whiteouts
	s.Estimated = false
	return mismatch
}

// Left notes the errors that remain in a PG's statistics; repaired is how many copies are on their
// way.
func (m *Machine) Left(s *pginfo.ScrubStats, repaired int) {
	left := &m.Counts
	if m.Repairs() {
		left = &m.Disputed
	}
	s.Shallow = left.Shallow
	if m.Job.Deep {
		s.Deep = left.Deep
	}
	s.Repaired += int64(repaired)
}

// Keep are the records to be listed from now on. A scrub that has not read the data does not unsay
// what one before has found that did.
func (m *Machine) Keep(before []Record, deepErrors int64) []Record {
	if m.Job.Deep || deepErrors == 0 {
		return m.Records
	}
	for i := range before {
		old := &before[i]
		if old.counts.Deep > 0 && len(m.Records) < maxRecords &&
			!slices.ContainsFunc(m.Records,
				func(r Record) bool { return r.Object == old.Object }) {
			m.Records = append(m.Records, *old)
		}
	}
	return m.Records
}

// Summary is what the cluster log gets at the end; a clean scrub says that it is ok.
func (m *Machine) Summary(fixed int, mismatch string) (lines []string, clean bool) {
	c, name := &m.Counts, m.Job.Name()
	errors := c.Shallow + c.Deep
	if mismatch != "" {
		errors++
		fixed++
		lines = append(lines, mismatch)
	}
	if errors == 0 {
		return []string{name + " ok"}, true
	}
	if c.Missing+c.Inconsistent > 0 {
		lines = append(lines, fmt.Sprintf("%s %d missing, %d inconsistent objects", name,
			c.Missing, c.Inconsistent))
	}
	text := fmt.Sprintf("%s %d errors", name, errors)
	if m.Repairs() || fixed > 0 {
		text += fmt.Sprintf(", %d fixed", fixed)
	}
	lines = append(lines, text)
	if n := m.Disputed.Objects; n > 0 && m.Repairs() {
		lines = append(lines, fmt.Sprintf("%s : %d objects are left as they are: no copy is "+
			"certain to be right", name, n))
	}
	if m.Dropped > 0 {
		lines = append(lines, fmt.Sprintf("%s : %d more inconsistent objects are not listed; "+
			"repair these first", name, m.Dropped))
	}
	return lines, false
}
