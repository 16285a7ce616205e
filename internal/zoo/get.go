package zoo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/godcpt/godcpt/internal/atomicfile"
	"github.com/godcpt/godcpt/internal/download"
)

// Environment variables.
const (
	// MirrorEnv is an address under which the files lie by their names. Where it is set, files are
	// fetched from there and from nowhere else.
	MirrorEnv = "GODCPT_WEIGHTS_MIRROR"
	// DirEnv is a folder in which files are looked for, by their names, before anything else.
	DirEnv = "GODCPT_WEIGHTS_DIR"
)

// maxSize is more than any file of weights has.
const maxSize = 4 << 30

// Options of Get. The zero value puts the file into DefaultDir.
type Options struct {
	// Out is the file to write, or a folder that exists.
	Out string
	// Progress and Retry are those of [download.Request].
	Progress func(done, total int64)
	Retry    func(error)
}

// Result is what Get has got.
type Result struct {
	Path string
	// From is the address or the file that it comes from; "" if Path was there already.
	From string
	// SHA256 is the checksum of the file. Where the table knows one, it is that.
	SHA256 string
}

// DefaultDir returns the folder for files of weights, godcpt/weights in the user's cache folder. It need
// not exist.
func DefaultDir() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("there is no cache folder (%w): name a file with -o, or a folder in %s", err, DirEnv)
	}
	return filepath.Join(base, "godcpt", "weights"), nil
}

// Local returns the file if it is on this machine, in the folder that DirEnv names or in DefaultDir, else
// "". It is not checked.
func Local(w Weights) string {
	dirs := []string{os.Getenv(DirEnv)}
	if dir, err := DefaultDir(); err == nil {
		dirs = append(dirs, dir)
	}
	for _, dir := range dirs {
		path := filepath.Join(dir, w.File)
		if info, err := os.Stat(path); dir != "" && err == nil && info.Mode().IsRegular() {
			return path
		}
	}
	return ""
}

// Get returns the file of w, checked as far as its size and checksum are known: one that is on this
// machine, else one that is fetched from the mirror or from where it is published. A file that lies in
// Options.Out is not replaced.
func Get(ctx context.Context, w Weights, opts Options) (Result, error) {
	out, there, err := outPath(w, opts.Out)
	if err != nil {
		return Result{}, err
	}
	if there {
		return result(w, out, "")
	}
	if local := Local(w); local != "" {
		return useLocal(w, local, out)
	}
	if out == "" {
		dir, err := DefaultDir()
		if err != nil {
			return Result{}, err
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return Result{}, fmt.Errorf("cannot make the folder for weights: %w", err)
		}
		out = filepath.Join(dir, w.File)
	}
	address, err := w.address()
	if err != nil {
		return Result{}, err
	}
	const idle = 30 * time.Second
	err = download.Get(ctx, download.Request{
		URL:      address,
		Path:     out,
		SHA256:   w.SHA256,
		Size:     w.Size,
		MaxSize:  maxSize,
		Client:   download.NewClient(idle),
		Backoff:  time.Second,
		Progress: opts.Progress,
		Retry:    opts.Retry,
	})
	if err != nil {
		if ctx.Err() == nil {
			err = w.advise(err, address)
		}
		return Result{}, err
	}
	return result(w, out, address)
}

// outPath returns the file that was asked for, "" if none was, and whether it is there already.
func outPath(w Weights, out string) (path string, there bool, err error) {
	if out == "" {
		return "", false, nil
	}
	info, err := os.Stat(out)
	if err == nil && info.IsDir() {
		out = filepath.Join(out, w.File)
		_, err = os.Stat(out)
	}
	switch {
	case err == nil && w.SHA256 != "" && check(w, out) == nil:
		return out, true, nil
	case err == nil:
		return "", false, fmt.Errorf("%s exists: it is not replaced, name another file or remove it", out)
	case !errors.Is(err, fs.ErrNotExist):
		return "", false, err
	}
	if info, err := os.Stat(filepath.Dir(out)); err != nil || !info.IsDir() {
		return "", false, fmt.Errorf("there is no folder %s", filepath.Dir(out))
	}
	return out, false, nil
}

// useLocal checks a file that is there, and copies it to out unless that is "".
func useLocal(w Weights, local, out string) (Result, error) {
	if err := check(w, local); err != nil {
		return Result{}, fmt.Errorf("%s: %w; remove or replace it", local, err)
	}
	if out == "" {
		return result(w, local, "")
	}
	from, err := os.Open(local)
	if err != nil {
		return Result{}, err
	}
	defer from.Close()
	err = atomicfile.Write(out, 0o644, func(to io.Writer) error {
		_, err := io.Copy(to, from)
		return err
	})
	if err != nil {
		return Result{}, err
	}
	return result(w, out, local)
}

// check examines a file that somebody has put where it is.
func check(w Weights, path string) error {
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
	return download.Check(path, w.SHA256, w.Size)
}

func result(w Weights, path, from string) (Result, error) {
	r := Result{Path: path, From: from, SHA256: w.SHA256}
	if r.SHA256 != "" {
		return r, nil // checked
	}
	var err error
	r.SHA256, err = download.Sum(path)
	return r, err
}

// Mirror returns the mirror's address, "" if there is none.
func Mirror() string { return strings.TrimSpace(os.Getenv(MirrorEnv)) }

// address returns where the file is fetched.
func (w Weights) address() (string, error) {
	if mirror := Mirror(); mirror != "" {
		address, err := url.JoinPath(mirror, w.File)
		if err != nil {
			return "", fmt.Errorf("%s is not an address: %w", MirrorEnv, err)
		}
		return address, nil
	}
	if w.URL == "" {
		return "", fmt.Errorf("%s offers its files on a web page only: open %s, download %s and put it into %s, then run this again",
			w.Project, w.Page, w.File, placeByHand())
	}
	return w.URL, nil
}

// advise adds what to do to an error of a download.
func (w Weights) advise(err error, address string) error {
	switch {
	case Mirror() != "":
		return fmt.Errorf("%w\n%s names the mirror; without it, the file comes from %s", err, MirrorEnv, w.Page)
	case download.Unreachable(err):
		return fmt.Errorf("%w\nWithout a network: download %s on another machine and put it into %s, then run this again", err, address, placeByHand())
	}
	return fmt.Errorf("%w\nThe file is offered on %s, too: download %s there by hand and put it into %s", err, w.Page, w.File, placeByHand())
}

// placeByHand names the folder for files that a person brings.
func placeByHand() string {
	if dir := os.Getenv(DirEnv); dir != "" {
		return dir
	}
	dir, err := DefaultDir()
	if err != nil {
		return "a folder, with " + DirEnv + " set to it"
	}
	return dir
}
