package objecter

import (
	"context"
	"fmt"
	"maps"
	"time"

	"glue/ceph"
	"glue/wire/message"
	"glue/wire/msgr"
)

// reportEvery is how often a service's daemon reports until the manager says (mgr_stats_period).
const reportEvery = 5 * time.Second

// noCounters is the encoding of no values of counters: the manager of Ceph 16.2 ends at a report
// without it.
var noCounters = []byte{1, 1, 0, 0, 0, 0}

// A service is what this client has registered itself as: a daemon of a service of its own. What
// changes is protected by Objecter.mgrMu.
type service struct {
	name, daemon     string
	metadata, status map[string]string
	every            time.Duration
	stop             chan struct{}
	closed           chan struct{} // once the manager has said goodbye
}

func (s *service) greeting() *message.MMgrOpen {
	return &message.MMgrOpen{ServiceName: s.name, DaemonName: s.daemon, ServiceDaemon: true,
		Metadata: s.metadata, Status: s.status}
}

// RegisterService makes this client a daemon of a service, which the manager lists ("ceph service
// dump") until UnregisterService, or until it has not heard of it for mgr_service_beacon_grace.
// EEXIST if it is one already.
func (o *Objecter) RegisterService(name, daemon string, metadata map[string]string) error {
	o.mgrMu.Lock()
	defer o.mgrMu.Unlock()
	if o.service != nil {
		return fmt.Errorf("this client is %s.%s already: %w", o.service.name, o.service.daemon,
			ceph.EEXIST)
	}
	s := &service{name: name, daemon: daemon, metadata: maps.Clone(metadata), every: reportEvery,
		stop: make(chan struct{}), closed: make(chan struct{})}
	o.service = s
	if o.mgrConn != nil {
		o.mgrConn.Send(message.New(s.greeting()))
	}
	go o.report(s)
	return nil
}

// report connects to the manager, whichever it is, and lets it hear of the service's daemon.
func (o *Objecter) report(s *service) {
	for {
		if conn := o.managerConn(); conn != nil {
			o.mgrMu.Lock()
			status := s.status
			o.mgrMu.Unlock()
			conn.Send(message.New(&message.MMgrReport{Service: s.name, DaemonName: s.daemon,
				Status: &status, Packed: noCounters}))
		}
		o.mgrMu.Lock()
		every := s.every
		o.mgrMu.Unlock()
		select {
		case <-time.After(every):
		case <-s.stop:
			return
		case <-o.done:
			return
		}
	}
}

// SetServiceStatus replaces what the manager shows of this daemon's state ("ceph service status");
// ENOENT before RegisterService.
func (o *Objecter) SetServiceStatus(status map[string]string) error {
	o.mgrMu.Lock()
	defer o.mgrMu.Unlock()
	if o.service == nil {
		return fmt.Errorf("this client is no service's daemon: %w", ceph.ENOENT)
	}
	o.service.status = maps.Clone(status)
	return nil
}

// UnregisterService says goodbye to the manager and waits until it has heard it.
func (o *Objecter) UnregisterService(ctx context.Context) error {
	o.mgrMu.Lock()
	s, conn := o.service, o.mgrConn
	o.service = nil
	o.mgrMu.Unlock()
	if s == nil {
		return nil
	}
	close(s.stop)
	if conn == nil {
		return nil // no manager knows of it
	}
	conn.SetContext(s)
	conn.Send(message.New(&message.MMgrClose{ServiceName: s.name, DaemonName: s.daemon}))
	select {
	case <-s.closed:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the manager's goodbye: %w", ctx.Err())
	}
}

// configureService takes how often the manager wants to hear of the service's daemon.
func (o *Objecter) configureService(conn *msgr.Conn, b *message.MMgrConfigure) bool {
	o.mgrMu.Lock()
	defer o.mgrMu.Unlock()
	if o.service == nil || conn != o.mgrConn {
		return false
	}
	if b.Period > 0 {
		o.service.every = time.Duration(b.Period) * time.Second
	}
	return true
}

// serviceClosed takes the manager's goodbye, or the end of its connection, after which it forgets
// the daemon by itself.
func (o *Objecter) serviceClosed(conn *msgr.Conn) bool {
	s, ok := conn.Context().(*service)
	if ok {
		conn.SetContext(nil)
		close(s.closed)
	}
	return ok
}
