// Package progress shows people at a terminal how far a command is. Elsewhere it shows nothing. A
// Bar may be set from any goroutine.
package progress

import (
	"io"
	"os"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/sys/unix"
)

// A Bar is a bar on stderr, or nothing when stderr is not a terminal.
type Bar struct {
	p   *mpb.Progress
	bar *mpb.Bar
}

// New begins a bar that is full at total.
func New(w io.Writer, what string, total int64) *Bar {
	f, ok := w.(*os.File)
	if !ok {
		return &Bar{}
	}
	if _, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err != nil {
		return &Bar{}
	}
	p := mpb.New(mpb.WithOutput(w), mpb.WithWidth(64))
	bar := p.AddBar(max(total, 1),
		mpb.PrependDecorators(decor.Name(what+" ")),
		mpb.AppendDecorators(decor.Percentage(), decor.Name(" "),
			decor.OnComplete(decor.AverageETA(decor.ET_STYLE_GO), "done")))
	return &Bar{p: p, bar: bar}
}

// Set says how far it is.
func (p *Bar) Set(n int64) {
	if p.bar != nil {
		p.bar.SetCurrent(n)
	}
}

// Done ends the bar: full, or as it is when the work failed.
func (p *Bar) Done(full bool) {
	if p.bar == nil {
		return
	}
	if full {
		p.bar.SetTotal(-1, true)
	} else {
		p.bar.Abort(false)
	}
	p.p.Wait()
}
