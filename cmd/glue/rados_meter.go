package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"glue/cmd/glue/progress"
)

// A meter runs operations in parallel for a while and prints what they come to, second by
// second, as the stock rados bench.
type meter struct {
	r     *radosRun
	bytes uint64
	limit time.Duration
	bar   *progress.Bar

	mu                 sync.Mutex
	started, finished  int
	sum, squares       float64 // of latencies, in seconds
	min, max, last     float64
	begun              time.Time
	took               float64
	rates              []float64 // operations in each full second
	before, line, next int
}

func newMeter(r *radosRun, what string, bytes uint64, limit time.Duration) *meter {
	return &meter{r: r, bytes: bytes, limit: limit,
		bar: progress.New(r.err, what, int64(limit/time.Millisecond))}
}

// run calls op with 0, 1, 2, … from several goroutines until the time is over, most of them (0:
// any number) have run, or one has failed.
func (m *meter) run(ctx context.Context, concurrent, most int, op func(int) error) error {
	m.begun = time.Now()
	m.print(m.begun)
	errs := make(chan error, concurrent)
	failed := make(chan struct{})
	var once sync.Once
	for range concurrent {
		go func() {
			err := m.worker(ctx, most, failed, op)
			if err != nil {
				once.Do(func() { close(failed) })
			}
			errs <- err
		}()
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var first error
	for left := concurrent; left > 0; {
		select {
		case err := <-errs:
			if left--; first == nil {
				first = err
			}
		case now := <-tick.C:
			m.second(now)
		}
	}
	m.took = time.Since(m.begun).Seconds()
	m.bar.Done(first == nil)
	return first
}

func (m *meter) worker(
	ctx context.Context, most int, failed <-chan struct{}, op func(int) error,
) error {
	for {
		select {
		case <-failed:
			return nil
		case <-ctx.Done():
			return nil
		default:
		}
		m.mu.Lock()
		i := m.started
		if most > 0 && i >= most || time.Since(m.begun) >= m.limit {
			m.mu.Unlock()
			return nil
		}
		m.started++
		m.mu.Unlock()
		t := time.Now()
		if err := op(i); err != nil {
			return err
		}
		m.add(time.Since(t).Seconds())
	}
}

func (m *meter) add(latency float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.finished++
	m.sum += latency
	m.squares += latency * latency
	m.last = latency
	m.max = max(m.max, latency)
	if m.finished == 1 || latency < m.min {
		m.min = latency
	}
}

// second ends one second of the run.
func (m *meter) second(now time.Time) {
	m.mu.Lock()
	m.rates = append(m.rates, float64(m.finished-m.before))
	m.mu.Unlock()
	m.print(now)
	m.mu.Lock()
	m.before = m.finished
	m.mu.Unlock()
	m.bar.Set(int64(now.Sub(m.begun) / time.Millisecond))
}

const meterHeading = "  sec Cur ops   started  finished  avg MB/s  cur MB/s last lat(s)  " +
	"avg lat(s)\n"

func (m *meter) print(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.line%20 == 0 {
		m.r.printf("%s", meterHeading)
	}
	m.line++
	sec := now.Sub(m.begun).Seconds()
	if m.finished == 0 {
		m.r.printf("%5d %7d %9d %9d %9d %9d %11s %11d\n", int(sec), m.started-m.finished,
			m.started, m.finished, 0, 0, "-", 0)
		return
	}
	mb := float64(m.bytes) / (1 << 20)
	m.r.printf("%5d %7d %9d %9d %9.6g %9.6g %11.6g %11.6g\n", int(sec), m.started-m.finished,
		m.started, m.finished, mb*float64(m.finished)/sec, mb*float64(m.finished-m.before),
		m.last, m.sum/float64(m.finished))
}

// report prints the summary.
func (m *meter) report(what, title, plural string) {
	mb := float64(m.bytes) / (1 << 20)
	n := float64(max(m.finished, 1))
	var sum, squares float64
	low, high := 0.0, 0.0
	for i, v := range m.rates {
		sum += v
		squares += v * v
		high = max(high, v)
		if i == 0 || v < low {
			low = v
		}
	}
	dev := stddev(sum, squares, len(m.rates))
	p := m.r.printf
	p("Total time run:         %.6g\n", m.took)
	p("Total %s made:%s%d\n", plural, pad(plural), m.finished)
	p("%s size:%s%d\n", title, pad2(title), m.bytes)
	p("Object size:            %d\n", m.bytes)
	p("Bandwidth (MB/sec):     %.6g\n", mb*float64(m.finished)/m.took)
	if what == "write" {
		p("Stddev Bandwidth:       %.6g\n", dev*mb)
		p("Max bandwidth (MB/sec): %.6g\n", high*mb)
		p("Min bandwidth (MB/sec): %.6g\n", low*mb)
	}
	p("Average IOPS:           %d\n", int(float64(m.finished)/m.took))
	p("Stddev IOPS:            %.6g\n", dev)
	p("Max IOPS:               %d\n", int(high))
	p("Min IOPS:               %d\n", int(low))
	p("Average Latency(s):     %.6g\n", m.sum/n)
	if what == "write" {
		p("Stddev Latency(s):      %.6g\n", stddev(m.sum, m.squares, m.finished))
	}
	p("Max latency(s):         %.6g\n", m.max)
	p("Min latency(s):         %.6g\n", m.min)
}

func pad(plural string) string { return fmt.Sprintf("%*s", 24-len("Total  made:")-len(plural), "") }
func pad2(title string) string { return fmt.Sprintf("%*s", 24-len(" size:")-len(title), "") }
