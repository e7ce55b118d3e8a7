package objecter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/client/monc"
	"glue/cluster/mgrmap"
	"glue/wire/message"
	"glue/wire/msgr"
)

// retryPause is how long a command waits before it goes out again after a lost connection.
const retryPause = 200 * time.Millisecond

// errLost ends one try of a command: its connection is gone.
var errLost = errors.New("connection lost")

// A command waits for the answer of a daemon.
type command struct {
	conn   *msgr.Conn
	answer chan commandAnswer
}

type commandAnswer struct {
	reply monc.Reply
	err   error
}

// send sends a command's body to a daemon and waits for the answer.
func (o *Objecter) sendCommand(
	ctx context.Context, conn *msgr.Conn, b message.Body, in []byte,
) (monc.Reply, error) {
	tid := o.tid.Add(1)
	c := &command{conn: conn, answer: make(chan commandAnswer, 1)}
	o.mgrMu.Lock()
	o.commands[tid] = c
	o.mgrMu.Unlock()
	defer func() {
		o.mgrMu.Lock()
		delete(o.commands, tid)
		o.mgrMu.Unlock()
	}()
	conn.Send(&message.Message{TID: tid, Body: b, Data: in})
	select {
	case a := <-c.answer:
		return a.reply, a.err
	case <-ctx.Done():
		return monc.Reply{}, fmt.Errorf("wait for the daemon's answer: %w", ctx.Err())
	}
}

func (o *Objecter) answerCommand(tid uint64, result int32, status string, out []byte) bool {
	o.mgrMu.Lock()
	c := o.commands[tid]
	delete(o.commands, tid)
	o.mgrMu.Unlock()
	if c == nil {
		return false
	}
	var a commandAnswer
	a.reply, a.err = monc.ReplyOf(result, status, out)
	c.answer <- a
	return true
}

// failCommands ends the commands on a connection; nil: all.
func (o *Objecter) failCommands(conn *msgr.Conn, cause error) {
	err := errLost
	if errors.Is(cause, ErrClosed) {
		err = ErrClosed
	}
	o.mgrMu.Lock()
	defer o.mgrMu.Unlock()
	for tid, c := range o.commands {
		if conn == nil || c.conn == conn {
			delete(o.commands, tid)
			c.answer <- commandAnswer{err: err}
		}
	}
}

// OSDCommand runs a command on an OSD ("ceph tell osd.N").
func (o *Objecter) OSDCommand(
	ctx context.Context, osd int32, cmd any, in []byte,
) (monc.Reply, error) {
	return o.tell(ctx, cmd, in, func() (int32, error) { return osd, nil })
}

// PGCommand runs a command on a PG's primary ("ceph pg PGID …").
func (o *Objecter) PGCommand(
	ctx context.Context, pg ceph.PGID, cmd any, in []byte,
) (monc.Reply, error) {
	return o.tell(ctx, cmd, in, func() (int32, error) {
		m := o.Map()
		if m.Pools[pg.Pool] == nil || pg.Seed >= m.Pools[pg.Pool].PGNum {
			return 0, fmt.Errorf("there is no pg %v: %w", pg, ceph.ENOENT)
		}
		_, _, _, primary := m.PGToUpActing(pg)
		if primary < 0 {
			return 0, fmt.Errorf("pg %v has no primary: %w", pg, ceph.ENXIO)
		}
		return primary, nil
	})
}

