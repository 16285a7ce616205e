package benchmark

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gofrs/flock"

	"github.com/godcpt/godcpt/internal/atomicfile"
	"github.com/godcpt/godcpt/internal/download"
	"github.com/godcpt/godcpt/internal/unpack"
)

// Environment variables.
const (
	// MirrorEnv is an address under which the files of each set lie in a folder of its name. Where it is
	// set, files are fetched from there and from nowhere else.
	MirrorEnv = "GODCPT_DATA_MIRROR"
	// DirEnv is a folder in which files are looked for, each set's in a folder of its name, before
	// anything else.
	DirEnv = "GODCPT_DATA_DIR"
)

// maxFile is more than any file of the table has, in bytes.
const maxFile = 256 << 30

// GetOptions configure Get.
type GetOptions struct {
	// Out is the folder to make, which must not hold anything.
	Out string
	// Progress and Retry are those of [download.Request], with the name of the file.
	Progress func(file string, done, total int64)
	Retry    func(file string, err error)
	// Say, if not nil, is told of each step in words.
	Say func(text string)
}

// Local reports whether the set's files are in the folder that DirEnv names.
func (s *Set) Local() bool {
	for _, f := range s.files() {
		if s.published(f).Local() == "" {
			return false
		}
	}
	return true
}

// Direct reports whether Get can fetch the set from where it is published. What is only offered without
// encryption is left to a person.
func (s *Set) Direct() bool {
	return len(s.Files) > 0 && !slices.ContainsFunc(s.Files, func(f File) bool { return !download.Accepts(f.URL) })
}

// files returns the set's files. What only a person can fetch may lie in a folder or on a mirror as an
// archive of the set's name.
func (s *Set) files() []File {
	if len(s.Files) > 0 {
		return s.Files
	}
	return []File{{URL: "", Unpack: unpack.Zip}}
}

// base is the name of a file.
func (s *Set) base(f File) string {
	if f.URL == "" {
		return s.Name + "." + f.Unpack
	}
	address, err := url.Parse(f.URL)
	if err != nil { // the test of the table parses all
		return s.Name
	}
	return path.Base(address.Path)
}

// published is a file as package download knows it.
func (s *Set) published(f File) download.Published {
	return download.Published{
		File: s.Name + "/" + s.base(f), URL: f.URL, SHA256: f.SHA256, Size: f.Size, MaxSize: maxFile,
		MirrorEnv: MirrorEnv, DirEnv: DirEnv,
	}
}

// Get makes the folder of a set: of files in the folder that DirEnv names, else fetched from the mirror or
// from where they are published. What has arrived of an interrupted download is kept beside Options.Out,
// in a folder with ".download" at its end, and used by the next Get; Out itself appears whole or not at
// all. A set that only a person can fetch is an error that says how.
func Get(ctx context.Context, s *Set, opts GetOptions) error {
	if opts.Say == nil {
		opts.Say = func(string) {}
	}
	if real, err := filepath.EvalSymlinks(opts.Out); err == nil { // a link to an empty folder on another disk
		opts.Out = real
	}
	if err := checkOut(opts.Out); err != nil {
		return err
	}
	if !s.Direct() && !s.Local() && download.Mirror(MirrorEnv) == "" {
		return s.byHand(opts.Out)
	}
	work := filepath.Clean(opts.Out) + ".download"
	if err := os.MkdirAll(work, 0o755); err != nil {
		return fmt.Errorf("cannot make a folder for the download: %w", err)
	}
	lock := flock.New(filepath.Join(work, ".lock"))
	if ok, err := lock.TryLock(); err != nil {
		return fmt.Errorf("cannot lock the download: %w", err)
	} else if !ok {
		return fmt.Errorf("another process is making %s: wait for it", opts.Out)
	}
	err := s.get(ctx, work, opts)
	lock.Unlock()
	if err == nil {
		return os.RemoveAll(work)
	}
	removeIfEmpty(work)
	return err
}

// removeIfEmpty removes a work folder in which nothing has arrived.
func removeIfEmpty(work string) {
	entries, err := os.ReadDir(work)
	if err == nil && len(entries) == 1 { // the lock
		os.RemoveAll(work)
	}
}

// checkOut refuses a folder that holds something.
func checkOut(out string) error {
	entries, err := os.ReadDir(out)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("cannot use the folder %s: %w", out, err)
	case len(entries) > 0:
		return fmt.Errorf("%s exists and is not replaced: check it (godcpt data check), or name another folder", out)
	}
	return nil
}

// get fetches and unpacks into the work folder, and moves the result to its place.
func (s *Set) get(ctx context.Context, work string, opts GetOptions) error {
	unpacked := filepath.Join(work, "unpacked")
	if err := os.RemoveAll(unpacked); err != nil { // of an interruption
		return err
	}
	defer os.RemoveAll(unpacked)
	var have []string
	for _, f := range s.files() {
		file, err := s.fetch(ctx, f, work, opts)
		if err != nil {
			return err
		}
		have = append(have, file)
	}
	for i, f := range s.files() {
		if err := s.place(ctx, f, have[i], unpacked, opts); err != nil {
			return discard(ctx, err, work, have[i:i+1])
		}
	}
	root, err := s.rootOf(unpacked)
	if err != nil {
		return discard(ctx, err, work, have)
	}
	if err := os.Remove(opts.Out); err != nil && !errors.Is(err, fs.ErrNotExist) { // it is empty
		return err
	}
	if err := os.Rename(root, opts.Out); err != nil {
		return err
	}
	return atomicfile.SyncDir(filepath.Dir(filepath.Clean(opts.Out)))
}

