//go:build !linux

package backend

// ReexecWithHugePages does nothing here: the setting belongs to Linux's C library.
func ReexecWithHugePages() error { return nil }

// HugePages says whether the allocator of this process uses huge pages, and why not.
func HugePages() (on bool, why string) { return false, "a setting of Linux's C library" }
