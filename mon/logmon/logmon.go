// Package logmon keeps the cluster log: what daemons and monitors tell operators, on the channels
// cluster and audit.
//
// Invariants: the log is bounded; an entry is given a place once and keeps it. A Service belongs to
// the monitor's loop. The commands are those of Ceph 16.2's mon/LogMonitor.cc.
package logmon

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/mon/service"
	"glue/wire/message"
)

const (
	name       = "log"
	keep       = 2000     // entries
	maxPending = 2000     // entries that wait for the next proposal
	maxText    = 16 << 10 // bytes of one message
)

// An Entry is one line with its place in the log.
type Entry struct {
	Version uint64
	message.LogEntry
}

// A Service is the log service.
type Service struct {
	log     []Entry // ascending versions without a gap
	next    uint64
	pending []message.LogEntry
	dropped int
}

// New makes an empty log.
func New() *Service { return &Service{next: 1} }

// Name is "log".
func (s *Service) Name() string { return name }

// Version is the number of the newest entry.
func (s *Service) Version() uint64 { return s.next - 1 }

// Load reads the log.
func (s *Service) Load(r service.Reader) error {
	s.log, s.next = nil, 1
	var failed error
	err := r.Scan(name+"/", func(_ string, value []byte) bool {
		var e Entry
		c := denc.NewDecoder(append([]byte{}, value...), ceph.FeaturesAll)
		c.U64(&e.Version)
		e.LogEntry.Denc(c)
		failed = c.Err()
		s.log = append(s.log, e)
		s.next = e.Version + 1
		return failed == nil
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return fmt.Errorf("load log: %w", err)
	}
	return nil
}

// Add wishes an entry. What does not fit until the next proposal is counted and dropped.
func (s *Service) Add(e message.LogEntry) {
	if len(s.pending) >= maxPending {
		s.dropped++
		return
	}
	if len(e.Message) > maxText {
		e.Message = e.Message[:maxText]
	}
	if e.Channel == "" {
		e.Channel = "cluster"
	}
	s.pending = append(s.pending, e)
}

// Dirty says whether something is prepared.
func (s *Service) Dirty() bool { return len(s.pending) > 0 }

// Discard keeps what is prepared: log lines are of use to any leader.
func (s *Service) Discard() { s.pending = nil }

// Change encodes what is prepared.
func (s *Service) Change() ([]byte, error) {
	if s.dropped > 0 {
		last := s.pending[len(s.pending)-1]
		last.Priority = message.LogWarn
		last.Message = fmt.Sprintf("%d log entries were dropped: too many at once", s.dropped)
		s.pending, s.dropped = append(s.pending, last), 0
	}
	c := denc.NewEncoder(nil, ceph.FeaturesAll)
	denc.List(c, &s.pending)
	s.pending = nil
	return c.Bytes(), nil
}

// Apply appends the entries and trims the log.
func (s *Service) Apply(change []byte, w service.Writer) error {
	var list []message.LogEntry
	c := denc.NewDecoder(change, ceph.FeaturesAll)
	if denc.List(c, &list); c.Err() != nil {
		return fmt.Errorf("change of log: %w", c.Err())
	}
	for _, e := range list {
		one := Entry{s.next, e}
		s.next++
		s.log = append(s.log, one)
		c := denc.NewEncoder(nil, ceph.FeaturesAll)
		c.U64(&one.Version)
		one.LogEntry.Denc(c)
		w.Set(key(one.Version), c.Bytes())
	}
	if drop := len(s.log) - keep; drop > 0 {
		for _, e := range s.log[:drop] {
			w.Delete(key(e.Version))
		}
		clear(s.log[:drop])
		s.log = s.log[drop:] // append moves what is left when there is no more room behind it
	}
	return nil
}

func key(version uint64) string { return fmt.Sprintf("%s/%016x", name, version) }

// Since lists the entries from a version on that are at least as important as a level.
func (s *Service) Since(version uint64, level uint16) []message.LogEntry {
	var out []message.LogEntry
	for _, e := range s.log {
		if e.Version >= version && e.Priority >= level {
			out = append(out, e.LogEntry)
		}
	}
	return out
}

var levels = []string{"debug", "info", "sec", "warn", "error"}

// Level finds a level by the word of a subscription or command.
func Level(word string) (uint16, bool) {
	i := slices.Index(levels, word)
	return uint16(max(i, 0)), i >= 0
}

var tags = []string{"[DBG]", "[INF]", "[SEC]", "[WRN]", "[ERR]"}

func tag(p uint16) string {
	if int(p) < len(tags) {
		return tags[p]
	}
	return "[???]"
}

// Line is an entry as "log last" prints it.
func Line(e *message.LogEntry) string {
	return fmt.Sprintf("%v %v (%v) %d : %s %s %s", e.Stamp, e.Name, e.Rank, e.Seq, e.Channel,
		tag(e.Priority), e.Message)
}

// Commands are the log commands.
func (s *Service) Commands() []service.Row {
	return []service.Row{
		{Prefix: "log", Run: s.cmdLog},
		{Prefix: "log last", Run: s.cmdLast},
	}
}

func (s *Service) cmdLog(r *service.Request) service.Answer {
	s.Add(message.LogEntry{
		Name: r.Caller.Auth, Rank: r.Caller.Entity, Addrs: r.Caller.Addrs,
		Stamp:    ceph.TimeOf(r.Now),
		Priority: message.LogInfo, Channel: "cluster",
		Message: strings.Join(r.Strs("logtext"), " "),
	})
	return service.OK("")
}

// dump is an entry in JSON.
type dump struct {
	Name     string       `json:"name"`
	Rank     string       `json:"rank"`
	Addrs    ceph.AddrVec `json:"addrs"`
	Stamp    string       `json:"stamp"`
	Seq      uint64       `json:"seq"`
	Channel  string       `json:"channel"`
	Priority string       `json:"priority"`
	Message  string       `json:"message"`
}

func (s *Service) cmdLast(r *service.Request) service.Answer {
	num := int(r.Int("num", 20))
	level, ok := Level(r.Str("level"))
	if !ok {
		level = message.LogInfo
	}
	channel := r.Str("channel")
	if channel == "" || channel == "*" {
		channel = "cluster"
	}
	out, lines := []dump{}, []string{}
	for i := len(s.log) - 1; i >= 0 && len(out) < num; i-- {
		e := &s.log[i].LogEntry
		if e.Priority < level || e.Channel != channel && r.Str("channel") != "*" {
			continue
		}
		out = append(out, dump{e.Name.String(), e.Rank.String(), e.Addrs,
			e.Stamp.String(), e.Seq, e.Channel, tag(e.Priority), e.Message})
		lines = append(lines, Line(e))
	}
	slices.Reverse(out)
	slices.Reverse(lines)
	return r.Either(out, service.Lines(lines))
}

// Own makes an entry of a monitor.
func Own(who ceph.AuthName, rank int, addrs ceph.AddrVec, now time.Time, seq uint64,
	priority uint16, channel, text string,
) message.LogEntry {
	return message.LogEntry{
		Name: who, Rank: ceph.EntityName{Type: ceph.TypeMon, Num: int64(rank)}, Addrs: addrs,
		Stamp: ceph.TimeOf(now), Seq: seq, Priority: priority, Channel: channel, Message: text,
	}
}
