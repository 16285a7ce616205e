//go:build !darwin && !linux

package memory

// maxRSS is not known on this system.
func maxRSS() int64 { return 0 }
