package main

import (
	"context"
	"errors"
	"io"
	"sync"
)

// inProcess is a whole cluster in this process.
type inProcess struct {
	daemons []*runner // in the order they started
	failed  chan error
}

// start brings all daemons up: monitors, then, once the OSDs are known to them, the manager and
// the OSDs.
func (p *inProcess) start(ctx context.Context, l layout, s *spec, out io.Writer) error {
	p.failed = make(chan error, 1)
	for _, name := range s.monDaemons() {
		if err := p.startOne(ctx, l, name); err != nil {
			return err
		}
	}
	if err := prepare(ctx, l, s); err != nil {
		return err
	}
	err := s.letJoin(ctx, l, func(name string) error { return p.startOne(ctx, l, name) })
	if err != nil {
		return err
	}
	others, err := s.lookAtOSDs(ctx, l, out)
	if err != nil {
		return err
	}
	for _, name := range others {
		if alive(l, name) != 0 {
			continue // an OSD that was added while the others ran
		}
		if err := p.startOne(ctx, l, name); err != nil {
			return err
		}
	}
	return nil
}

func (p *inProcess) startOne(ctx context.Context, l layout, name string) error {
	typ, id := splitName(name)
	c, err := loadConf(l.conf(), typ, id)
	if err != nil {
		return err
	}
	d, err := startDaemon(ctx, c)
	if err != nil {
		return err
	}
	p.daemons = append(p.daemons, d)
	if d.failed != nil {
		go func() {
			err := <-d.failed
			if endsWell(err) {
				if typ == "osd" {
					err = errors.Join(err, d.stop())
				}
				c.log.Warn("the daemon ends", "err", err)
				return // the others go on
			}
			select {
			case p.failed <- err:
			default: // one failure is enough to end the process
			}
		}()
	}
	return nil
}

// stop ends the daemons: OSDs at once, while monitors can hear of it, then the others in reverse.
func (p *inProcess) stop() error {
	var mu sync.Mutex
	var wg sync.WaitGroup
	var errs error
	var rest []*runner
	for _, d := range p.daemons {
		if typ, _ := splitName(d.name); typ != "osd" {
			rest = append(rest, d)
			continue
		}
		wg.Go(func() {
			err := d.stop()
			mu.Lock()
			errs = errors.Join(errs, err)
			mu.Unlock()
		})
	}
	wg.Wait()
	for i := len(rest) - 1; i >= 0; i-- {
		errs = errors.Join(errs, rest[i].stop())
	}
	p.daemons = nil
	return errs
}
