// Package unpack unpacks archives from elsewhere: nothing is written outside the folder, nothing but
// folders and ordinary files, and not more than an archive of its size can sensibly hold.
package unpack

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Formats of archives.
const (
	Zip   = "zip"
	TarGz = "tar.gz"
)

// Limits on what an archive may unpack to. Pictures hardly compress, but for a few that are drawn.
const (
	maxRatio   = 30      // bytes per byte of the archive,
	maxExtra   = 1 << 20 // and this much more
	maxEntries = 4 << 20
)

// ErrPassword is wrapped by the error of an archive with a password.
var ErrPassword = errors.New("it has a password, which those who offer it tell: unpack it by hand")

// Archive unpacks a file into a folder, which must exist. It refuses archives with links, absolute paths,
// paths that leave the folder and files that are there already; what it has written then is left to the
// caller, who unpacks into a new folder. Hidden files and __MACOSX are left out.
func Archive(ctx context.Context, file, format, dir string) error {
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	u := &unpacker{ctx: ctx, dir: dir, left: maxRatio*info.Size() + maxExtra}
	switch format {
	case Zip:
		err = u.zip(file)
	case TarGz:
		err = u.tarGz(file)
	default:
		err = fmt.Errorf("unknown format %q of an archive", format)
	}
	if err != nil {
		return fmt.Errorf("cannot unpack %s: %w", file, err)
	}
	return nil
}

type unpacker struct {
	ctx     context.Context
	dir     string
	left    int64 // bytes that may still be written
	entries int
}

func (u *unpacker) zip(file string) error {
	z, err := zip.OpenReader(file)
	if err != nil {
		return err
	}
	defer z.Close()
	for _, f := range z.File {
		const encrypted = 1 // bit of the flags
		if f.Flags&encrypted != 0 {
			return ErrPassword
		}
		if err := u.entry(f.Name, f.Mode(), f.Open); err != nil {
			return err
		}
	}
	return nil
}

func (u *unpacker) tarGz(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	t := tar.NewReader(z)
	for {
		h, err := t.Next()
		if err == io.EOF {
			_, err = io.Copy(io.Discard, z) // to its checksum
			return err
		}
		if err != nil {
			return err
		}
		switch h.Typeflag {
		case tar.TypeXGlobalHeader: // a comment, as in the archives of Git servers
			continue
		case tar.TypeLink: // its mode looks like that of a file
			return fmt.Errorf("%q is a link, which is refused", h.Name)
		}
		if err := u.entry(h.Name, h.FileInfo().Mode(), func() (io.ReadCloser, error) { return io.NopCloser(t), nil }); err != nil {
			return err
		}
	}
}

// entry writes one file or makes one folder.
func (u *unpacker) entry(name string, mode fs.FileMode, open func() (io.ReadCloser, error)) error {
	if err := u.ctx.Err(); err != nil {
		return err
	}
	if u.entries++; u.entries > maxEntries {
		return fmt.Errorf("it has more than %d entries", maxEntries)
	}
	local, err := localName(name)
	if err != nil {
		return err
	}
	if hidden(local) {
		return nil
	}
	to := filepath.Join(u.dir, filepath.FromSlash(local))
	switch {
	case mode.IsDir():
		return os.MkdirAll(to, 0o755)
	case !mode.IsRegular():
		return fmt.Errorf("%q is a link or a device, which is refused", name)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	from, err := open()
	if err != nil {
		return err
	}
	defer from.Close()
	return u.write(to, from)
}

// localName returns a name in an archive if it stays in the folder, with slashes.
func localName(name string) (string, error) {
	clean := path.Clean(strings.ReplaceAll(name, `\`, "/"))
	if !filepath.IsLocal(filepath.FromSlash(clean)) || strings.Contains(clean, ":") {
		return "", fmt.Errorf("%q leads out of the folder, which is refused", name)
	}
	return clean, nil
}

func hidden(name string) bool {
	for _, e := range strings.Split(name, "/") {
		if e == "__MACOSX" || strings.HasPrefix(e, ".") && e != "." {
			return true
		}
	}
	return false
}

func (u *unpacker) write(to string, from io.Reader) error {
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	n, err := io.Copy(f, io.LimitReader(from, u.left+1))
	if err != nil {
		return err
	}
	if u.left -= n; u.left < 0 {
		return errors.New("it holds far more than archives of pictures of its size, which is refused")
	}
	return f.Close()
}
