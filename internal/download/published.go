package download

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Published is a file that somebody offers. A folder or a mirror, named in the environment, may hold it
// under its name.
type Published struct {
	// File is its name.
	File string
	// URL is where it can be fetched, "" if only a person can.
	URL string
	// SHA256, Size and MaxSize are those of [Request].
	SHA256  string
	Size    int64
	MaxSize int64
	// MirrorEnv is the environment variable of an address under which files lie by their names. Where it
	// is set, files are fetched from there and from nowhere else.
	MirrorEnv string
	// DirEnv is that of a folder in which files are looked for, by their names, before anything else.
	DirEnv string
}

// Mirror returns the address that an environment variable holds, "" if there is none.
func Mirror(env string) string { return strings.TrimSpace(os.Getenv(env)) }

// Local returns the file if it is on this machine, in the folder that DirEnv names or in one of the
// others, else "". It is not checked.
func (p Published) Local(others ...string) string {
	for _, dir := range append([]string{os.Getenv(p.DirEnv)}, others...) {
		path := filepath.Join(dir, p.File)
		if info, err := os.Stat(path); dir != "" && err == nil && info.Mode().IsRegular() {
			return path
		}
	}
	return ""
}

// Address returns where the file is fetched, "" if only a person can.
func (p Published) Address() (string, error) {
	if mirror := Mirror(p.MirrorEnv); mirror != "" {
		address, err := url.JoinPath(mirror, p.File)
		if err != nil {
			return "", fmt.Errorf("%s is not an address: %w", p.MirrorEnv, err)
		}
		return address, nil
	}
	return p.URL, nil
}

// Fetch downloads the file from an address to path. Progress and retry are those of [Request].
func (p Published) Fetch(ctx context.Context, address, path string, progress func(done, total int64), retry func(error)) error {
	const idle = 30 * time.Second
	return Get(ctx, Request{
		URL:      address,
		Path:     path,
		SHA256:   p.SHA256,
		Size:     p.Size,
		MaxSize:  p.MaxSize,
		Client:   NewClient(idle),
		Backoff:  time.Second,
		Progress: progress,
		Retry:    retry,
	})
}

// Check examines a file that somebody has put where it is.
func (p Published) Check(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	head := make([]byte, 512)
	n, err := io.ReadFull(f, head)
	if n == 0 {
		return fmt.Errorf("the file is empty (%w)", err)
	}
	if strings.HasPrefix(http.DetectContentType(head[:n]), "text/html") {
		return errors.New("this is a web page that was saved in place of the file")
	}
	return Check(path, p.SHA256, p.Size)
}

// Advise adds what to do to an error of Fetch: page is where the file is offered to people, place where
// they are to put it.
func (p Published) Advise(err error, address, page, place string) error {
	switch {
	case Mirror(p.MirrorEnv) != "":
		return fmt.Errorf("%w\n%s names the mirror; without it, the file comes from %s", err, p.MirrorEnv, page)
	case Unreachable(err):
		return fmt.Errorf("%w\nWithout a network: download %s on another machine and put it into %s, then run this again", err, address, place)
	}
	return fmt.Errorf("%w\nThe file is offered on %s, too: download %s there by hand and put it into %s", err, page, p.File, place)
}
