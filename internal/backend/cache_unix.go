//go:build unix

package backend

import (
	"fmt"
	"os"
	"syscall"
)

// privateDir makes dir a folder that only this user can write to, or says why it is not.
func privateDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() || !onlyOurs(info) {
		return fmt.Errorf("%s is not a folder that only this user can write to", dir)
	}
	return nil
}

// privateFile returns why a file that is open may have been written by somebody else.
func privateFile(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || !onlyOurs(info) {
		return fmt.Errorf("%s is not a file that only this user can write to", f.Name())
	}
	return nil
}

// onlyOurs tells whether only this user can write to something.
func onlyOurs(info os.FileInfo) bool {
	owner, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(owner.Uid) == os.Getuid() && info.Mode().Perm()&0o022 == 0
}
