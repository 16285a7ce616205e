//go:build !linux

package backend

import "errors"

// folderAlias returns another absolute path of a folder; only Linux has one to offer.
func folderAlias(string) (string, error) {
	return "", errors.New("this system offers no other path to it")
}
