package daemon

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"glue/internal/options"
)

const recentLines = 500 // log_max_recent

// A Log is where a daemon's lines go: a file that can be opened anew after it was rotated, or what
// the process was given. It keeps the newest lines in memory for "log dump".
type Log struct {
	level slog.LevelVar
	mu    sync.Mutex
	path  string // empty for w alone
	w     io.Writer
	file  *os.File
	ring  [][]byte
	next  int
}

// NewLog makes a log that writes to w, or to the file at path unless that is empty.
func NewLog(w io.Writer, path string) (*Log, error) {
	l := &Log{w: w, path: path}
	return l, l.Reopen()
}

// Logger is the interface for the daemon's code.
func (l *Log) Logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: &l.level}))
}

// Follow takes the level of the option log_level.
func (l *Log) Follow(set options.Set) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(set.Str("log_level"))); err == nil {
		l.level.Set(level)
	}
}

// Level is the least severe level that is written.
func (l *Log) Level() slog.Level { return l.level.Level() }

// Write takes one line.
func (l *Log) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.ring) < recentLines {
		l.ring = append(l.ring, slices.Clone(line))
	} else {
		l.ring[l.next] = append(l.ring[l.next][:0], line...)
		l.next = (l.next + 1) % recentLines
	}
	return l.w.Write(line)
}

// Reopen opens the file anew, for after it was renamed. A log without a file stays as it is.
func (l *Log) Reopen() error {
	if l.path == "" {
		return nil
	}
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		l.file.Close()
	}
	l.file, l.w = f, f
	return nil
}

// Dump writes the newest lines into the log once more, between two marks.
func (l *Log) Dump() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := slices.Concat(l.ring[l.next:], l.ring[:l.next])
	_, err := fmt.Fprintf(l.w, "--- begin dump of recent events, %s ---\n",
		time.Now().Format(time.RFC3339))
	for _, line := range lines {
		if err == nil {
			_, err = l.w.Write(line)
		}
	}
	if err == nil {
		_, err = fmt.Fprintln(l.w, "--- end dump of recent events ---")
	}
	return err
}

// Close closes the file.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	l.w = os.Stderr
	return l.file.Close()
}
