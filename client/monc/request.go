package monc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"glue/ceph"
	"glue/wire/message"
	"glue/wire/msgr"
)

// A request waits for its answer.
type request struct {
	tid  uint64
	body message.Body
	data []byte
	told *msgr.Conn // only for the monitor at this connection; nil: for any
	done chan struct{}
	m    *message.Message
	err  error
}

func (r *request) finish(m *message.Message, err error) {
	r.m, r.err = m, err
	close(r.done)
}

func (r *request) message() *message.Message {
	return &message.Message{TID: r.tid, Body: r.body, Data: r.data}
}

// Request sends a body to the monitors and waits for the answer with the same tid. A new session
// gets it again.
func (c *Client) Request(
	ctx context.Context, b message.Body, data []byte,
) (*message.Message, error) {
	r, err := c.submit(b, data, nil)
	if err != nil {
		return nil, err
	}
	return c.wait(ctx, r)
}

func (c *Client) submit(b message.Body, data []byte, told *msgr.Conn) (*request, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, ErrClosed
	}
	c.tid++
	r := &request{tid: c.tid, body: b, data: data, told: told, done: make(chan struct{})}
	if v, ok := b.(*message.MMonGetVersion); ok {
		v.Handle = r.tid
	}
	c.pending[r.tid] = r
	switch {
	case told != nil:
		told.Send(r.message())
	case c.active != nil:
		c.active.conn.Send(r.message())
	}
	return r, nil
}

func (c *Client) wait(ctx context.Context, r *request) (*message.Message, error) {
	select {
	case <-r.done:
		return r.m, r.err
	case <-ctx.Done():
	}
	c.mu.Lock()
	_, waiting := c.pending[r.tid]
	delete(c.pending, r.tid)
	active := c.active != nil
	c.mu.Unlock()
	switch {
	case !waiting:
		<-r.done
		return r.m, r.err
	case !active && r.told == nil:
		return nil, c.unreachable(ctx.Err())
	}
	return nil, fmt.Errorf("wait for the monitor's answer: %w", ctx.Err())
}

// answer gives a reply to who waits for it.
func (c *Client) answer(tid uint64, m *message.Message) {
	c.mu.Lock()
	r := c.pending[tid]
	delete(c.pending, tid)
	c.mu.Unlock()
	if r != nil {
		r.finish(m, nil)
	}
}

// answerFrom is answer for replies that other daemons send as well.
func (c *Client) answerFrom(conn *msgr.Conn, m *message.Message) bool {
	c.mu.Lock()
	mine := c.find(conn) != nil
	c.mu.Unlock()
	if mine {
		c.answer(m.TID, m)
	}
	return mine
}

// resend sends all that is pending to a new monitor, in order; c.mu is held.
func (c *Client) resend() {
	var list []*request
	for _, r := range c.pending {
		if r.told == nil {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b *request) int { return int(a.tid - b.tid) })
	for _, r := range list {
		c.active.conn.Send(r.message())
	}
}

// failTold fails what only the monitor at a lost connection could answer; c.mu is held.
func (c *Client) failTold(conn *msgr.Conn, cause error) {
	if cause == nil {
		cause = errors.New("connection lost")
	}
	for tid, r := range c.pending {
		if r.told == conn {
			delete(c.pending, tid)
			r.finish(nil, fmt.Errorf("command to the monitor: %w", cause))
		}
	}
}

// A Reply is the answer to a command. Status is the line for the user that the stock tools print
// to stderr, Output what they print to stdout.
type Reply struct {
	Status string
	Output []byte
}

// A CommandError is a command that was refused: it is the Errno and has the monitor's text.
type CommandError struct {
	Errno  ceph.Errno
	Status string
}

// Error is the text and the number, as the stock tools print it.
func (e *CommandError) Error() string {
	if e.Status == "" {
		return e.Errno.Error()
	}
	return fmt.Sprintf("%s: %v", e.Status, e.Errno)
}

// Unwrap is the number.
func (e *CommandError) Unwrap() error { return e.Errno }

// ReplyOf turns the parts of a command's answer into a Reply or a CommandError.
func ReplyOf(result int32, status string, output []byte) (Reply, error) {
	r := Reply{Status: status, Output: output}
	if result < 0 {
		return r, &CommandError{Errno: ceph.Errno(-result), Status: status}
	}
	return r, nil
}

