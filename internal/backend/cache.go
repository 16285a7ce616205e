package backend

import (
	"fmt"
	"os"
	"path/filepath"
)

// CacheDir returns the folder in which this package installs plugins: godcpt/pjrt in the user's
// cache folder. Where there is none (HOME is not set), it is a folder in os.TempDir that belongs to
// this user. The folder need not exist.
func CacheDir() (string, error) {
	if base, err := os.UserCacheDir(); err == nil && filepath.IsAbs(base) {
		return filepath.Join(base, "godcpt", "pjrt"), nil
	}
	base := filepath.Join(os.TempDir(), fmt.Sprintf("godcpt-%d", os.Getuid()))
	// Code is loaded from here, and anybody may write to the temporary folder: take the folder
	// only if nobody else can have put something into it.
	if err := privateDir(base); err != nil {
		return "", fmt.Errorf("there is no cache folder (set HOME or XDG_CACHE_HOME): %w", err)
	}
	return filepath.Join(base, "pjrt"), nil
}
