package conformance

import (
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// A weather is how long what passes a proxy takes: each piece of data a delay and a random part of
// the jitter, never before an earlier one, and nothing passes before the stall is over.
type weather struct {
	delay, jitter atomic.Int64 // nanoseconds
	stall         atomic.Int64 // nanoseconds since 1970
	passed        atomic.Int64 // bytes
}

func (w *weather) set(delay, jitter, stall time.Duration) {
	w.delay.Store(int64(delay))
	w.jitter.Store(int64(jitter))
	w.stall.Store(time.Now().Add(stall).UnixNano())
}

// due is when something that has come now may go on.
func (w *weather) due() time.Time {
	return time.Now().Add(time.Duration(w.delay.Load() + rand.Int63n(w.jitter.Load()+1)))
}

// wait returns when something that is due then may go on.
func (w *weather) wait(due time.Time) {
	time.Sleep(time.Until(due))
	for end := w.stall.Load(); time.Now().UnixNano() < end; end = w.stall.Load() {
		time.Sleep(time.Until(time.Unix(0, end)))
	}
}

// setns is the number of the system call, which package syscall does not have.
var setns = map[string]uintptr{"amd64": 308, "arm64": 268}

// within runs something in a network namespace: sockets that it makes belong there.
func within(namespace string, do func() error) error {
	if namespace == "" {
		return do()
	}
	f, err := os.Open("/var/run/netns/" + namespace)
	if err != nil {
		return err
	}
	defer f.Close()
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends here
		if _, _, e := syscall.RawSyscall(setns[runtime.GOARCH], f.Fd(), syscall.CLONE_NEWNET,
			0); e != 0 {
			done <- fmt.Errorf("setns %s: %w", namespace, e)
			return
		}
		done <- do()
	}()
	return <-done
}

// proxy listens at an address in one network namespace and connects to the same in another, until
// the test ends.
func proxy(t *testing.T, w *weather, addr, from, to string) {
	t.Helper()
	var ln net.Listener
	if err := within(from, func() (err error) {
		ln, err = net.Listen("tcp", addr)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			a, err := ln.Accept()
			if err != nil {
				return
			}
			go pass(w, a, addr, to)
		}
	}()
}

// pass connects and passes on what comes, both ways.
func pass(w *weather, a net.Conn, addr, to string) {
	var b net.Conn
	w.wait(w.due())
	if err := within(to, func() (err error) {
		b, err = net.Dial("tcp", addr)
		return err
	}); err != nil {
		a.(*net.TCPConn).SetLinger(0) // as refused as can be
		a.Close()
		return
	}
	ended := make(chan error, 2)
	go func() { ended <- relay(w, a, b) }()
	go func() { ended <- relay(w, b, a) }()
	if err := <-ended; err == nil {
		<-ended
	}
	a.Close()
	b.Close()
}

// relay passes on one way; nil at its proper end.
func relay(w *weather, from, to net.Conn) error {
	type piece struct {
		data []byte
		due  time.Time
	}
	pieces, failed := make(chan piece, 256), make(chan error, 1)
	go func() {
		defer close(failed)
		for p := range pieces {
			w.wait(p.due)
			n, err := to.Write(p.data)
			w.passed.Add(int64(n))
			if err != nil {
				failed <- err
				from.Close() // ends the reading below
				for range pieces {
				}
				return
			}
		}
	}()
	var err error
	for err == nil {
		p := piece{data: make([]byte, 32<<10)}
		var n int
		n, err = from.Read(p.data)
		p.data, p.due = p.data[:n], w.due()
		if n > 0 {
			pieces <- p
		}
	}
	close(pieces)
	if e := <-failed; e != nil {
		return e
	}
	if !errors.Is(err, io.EOF) {
		return err
	}
	return to.(*net.TCPConn).CloseWrite()
}
