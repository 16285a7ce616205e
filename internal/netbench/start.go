package netbench

import (
	"os"
	"strconv"
	"strings"
	"time"
)

// loaded is when this program was loaded, where the system does not tell when the process started.
var loaded = time.Now()

// sinceStart returns how long this process has been there, which includes what it did before it
// started itself again with other settings. On Linux it is exact to 0.02 s.
func sinceStart() time.Duration {
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return time.Since(loaded)
	}
	uptime, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return time.Since(loaded)
	}
	age, ok := processAge(string(stat), string(uptime))
	if !ok {
		return time.Since(loaded)
	}
	return max(age, time.Since(loaded))
}

// ticksPerSecond is the unit of times in /proc: every Linux that Go runs on has this value.
const ticksPerSecond = 100

// processAge computes the age of a process from /proc/PID/stat and /proc/uptime (proc(5)).
func processAge(stat, uptime string) (age time.Duration, ok bool) {
	// The second field is the name in parentheses, which may hold spaces and parentheses.
	fields := strings.Fields(stat[strings.LastIndex(stat, ")")+1:])
	const startTime = 22 - 3 // the fields after the name count from 3
	up := strings.Fields(uptime)
	if len(fields) <= startTime || len(up) == 0 {
		return 0, false
	}
	started, err := strconv.ParseFloat(fields[startTime], 64)
	if err != nil {
		return 0, false
	}
	now, err := strconv.ParseFloat(up[0], 64)
	if err != nil {
		return 0, false
	}
	return time.Duration((now - started/ticksPerSecond) * float64(time.Second)), true
}