// Encode is a command as it travels: cmd is a JSON text (string or []byte), or a value to encode.
func Encode(cmd any) (string, error) {
	switch v := cmd.(type) {
	case string:
		return v, nil
	case []byte:
		return string(v), nil
	}
	b, err := json.Marshal(cmd)
	if err != nil {
		return "", fmt.Errorf("encode command: %w", err)
	}
	return string(b), nil
}

// Command runs an administrator's command, such as {"prefix": "osd pool ls"}. in is its input.
func (c *Client) Command(ctx context.Context, cmd any, in []byte) (Reply, error) {
	text, err := Encode(cmd)
	if err != nil {
		return Reply{}, err
	}
	if err := c.Authenticate(ctx); err != nil {
		return Reply{}, err
	}
	m, err := c.Request(ctx, &message.MMonCommand{FSID: c.FSID(), Cmd: []string{text}}, in)
	if err != nil {
		return Reply{}, err
	}
	ack, ok := m.Body.(*message.MMonCommandAck)
	if !ok {
		return Reply{}, fmt.Errorf("monitor answered a command with %v", m.Body.Type())
	}
	return ReplyOf(ack.Result, ack.Status, m.Data)
}

// TellMon runs a command on one monitor, named by its name or rank.
func (c *Client) TellMon(ctx context.Context, mon string, cmd any, in []byte) (Reply, error) {
	text, err := Encode(cmd)
	if err != nil {
		return Reply{}, err
	}
	if err := c.Authenticate(ctx); err != nil {
		return Reply{}, err
	}
	conn, err := c.tellConn(mon)
	if err != nil {
		return Reply{}, err
	}
	r, err := c.submit(&message.MCommand{FSID: c.FSID(), Cmd: []string{text}}, in, conn)
	if err != nil {
		return Reply{}, err
	}
	m, err := c.wait(ctx, r)
	if err != nil {
		return Reply{}, err
	}
	ack, ok := m.Body.(*message.MCommandReply)
	if !ok {
		return Reply{}, fmt.Errorf("monitor answered a command with %v", m.Body.Type())
	}
	return ReplyOf(ack.Result, ack.Status, m.Data)
}

// Ping asks one monitor, named by its name or rank, how it is, in the quorum or not: JSON with
// "mon_status" and "health". ENOENT if there is none.
func (c *Client) Ping(ctx context.Context, mon string) (string, error) {
	if err := c.Authenticate(ctx); err != nil {
		return "", err
	}
	conn, err := c.tellConn(mon)
	if err != nil {
		return "", err
	}
	r, err := c.submit(&message.MPing{}, nil, conn)
	if err != nil {
		return "", err
	}
	m, err := c.wait(ctx, r)
	if err != nil {
		return "", err
	}
	return m.Body.(*message.MPing).Text, nil
}

// answerPing gives a pong, which names no request, to who waits for one of its monitor. It says
// whether somebody did.
func (c *Client) answerPing(conn *msgr.Conn, m *message.Message) bool {
	c.mu.Lock()
	var r *request
	for _, p := range c.pending {
		_, ping := p.body.(*message.MPing)
		if ping && p.told == conn && (r == nil || p.tid < r.tid) {
			r = p
		}
	}
	if r != nil {
		delete(c.pending, r.tid)
	}
	c.mu.Unlock()
	if r != nil {
		r.finish(m, nil)
	}
	return r != nil
}

// tellConn is a connection to one monitor.
func (c *Client) tellConn(mon string) (*msgr.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	rank := c.monmap.Rank(mon)
	if rank < 0 {
		if n, err := strconv.Atoi(mon); err == nil {
			rank = n
		}
	}
	m, ok := c.monmap.At(rank)
	if !ok {
		return nil, fmt.Errorf("there is no monitor %q: %w", mon, ceph.ENOENT)
	}
	addrs := dialable(m.Addrs)
	if a := c.attempts[addrs.String()]; a != nil {
		return a.conn, nil
	}
	return c.connect(addrs, time.Now(), true).conn, nil
}

// GetVersion asks the monitors for the newest and oldest version of a map.
func (c *Client) GetVersion(ctx context.Context, what string) (newest, oldest uint64, err error) {
	m, err := c.Request(ctx, &message.MMonGetVersion{What: what}, nil)
	if err != nil {
		return 0, 0, err
	}
	r, ok := m.Body.(*message.MMonGetVersionReply)
	if !ok {
		return 0, 0, fmt.Errorf("monitor answered a version request with %v", m.Body.Type())
	}
	return r.Version, r.Oldest, nil
}
