package daemon

import (
	"fmt"
	"os"
	"runtime"
)

// LoadPerCPU is the load average of the last minute per CPU, 0 if it is not known.
func LoadPerCPU() float64 {
	raw, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	var load float64
	if _, err := fmt.Sscan(string(raw), &load); err != nil {
		return 0
	}
	return load / float64(runtime.NumCPU())
}
