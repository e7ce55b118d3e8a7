// Package admin is a daemon's local command port: the unix socket that `ceph daemon NAME COMMAND`
// talks to (common/admin_socket.cc). A request is a JSON object ended by a zero byte; the answer
// is its length as a big-endian u32 and the text. The table of commands is fixed before Listen;
// handlers run on the connection's goroutine.
package admin

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	maxRequestBytes = 64 << 10
	ioTimeout       = 30 * time.Second
	maxConnections  = 32
)

// A Server answers on one socket.
type Server struct {
	ln       net.Listener
	path     string
	commands *Table
	log      *slog.Logger
	slots    chan struct{}
	wg       sync.WaitGroup
	mu       sync.Mutex
	conns    map[net.Conn]struct{}
}

// Listen opens the socket at path, which only the owner may use. A socket left by a daemon that is
// gone is replaced; one that somebody answers on is an error.
func Listen(path string, commands *Table, log *slog.Logger) (*Server, error) {
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		c.Close()
		return nil, fmt.Errorf("admin socket %s: another daemon answers on it", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("admin socket %s: %w", path, err)
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("admin socket %s: %w (a unix socket's path may have 107 bytes)",
			path, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		ln.Close()
		return nil, fmt.Errorf("admin socket %s: %w", path, err)
	}
	s := &Server{ln: ln, path: path, commands: commands, log: log,
		slots: make(chan struct{}, maxConnections), conns: map[net.Conn]struct{}{}}
	s.wg.Go(s.accept)
	return s, nil
}

// Close stops answering and removes the socket.
func (s *Server) Close() {
	s.ln.Close()
	s.mu.Lock()
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

func (s *Server) accept() {
	for {
		c, err := s.ln.Accept()
		if err != nil {
			return
		}
		select {
		case s.slots <- struct{}{}:
		default:
			c.Close() // bounded: a caller that is refused may try again
			continue
		}
		s.mu.Lock()
		s.conns[c] = struct{}{}
		s.mu.Unlock()
		s.wg.Go(func() {
			defer func() {
				c.Close()
				s.mu.Lock()
				delete(s.conns, c)
				s.mu.Unlock()
				<-s.slots
			}()
			if err := s.serve(c); err != nil {
				s.log.Debug("admin socket request failed", "err", err)
			}
		})
	}
}

func (s *Server) serve(c net.Conn) error {
	if err := c.SetDeadline(time.Now().Add(ioTimeout)); err != nil {
		return err
	}
	r := bufio.NewReaderSize(c, maxRequestBytes)
	line, err := r.ReadSlice(0)
	if err != nil {
		if line, err = r.ReadSlice('\n'); err != nil {
			return err
		}
	}
	text := s.answer(strings.TrimRight(string(line), "\x00\n"))
	out := binary.BigEndian.AppendUint32(nil, uint32(len(text)))
	_, err = c.Write(append(out, text...))
	return err
}

// answer runs one request. "0" asks for the protocol's version, as old clients do first.
func (s *Server) answer(request string) []byte {
	if request == "0" || request == "version_protocol" {
		return []byte("2")
	}
	if !strings.HasPrefix(request, "{") { // the bare words of a command, from old callers
		words, err := json.Marshal(Args{"prefix": request})
		if err != nil {
			return []byte("ERROR: " + err.Error() + "\n")
		}
		request = string(words)
	}
	out, text, err := s.commands.Run(request)
	if err != nil {
		return []byte("ERROR: " + cText(err) + "\n" + text + "\n")
	}
	return out
}

// cText is the C library's text for the number of an error, as "ceph daemon" prints it.
func cText(err error) string {
	e := Errno(err)
	text := e.Error()
	return fmt.Sprintf("(%d) %s%s", int(e), strings.ToUpper(text[:1]), text[1:])
}
