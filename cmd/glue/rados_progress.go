package main

import (
	"io"
	"os"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/sys/unix"
)

// A progress is a bar on stderr, or nothing when stderr is not a terminal.
type progress struct {
	p   *mpb.Progress
	bar *mpb.Bar
}

// newProgress begins a bar that is full at total.
func newProgress(w io.Writer, what string, total int64) *progress {
	f, ok := w.(*os.File)
	if !ok {
		return &progress{}
	}
	if _, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err != nil {
		return &progress{}
	}
	p := mpb.New(mpb.WithOutput(w), mpb.WithWidth(64))
	bar := p.AddBar(max(total, 1),
		mpb.PrependDecorators(decor.Name(what+" ")),
		mpb.AppendDecorators(decor.Percentage(), decor.Name(" "),
			decor.OnComplete(decor.AverageETA(decor.ET_STYLE_GO), "done")))
	return &progress{p: p, bar: bar}
}

func (p *progress) set(n int64) {
	if p.bar != nil {
		p.bar.SetCurrent(n)
	}
}

// done ends the bar: full, or as it is when the work failed.
func (p *progress) done(full bool) {
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
