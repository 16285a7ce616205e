// Package memory tells how much memory this process may still take and how much it has taken, and gives
// back what is free.
package memory

import (
	"bufio"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
)

// Available returns the bytes that can be taken without swapping or being killed: what the machine
// has left, or the container if that is less. ok is false where the system does not tell.
func Available() (bytes int64, ok bool) {
	bytes, ok = procBytes("/proc/meminfo", "MemAvailable")
	if !ok {
		return 0, false
	}
	if left, ok := cgroupLeft(); ok {
		bytes = min(bytes, left)
	}
	return bytes, true
}

// Peak returns the most bytes of memory that this process has held at a time; 0 where the system does
// not tell. On Linux it is VmHWM, which unlike getrusage forgets what was before the last exec.
func Peak() int64 {
	if bytes, ok := procBytes("/proc/self/status", "VmHWM"); ok {
		return bytes
	}
	return maxRSS()
}

// cgroupLeft returns what a container (control group, version 2 or 1) may still take.
func cgroupLeft() (int64, bool) {
	for _, files := range []struct{ limit, used, stat, cache string }{
		{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory.stat", "inactive_file"},
		{"/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes", "/sys/fs/cgroup/memory/memory.stat", "total_inactive_file"},
	} {
		limit, ok := number(files.limit)
		if !ok {
			continue // no such group, or "max": no limit
		}
		used, ok := number(files.used)
		if !ok {
			continue
		}
		// The cache of files counts as used and is given back when memory is asked for.
		cache := int64(0)
		if f, err := os.Open(files.stat); err == nil {
			cache = statLine(f, files.cache)
			f.Close()
		}
		return max(limit-used+cache, 0), true
	}
	return 0, false
}

// number reads a file that holds one number of bytes. Version 1 writes "no limit" as a huge one.
func number(path string) (int64, bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return n, err == nil && n < math.MaxInt64/2
}

// statLine returns the number of the first line "name number"; 0 if there is none.
func statLine(r io.Reader, name string) int64 {
	for lines := bufio.NewScanner(r); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), " "); ok && key == name {
			n, _ := strconv.ParseInt(value, 10, 64)
			return n
		}
	}
	return 0
}

// procBytes reads the line "name: number kB" of a file of /proc.
func procBytes(path, name string) (int64, bool) {
	f, err := os.Open(path)
	if err != nil {
		return 0, false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		key, value, found := strings.Cut(lines.Text(), ":")
		if !found || key != name {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		return n << 10, err == nil
	}
	return 0, false
}
