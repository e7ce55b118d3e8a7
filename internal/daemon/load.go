package daemon

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"
)

// LoadPerCPU is the load average of the last minute and of the last fifteen per CPU, 0 if it is not
// known.
func LoadPerCPU() (one, fifteen float64) {
	raw, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0, 0
	}
	var five float64
	if _, err := fmt.Sscan(string(raw), &one, &five, &fifteen); err != nil {
		return 0, 0
	}
	n := float64(runtime.NumCPU())
	return one / n, fifteen / n
}

// sampleEvery is how often the average of a day takes up a load.
const sampleEvery = 10 * time.Second

// A Load is what is known of the machine's load per CPU. All goroutines share it.
type Load struct {
	// Read returns the averages of the last one and fifteen minutes; nil: there is never any load.
	Read func() (one, fifteen float64)

	mu    sync.Mutex
	daily float64
	next  time.Time // to be sampled
}

// Tick keeps the average of the last day.
func (l *Load) Tick(now time.Time) {
	if l.Read == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Before(l.next) {
		return
	}
	one, fifteen := l.Read()
	if l.next.IsZero() {
		l.daily = fifteen
	}
	l.next = now.Add(sampleEvery)
	l.daily += (one - l.daily) * float64(sampleEvery) / float64(24*time.Hour)
}

// Low says whether there is room for work that can wait: the load is below the threshold; or it
// falls, and is below what is usual here.
func (l *Load) Low(threshold float64) bool {
	if l.Read == nil {
		return true
	}
	one, fifteen := l.Read()
	l.mu.Lock()
	defer l.mu.Unlock()
	return one < threshold || one < l.daily && one < fifteen
}
