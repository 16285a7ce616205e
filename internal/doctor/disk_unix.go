//go:build linux || darwin

package doctor

import "syscall"

// freeBytes returns how much this user can still write to the disk of dir.
func freeBytes(dir string) (float64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return float64(s.Bavail) * float64(s.Bsize), nil
}