// discard removes files that were fetched and are of no use, as err says, so that the next Get does not take them
// for what an interruption left. What fails on this machine (a full disk, say) or is interrupted is no fault of
// theirs, and files that a person has brought are for the person to replace.
func discard(ctx context.Context, err error, work string, files []string) error {
	if ctx.Err() != nil || errors.As(err, new(*fs.PathError)) || errors.Is(err, unpack.ErrPassword) {
		return err
	}
	removed := false
	for _, file := range files {
		if filepath.Dir(file) == work && os.Remove(file) == nil {
			removed = true
		}
	}
	if !removed {
		return fmt.Errorf("%w. Replace it by the file as it is published", err)
	}
	return fmt.Errorf("%w. What was fetched is removed; run this again to fetch it anew", err)
}

// fetch returns a file of the set on this machine.
func (s *Set) fetch(ctx context.Context, f File, work string, opts GetOptions) (string, error) {
	p := s.published(f)
	if local := p.Local(); local != "" {
		if err := p.Check(local); err != nil {
			return "", fmt.Errorf("%s: %w; remove or replace it", local, err)
		}
		opts.Say("using " + local)
		return local, nil
	}
	file := filepath.Join(work, s.base(f))
	if _, err := os.Stat(file); err == nil && p.Check(file) == nil { // of an interruption
		return file, nil
	}
	address, err := p.Address()
	if err != nil {
		return "", err
	}
	err = p.Fetch(ctx, address, file, func(done, total int64) {
		if opts.Progress != nil {
			opts.Progress(s.base(f), done, total)
		}
	}, func(err error) {
		if opts.Retry != nil {
			opts.Retry(s.base(f), err)
		}
	})
	if err != nil {
		if ctx.Err() == nil {
			err = p.Advise(err, address, s.Home, s.placeByHand())
		}
		return "", err
	}
	if f.SHA256 == "" {
		sum, err := download.Sum(file)
		if err != nil {
			return "", err
		}
		opts.Say(fmt.Sprintf("%s is not checked, as no checksum of it is known: sha256 %s", s.base(f), sum))
	}
	return file, nil
}

// placeByHand names the folder for files that a person brings.
func (s *Set) placeByHand() string {
	dir := os.Getenv(DirEnv)
	if dir == "" {
		return filepath.Join("a folder F", s.Name) + ", with " + DirEnv + "=F"
	}
	return filepath.Join(dir, s.Name)
}

// place unpacks or copies a file into the folder to be.
func (s *Set) place(ctx context.Context, f File, file, unpacked string, opts GetOptions) error {
	into := filepath.Join(unpacked, filepath.FromSlash(f.Into))
	if err := os.MkdirAll(into, 0o755); err != nil {
		return err
	}
	if f.Unpack != "none" {
		opts.Say("unpacking " + filepath.Base(file))
		return unpack.Archive(ctx, file, f.Unpack, into)
	}
	from, err := os.Open(file)
	if err != nil {
		return err
	}
	defer from.Close()
	return atomicfile.Write(filepath.Join(into, s.base(f)), 0o644, func(to io.Writer) error {
		_, err := io.Copy(to, from)
		return err
	})
}

// rootOf returns the set's folder in what was unpacked: that, or the only folder in it, or the only one in that
// and so on. Files beside such a folder, such as a licence, are moved into it.
func (s *Set) rootOf(unpacked string) (string, error) {
	const deepest = 3
	var beside []string
	root := unpacked
	for range deepest {
		for i := range s.Splits {
			if _, err := s.Splits[i].In(root); err == nil {
				return root, moveInto(root, beside)
			}
		}
		entries, err := os.ReadDir(root)
		if err != nil {
			return "", err
		}
		var folders []string
		for _, e := range entries {
			if path := filepath.Join(root, e.Name()); e.IsDir() {
				folders = append(folders, path)
			} else {
				beside = append(beside, path)
			}
		}
		if len(folders) != 1 {
			break
		}
		root = folders[0]
	}
	return "", fmt.Errorf("what was fetched does not hold %s: expected %s", s.Name, s.Splits[0].expected())
}

// moveInto moves files into a folder that has none of their names.
func moveInto(dir string, files []string) error {
	for _, file := range files {
		to := filepath.Join(dir, filepath.Base(file))
		if _, err := os.Lstat(to); err == nil {
			continue
		}
		if err := os.Rename(file, to); err != nil {
			return err
		}
	}
	return nil
}

// byHand is the error of a set that only a person can fetch: it says what to do.
func (s *Set) byHand(out string) error {
	var text strings.Builder
	fmt.Fprintf(&text, "%s is not offered so that it can be fetched safely without a person. By hand:\n", s.Name)
	fmt.Fprintf(&text, "1. open %s and download the set\n", s.Home)
	for _, f := range s.Files {
		fmt.Fprintf(&text, "- %s\n", f.URL)
	}
	fmt.Fprintf(&text, "2. unpack it so that %s holds\n", out)
	for i := range s.Splits {
		fmt.Fprintf(&text, "- %s: %s\n", s.Splits[i].Name, s.Splits[i].expected())
	}
	fmt.Fprintf(&text, "3. godcpt data check %s\n", out)
	var names []string
	for _, f := range s.files() {
		names = append(names, s.base(f))
	}
	fmt.Fprintf(&text, "Or put %s into %s, and run this again", strings.Join(names, ", "), s.placeByHand())
	return errors.New(text.String())
}
