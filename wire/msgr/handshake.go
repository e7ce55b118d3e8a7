package msgr

import (
	"errors"
	"fmt"
	"slices"

	"glue/auth/cephx"
	"glue/ceph"
)

// maxAuthRequests bounds how often one connection may try to authenticate.
const maxAuthRequests = 4

// errRefused is a handshake that the peer's authentication did not survive.
var errRefused = errors.New("peer is not authenticated")

// accept runs the server's side of the handshake up to the signatures. What identifies the peer
// is in l.peer then.
func (m *Messenger) accept(l *link) error {
	theirs, err := l.greet(m.Name().Type)
	if err != nil {
		return err
	}
	l.peer.Name = ceph.EntityName{Type: theirs.Type, Num: -1}
	step, err := m.authenticate(l)
	if err != nil {
		return err
	}
	if err := checkIdentity(theirs.Type, step.Name); err != nil {
		return err
	}
	l.peer.AuthName, l.peer.GlobalID = step.Name, step.GlobalID
	l.peer.Caps, l.peer.AllowAll, l.peer.Auth = step.Caps, step.AllowAll, step.Auth
	done := authDone{GlobalID: step.GlobalID, Mode: l.peer.Mode, Payload: step.Reply}
	if err := l.send(tagAuthDone, &done); err != nil {
		return err
	}
	return l.secureAndSign(step.SessionKey, step.Secret, true)
}

// checkIdentity refuses a peer that calls itself a daemon without a daemon's key. Any entity may
// connect as a client.
func checkIdentity(claimed ceph.EntityType, proven ceph.AuthName) error {
	if claimed != ceph.TypeClient && claimed != proven.Type {
		return fmt.Errorf("%w: %v connects as a %v", errRefused, proven, claimed)
	}
	return nil
}

// authenticate answers AUTH_REQUESTs until one succeeds.
func (m *Messenger) authenticate(l *link) (AuthStep, error) {
	var last error
	for range maxAuthRequests {
		var req authRequest
		if err := l.expect(tagAuthRequest, &req); err != nil {
			if last != nil {
				err = last // the peer went away because it was refused
			}
			return AuthStep{}, err
		}
		step, err := m.tryAuth(l, &req)
		if err == nil {
			return step, nil
		}
		var refused ceph.Errno
		if !errors.As(err, &refused) || refused == ceph.EBUSY {
			return AuthStep{}, err
		}
		last = fmt.Errorf("%w: %w", errRefused, err)
		bad := authBadMethod{
			Method: req.Method, Result: refused.Result(),
			Methods: m.opt.Server.Methods(l.peer.Name.Type),
			Modes:   m.opt.ServerModes(l.peer.Name.Type),
		}
		if err := l.send(tagAuthBadMethod, &bad); err != nil {
			return AuthStep{}, err
		}
	}
	return AuthStep{}, last
}

// tryAuth runs one AUTH_REQUEST to its end. A ceph.Errno is a refusal.
func (m *Messenger) tryAuth(l *link, req *authRequest) (AuthStep, error) {
	mode, ok := pickMode(m.opt.ServerModes(l.peer.Name.Type), req)
	if !ok || !slices.Contains(m.opt.Server.Methods(l.peer.Name.Type), req.Method) {
		return AuthStep{}, ceph.EOPNOTSUPP
	}
	l.peer.Mode = mode
	secret := 0
	if mode == ModeSecure {
		secret = secretBytes
	}
	h := m.opt.Server.Accept(l.peer.Name.Type, l.peer.Socket)
	step, err := h.Step(req.Method, req.Payload, secret)
	for rounds := 0; err == nil && !step.Done; rounds++ {
		if rounds == maxAuthRequests {
			return step, fmt.Errorf("%w: too many rounds", errRefused)
		}
		if err := l.send(tagAuthReplyMore, &authMore{step.Reply}); err != nil {
			return step, err
		}
		var more authMore
		if err := l.expect(tagAuthRequestMore, &more); err != nil {
			return step, err
		}
		step, err = h.Step(req.Method, more.Payload, secret)
	}
	return step, err
}

// pickMode is the first of our modes that the client offers. Method none has no key to seal with.
func pickMode(ours []Mode, req *authRequest) (Mode, bool) {
	for _, mode := range ours {
		if req.Method == cephx.MethodNone && mode == ModeSecure {
			continue
		}
		if slices.Contains(req.Modes, mode) {
			return mode, true
		}
	}
	return 0, false
}

// login runs the client's side of the handshake up to the signatures.
func (m *Messenger) login(l *link, peer ceph.EntityType, addrs ceph.AddrVec) error {
	theirs, err := l.greet(m.Name().Type)
	if err != nil {
		return err
	}
	if theirs.Type != peer {
		return fmt.Errorf("%w: it is a %v, not a %v", errFrame, theirs.Type, peer)
	}
	m.learnAddr(theirs.Peer)
	h, err := m.opt.Client.Connect(peer, addrs)
	if err != nil {
		return err
	}
	modes := m.opt.ClientModes(peer)
	for range maxAuthRequests {
		again, err := m.tryLogin(l, h, modes)
		if !again {
			return err
		}
	}
	return fmt.Errorf("%w: refused too often", errRefused)
}

// tryLogin sends one AUTH_REQUEST; again means that it was refused and another may be tried.
func (m *Messenger) tryLogin(l *link, h ClientHandshake, modes []Mode) (again bool, err error) {
	method, payload, err := h.Request()
	if err != nil {
		return false, err
	}
	if method == cephx.MethodNone {
		modes = []Mode{ModeCRC}
	}
	req := authRequest{Method: method, Modes: modes, Payload: payload}
	if err := l.send(tagAuthRequest, &req); err != nil {
		return false, err
	}
	for range maxAuthRequests {
		t, b, err := l.receive()
		if err != nil {
			return false, err
		}
		switch t {
		case tagAuthBadMethod:
			return refusal(h, b)
		case tagAuthReplyMore:
			if err := m.answer(l, h, b); err != nil {
				return false, err
			}
		case tagAuthDone:
			return false, finishLogin(l, h, modes, b)
		default:
			return false, fmt.Errorf("%w: tag %d in authentication", errFrame, t)
		}
	}
	return false, fmt.Errorf("%w: too many rounds", errRefused)
}

func refusal(h ClientHandshake, b []byte) (again bool, err error) {
	var bad authBadMethod
	if err := decode(tagAuthBadMethod, b, &bad); err != nil {
		return false, err
	}
	if err := h.BadMethod(bad.Method, bad.Result, bad.Methods, bad.Modes); err != nil {
		return false, fmt.Errorf("%w: %w", errRefused, err)
	}
	return true, nil
}

func (m *Messenger) answer(l *link, h ClientHandshake, b []byte) error {
	var more authMore
	if err := decode(tagAuthReplyMore, b, &more); err != nil {
		return err
	}
	reply, err := h.More(more.Payload)
	if err != nil {
		return err
	}
	return l.send(tagAuthRequestMore, &authMore{reply})
}

func finishLogin(l *link, h ClientHandshake, modes []Mode, b []byte) error {
	var done authDone
	if err := decode(tagAuthDone, b, &done); err != nil {
		return err
	}
	if !slices.Contains(modes, done.Mode) {
		return fmt.Errorf("%w: mode %d was not offered", errFrame, done.Mode)
	}
	key, secret, err := h.Done(done.GlobalID, done.Mode, done.Payload)
	if err != nil {
		return err
	}
	l.peer.Mode, l.peer.GlobalID = done.Mode, done.GlobalID
	return l.secureAndSign(key, secret, false)
}