func (o *Objecter) tell(
	ctx context.Context, cmd any, in []byte, where func() (int32, error),
) (monc.Reply, error) {
	text, err := monc.Encode(cmd)
	if err != nil {
		return monc.Reply{}, err
	}
	if _, err := o.WaitMap(ctx, 1); err != nil {
		return monc.Reply{}, err
	}
	body := &message.MCommand{FSID: o.mon.FSID(), Cmd: []string{text}}
	for {
		conn, err := o.osdConn(where)
		if err != nil {
			return monc.Reply{}, err
		}
		r, err := o.sendCommand(ctx, conn, body, in)
		if !errors.Is(err, errLost) {
			return r, err
		}
		if err := sleep(ctx, retryPause); err != nil {
			return monc.Reply{}, err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the daemon: %w", ctx.Err())
	}
}

// osdConn is the connection to an OSD, made if need be. ENOENT without the OSD, ENXIO if it is
// down.
func (o *Objecter) osdConn(where func() (int32, error)) (*msgr.Conn, error) {
	osd, err := where()
	if err != nil {
		return nil, err
	}
	m := o.Map()
	if !m.Exists(osd) {
		return nil, fmt.Errorf("there is no osd.%d: %w", osd, ceph.ENOENT)
	}
	if !m.IsUp(osd) {
		return nil, fmt.Errorf("osd.%d is down: %w", osd, ceph.ENXIO)
	}
	o.openSession(osd)
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.sessions[osd]
	if o.closed || s == nil {
		return nil, ErrClosed
	}
	if s.conn == nil {
		o.dial(s)
		o.kick(s)
	}
	if s.conn == nil {
		return nil, fmt.Errorf("osd.%d is down: %w", osd, ceph.ENXIO)
	}
	return s.conn, nil
}

// MgrCommand runs a command of the manager, such as "pg dump"; tell addresses the daemon itself.
func (o *Objecter) MgrCommand(
	ctx context.Context, cmd any, in []byte, tell bool,
) (monc.Reply, error) {
	text, err := monc.Encode(cmd)
	if err != nil {
		return monc.Reply{}, err
	}
	var body message.Body = &message.MMgrCommand{Cmd: []string{text}}
	if tell {
		body = &message.MCommand{FSID: o.mon.FSID(), Cmd: []string{text}}
	}
	for {
		conn := o.managerConn()
		if conn != nil {
			r, err := o.sendCommand(ctx, conn, body, in)
			if !errors.Is(err, errLost) {
				return r, err
			}
		}
		if err := sleep(ctx, retryPause); err != nil {
			return monc.Reply{}, fmt.Errorf("no manager is active: %w", err)
		}
	}
}

// managerConn is the connection to the active manager, nil if there is none.
func (o *Objecter) managerConn() *msgr.Conn {
	o.mgrMu.Lock()
	defer o.mgrMu.Unlock()
	if o.mgr == nil || !o.mgr.Available || o.net == nil {
		return nil
	}
	if o.mgrConn == nil {
		addrs := o.mgr.ActiveAddrs
		if a := addrs.Of(ceph.AddrMsgr2); !a.IsBlank() {
			addrs = ceph.AddrVec{a}
		}
		if len(addrs) == 0 {
			return nil
		}
		o.mgrConn = o.net.Connect(ceph.TypeMgr, addrs)
		if o.service != nil {
			o.mgrConn.Send(message.New(o.service.greeting()))
		}
	}
	return o.mgrConn
}

func (o *Objecter) managerConnected(conn *msgr.Conn) bool {
	o.mgrMu.Lock()
	defer o.mgrMu.Unlock()
	return o.mgrConn == conn
}

func (o *Objecter) managerReset(conn *msgr.Conn) bool {
	o.mgrMu.Lock()
	mine := o.mgrConn == conn
	if mine {
		o.mgrConn = nil
	}
	o.mgrMu.Unlock()
	if mine {
		o.failCommands(conn, errLost)
		o.serviceClosed(conn)
	}
	return mine
}

func (o *Objecter) handleMgrMap(b *message.MMgrMap) {
	m := new(mgrmap.Map)
	if err := denc.Unmarshal(b.Map, m, ceph.FeaturesAll); err != nil {
		o.log.Error("mgrmap does not decode", "err", err)
		return
	}
	o.mgrMu.Lock()
	var old *msgr.Conn
	if o.mgr != nil && o.mgr.ActiveGID != m.ActiveGID {
		old, o.mgrConn = o.mgrConn, nil
	}
	o.mgr = m
	o.mgrMu.Unlock()
	if old != nil {
		old.Close()
		o.failCommands(old, errLost)
	}
	o.mon.Got("mgrmap", uint64(m.Epoch))
}

// Manager is the newest map of the managers, nil before the first.
func (o *Objecter) Manager() *mgrmap.Map {
	o.mgrMu.Lock()
	defer o.mgrMu.Unlock()
	return o.mgr
}
