package blockstore

// Work does what the goroutines of a store would do by now: it commits what is queued, and then
// does what is due of the checkpointer's work. Done functions are called from it, and from a Submit
// that finds the journal full. It is for Options.Manual, and for the goroutine that submits.
func (s *Store) Work() {
	s.commitAll()
	c := &s.checkpoint
	for _, due := range []struct {
		asked chan struct{}
		work  func() error
	}{{c.wake, s.Checkpoint}, {c.back, s.runWriteBack}, {c.fill, s.fillZones},
		{c.note, s.noteDurable}} {
		select {
		case <-due.asked:
			s.doBack(due.work)
		default:
		}
	}
}

// Rest does what a store does by itself when nothing was submitted for a while: like Work.
func (s *Store) Rest() {
	s.wantMark()
	s.checkpoint.requestNote()
	s.Work()
}

// commitAll commits what is queued, and a mark.
func (s *Store) commitAll() {
	s.q.mu.Lock()
	s.q.urgent++
	s.q.mu.Unlock()
	for s.commitNext() {
	}
	s.q.mu.Lock()
	s.q.urgent--
	s.q.mu.Unlock()
}
