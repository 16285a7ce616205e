package zoo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

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
	dir, err := DefaultDir()
	if err != nil {
		return w.published().Local()
	}
	return w.published().Local(dir)
}

// published is the file of w as package download knows it.
func (w Weights) published() download.Published {
	return download.Published{
		File: w.File, URL: w.URL, SHA256: w.SHA256, Size: w.Size, MaxSize: maxSize, MirrorEnv: MirrorEnv, DirEnv: DirEnv,
	}
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
	if err = w.published().Fetch(ctx, address, out, opts.Progress, opts.Retry); err != nil {
		if ctx.Err() == nil {
			err = w.published().Advise(err, address, w.Page, placeByHand())
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
	case err == nil && w.SHA256 != "" && w.published().Check(out) == nil:
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
	if err := w.published().Check(local); err != nil {
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
func Mirror() string { return download.Mirror(MirrorEnv) }

// address returns where the file is fetched.
func (w Weights) address() (string, error) {
	address, err := w.published().Address()
	if err == nil && address == "" {
		err = fmt.Errorf("%s offers its files on a web page only: open %s, download %s and put it into %s, then run this again",
			w.Project, w.Page, w.File, placeByHand())
	}
	return address, err
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
