package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/gofrs/flock"
)

// installer installs plugins. Its fields are what tests replace.
type installer struct {
	log      io.Writer
	client   *http.Client
	indexURL string        // Python's simple package index
	probe    time.Duration // how long GitHub may take to answer
	backoff  time.Duration // before a transfer that broke off is tried again
	wheel    wheel         // of this platform; zero if there is none
	// github asks GoMLX's release on GitHub for the CPU plugin: see upstream.go.
	github func(in *installer) error
}

func newInstaller(log io.Writer) *installer {
	return &installer{
		log:      log,
		client:   newClient(log, 30*time.Second),
		indexURL: indexURL(),
		probe:    3 * time.Second,
		backoff:  time.Second,
		wheel:    platformWheel(),
		github:   (*installer).installFromGitHub,
	}
}

// installCPU installs the XLA plugin for the CPU and returns it: from GoMLX's release on GitHub if
// that can be reached, else from OpenXLA's package on PyPI. Where several processes ask at once,
// one installs and the others wait for it.
func (in *installer) installCPU() (plugin, error) {
	dir, err := CacheDir()
	if err != nil {
		return plugin{}, err
	}
	unlock, err := in.lock(dir)
	if err != nil {
		return plugin{}, explain(err, dir)
	}
	defer unlock()
	if found, _ := find("cpu"); len(found) > 0 {
		return found[0], nil // another process has installed it meanwhile
	}
	fmt.Fprintln(in.log, "godcpt: installing the XLA plugin for this machine's CPU, once")
	gitHubErr := in.github(in)
	if gitHubErr == nil {
		if found, _ := find("cpu"); len(found) > 0 {
			found[0].source = "installed now, from GoMLX's release on GitHub"
			return found[0], nil
		}
		gitHubErr = errors.New("its installer left no plugin")
	}
	fmt.Fprintf(in.log, "godcpt: GoMLX's release on GitHub cannot be had (%v), so it comes from PyPI\n", gitHubErr)
	path, err := in.installWheel(dir)
	if err != nil {
		return plugin{}, fmt.Errorf("its plugin cannot be installed\n  from GitHub: %w\n  from PyPI: %w", gitHubErr, explain(err, dir))
	}
	return plugin{"cpu", path, "installed now, from PyPI (" + in.wheel.file + ")"}, nil
}

// lock takes the lock of the cache folder dir, creating it; it waits while another process installs.
func (in *installer) lock(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	lock := flock.New(filepath.Join(dir, ".lock"))
	ok, err := lock.TryLock()
	if err == nil && !ok {
		fmt.Fprintln(in.log, "godcpt: waiting for another process that is installing the XLA plugin")
		const longest = 15 * time.Minute
		ctx, cancel := context.WithTimeout(context.Background(), longest)
		defer cancel()
		if _, err = lock.TryLockContext(ctx, 200*time.Millisecond); err != nil {
			err = fmt.Errorf("another process has been installing the plugin for %v (it holds %s): %w", longest, lock.Path(), err)
		}
	}
	if err != nil {
		return nil, err
	}
	removeLeftovers(dir)
	return func() { lock.Unlock() }, nil
}

// removeLeftovers removes what an installation that was killed left behind; the lock is held.
func removeLeftovers(dir string) {
	for _, pattern := range []string{downloadPattern, ".pjrt_c_api_*.tmp-*"} {
		paths, _ := filepath.Glob(filepath.Join(dir, pattern))
		for _, path := range paths {
			os.Remove(path)
		}
	}
}

// explain adds what to do to an error of writing to dir.
func explain(err error, dir string) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("the disk of %s is full: the plugin needs 330 MB there; free some, or set XDG_CACHE_HOME to a folder with room (%w)", dir, err)
	case errors.Is(err, os.ErrPermission), errors.Is(err, syscall.EROFS):
		return fmt.Errorf("no permission to write to %s: set XDG_CACHE_HOME to a folder of yours (%w)", dir, err)
	}
	return err
}
