package backend

import (
	"fmt"
	"syscall"
)

// folderAlias returns another absolute path of a folder, valid in this process as long as it runs.
func folderAlias(dir string) (string, error) {
	fd, err := syscall.Open(dir, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("/proc/self/fd/%d", fd), nil
}
