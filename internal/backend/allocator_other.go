//go:build !linux

package backend

// ReexecTuned does nothing here: the settings belong to Linux's C library.
func ReexecTuned() error { return nil }

// HugePages says whether the allocator of this process uses huge pages, and why not.
func HugePages() (on bool, why string) { return false, "a setting of Linux's C library" }
