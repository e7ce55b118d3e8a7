package msgr

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"glue/ceph"
	"glue/ceph/denc"
)

// errClosed is why a link ended that we closed.
var errClosed = errors.New("connection was closed")

// A link is one socket: the handshake runs on it, then a session uses it.
type link struct {
	nc       net.Conn
	rd       frameReader
	wr       frameWriter
	sent     []byte // bytes written until authentication is over
	rcvd     []byte // bytes read until then
	peer     Peer
	active   atomic.Bool // something was read since the ticker looked
	quiet    time.Time   // since when nothing was read; the ticker's
	asked    bool        // a keepalive was sent since then; the ticker's
	head     [messageHeadBytes]byte
	dec      denc.Coder // the reader's
	acked    uint64     // last acknowledgement seen; the reader's
	features uint64     // of the session; set before it is served
	lossy    bool       // the session is
	legacy   *legacy    // nil: the link speaks msgr2

	once  sync.Once
	cause error         // why it was closed; set before dead is closed
	dead  chan struct{} // closed when the socket is
	done  chan struct{} // closed when no goroutine dispatches from this link any more
	wdone chan struct{} // closed when its writer has ended
}

func newLink(nc net.Conn, opt *Options) *link {
	l := &link{
		nc: nc, dead: make(chan struct{}), done: make(chan struct{}), wdone: make(chan struct{}),
		quiet: time.Now(),
	}
	l.rd = frameReader{
		src: nc, buf: make([]byte, readBufferBytes), record: &l.rcvd, active: &l.active,
		limits: readLimits(opt),
	}
	if a, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		ap := a.AddrPort()
		l.peer.Socket = netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return l
}

// close ends the socket; the first cause stays.
func (l *link) close(cause error) {
	l.once.Do(func() {
		l.cause = cause
		close(l.dead)
		l.nc.Close()
	})
}

// finish ends our side of the stream after a flush and leaves the peer a while to end its own:
// closing at once could destroy what the peer has not read yet.
func (l *link) finish() {
	if w, ok := l.nc.(interface{ CloseWrite() error }); ok && w.CloseWrite() == nil {
		time.AfterFunc(closeTimeout, func() { l.close(errClosed) })
		return
	}
	l.close(errClosed)
}

// drain reads what nobody wants any more until the peer ends the stream or the link is closed.
func (l *link) drain() { io.Copy(io.Discard, l.nc) }

// failed is the error to report for one that a read or write gave: the cause of a close that came
// first.
func (l *link) failed(err error) error {
	l.close(err)
	return l.cause
}

// send writes one control frame at once; for the handshake.
func (l *link) send(t tag, v denc.Value) error {
	l.wr.control(t, denc.Marshal(v, ceph.FeaturesAll))
	if l.rd.record != nil {
		l.sent = append(l.sent, l.wr.bytes()...)
	}
	return l.wr.flush(l.nc)
}

// receive reads one control frame of the handshake; a message is an error.
func (l *link) receive() (tag, []byte, error) {
	if err := l.rd.next(); err != nil {
		return 0, nil, err
	}
	if l.rd.pre.tag == tagMessage {
		return 0, nil, fmt.Errorf("%w: message before the session", errFrame)
	}
	b, err := l.rd.control()
	return l.rd.pre.tag, b, err
}

// expect is receive of one kind of frame.
func (l *link) expect(want tag, v denc.Value) error {
	t, b, err := l.receive()
	if err != nil {
		return err
	}
	if t != want {
		return fmt.Errorf("%w: tag %d, expected %d", errFrame, t, want)
	}
	return decode(t, b, v)
}

// greet exchanges banners and hellos.
func (l *link) greet(self ceph.EntityType) (hello, error) {
	b := make([]byte, 0, bannerBytes+bannerFeatures)
	b = append(b, banner...)
	b = binary.LittleEndian.AppendUint16(b, bannerFeatures)
	b = binary.LittleEndian.AppendUint64(b, featureRevision)
	b = binary.LittleEndian.AppendUint64(b, 0)
	l.sent = append(l.sent, b...)
	if _, err := l.nc.Write(b); err != nil {
		return hello{}, err
	}
	if err := l.readBanner(); err != nil {
		return hello{}, err
	}
	mine := hello{Type: self, Peer: ceph.Addr{Type: ceph.AddrMsgr2, AddrPort: l.peer.Socket}}
	if err := l.send(tagHello, &mine); err != nil {
		return hello{}, err
	}
	var theirs hello
	return theirs, l.expect(tagHello, &theirs)
}

// readLiteral checks a banner as far as it has come, so that whoever speaks another protocol is
// told apart by its first byte.
func (l *link) readLiteral(want string) error {
	b := make([]byte, len(want))
	for i := range want {
		if err := l.rd.full(b[i : i+1]); err != nil {
			return err
		}
		if b[i] != want[i] {
			return fmt.Errorf("%w: banner starts with %q", errFrame, b[:i+1])
		}
	}
	return nil
}

// readBanner checks the peer's banner and its features.
func (l *link) readBanner() error {
	if err := l.readLiteral(banner); err != nil {
		return err
	}
	b := make([]byte, 2)
	if err := l.rd.full(b); err != nil {
		return err
	}
	n := int(binary.LittleEndian.Uint16(b))
	if n < bannerFeatures || n > 1024 {
		return fmt.Errorf("%w: banner payload of %d bytes", errFrame, n)
	}
	f := make([]byte, n)
	if err := l.rd.full(f); err != nil {
		return err
	}
	supported, required := binary.LittleEndian.Uint64(f), binary.LittleEndian.Uint64(f[8:])
	if supported&featureRevision == 0 || required&^uint64(featureRevision) != 0 {
		return fmt.Errorf("%w: peer speaks msgr2 features %#x and needs %#x",
			errFrame, supported, required)
	}
	return nil
}

// secureAndSign ends authentication on either side: switches to the chosen mode and exchanges
// signatures of all that was read and written until now.
func (l *link) secureAndSign(sessionKey, secret []byte, server bool) error {
	var mine, want authSignature
	if sessionKey != nil {
		mine.Sum = sign(sessionKey, l.rcvd)
		want.Sum = sign(sessionKey, l.sent)
	}
	l.rd.record, l.rcvd, l.sent = nil, nil, nil
	if l.peer.Mode == ModeSecure {
		tx, rx, err := newSealers(secret, server)
		if err != nil {
			return err
		}
		l.wr.tx, l.rd.rx = tx, rx
	}
	if err := l.send(tagAuthSignature, &mine); err != nil {
		return err
	}
	var theirs authSignature
	if err := l.expect(tagAuthSignature, &theirs); err != nil {
		return err
	}
	if !hmac.Equal(theirs.Sum[:], want.Sum[:]) {
		return fmt.Errorf("%w: signature of the handshake", errFrame)
	}
	return nil
}

func sign(key, b []byte) (sum [32]byte) {
	h := hmac.New(sha256.New, bytes.Clone(key))
	h.Write(b)
	h.Sum(sum[:0])
	return sum
}
