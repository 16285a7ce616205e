package shards

import (
	"archive/tar"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/flock"

	"github.com/godcpt/godcpt/datasets"
	"github.com/godcpt/godcpt/datasets/imageio"
	"github.com/godcpt/godcpt/internal/atomicfile"
	"github.com/godcpt/godcpt/internal/parallel"
)

// DefaultShardBytes is the size of a shard: some thousand compressed photos.
const DefaultShardBytes = 256e6

// maxBroken is the share of the pictures that Pack leaves out, if they are damaged, without failing.
const maxBroken = 0.05

// PackConfig configures Pack. Images and Out are required.
type PackConfig struct {
	Images string // folder of clean pictures; of degraded ones if GT is set
	GT     string // folder of clean pictures, for pairs
	Rule   string // by which pairs belong together: see datasets.PairedConfig; for pairs only
	List   string // list file that names what is packed, in place of all: see datasets.FromList; may be empty
	Out    string // folder to make
	// ShardBytes is the size that no shard exceeds. 0: DefaultShardBytes.
	ShardBytes int64
	Seed       uint64 // of the order of the samples
	// Progress, if set, is called after each sample that was read and found good or bad.
	Progress func(done, total int)
}

// Packed says what Pack has done.
type Packed struct {
	Files   []string // the shards, with their paths
	Samples int      // in them
	Bytes   int64    // of them
	Damaged []error  // for each sample that was left out, why
}

// sample is what shares a key: one picture, or a degraded and a clean one.
type sample struct {
	files []packedFile
	bytes int64 // in the archive
}

type packedFile struct {
	path   string // on disk
	header tar.Header
}

// Pack copies pictures into shards Out/NAME-000000.tar and so on, where NAME is the last element of
// Out. Files are copied unchanged, in an order drawn from Seed; equal files and seeds give equal
// shards, to the byte. Out must not exist, or be empty; it appears when it is whole.
//
// Each picture is decoded first. Damaged ones, and pairs that differ in size, are left out and
// listed; more than 5 % of them are an error.
func Pack(ctx context.Context, cfg PackConfig) (*Packed, error) {
	size := cmp.Or(cfg.ShardBytes, DefaultShardBytes)
	if err := checkOut(cfg.Out); err != nil {
		return nil, err
	}
	samples, err := listSamples(cfg)
	if err != nil {
		return nil, err
	}
	work, end, err := begin(cfg.Out)
	if err != nil {
		return nil, err
	}
	defer end()
	result := &Packed{}
	samples, result.Damaged, err = check(ctx, samples, cfg.Progress)
	if err != nil {
		return nil, err
	}
	rng := rand.New(rand.NewPCG(cfg.Seed, 0))
	rng.Shuffle(len(samples), func(i, j int) { samples[i], samples[j] = samples[j], samples[i] })
	groups, err := divide(samples, size)
	if err != nil {
		return nil, err
	}
	result.Samples = len(samples)
	if err := write(ctx, work, cfg.Out, groups, result); err != nil {
		return nil, err
	}
	return result, nil
}

// checkOut refuses a folder that holds something.
func checkOut(out string) error {
	if entries, err := os.ReadDir(out); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s is not empty: name a new folder", out)
	} else if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("cannot write shards: %w", err)
	}
	return nil
}

// place is the absolute path of a folder that may not be there yet; of a link to an empty folder elsewhere, that
// of the folder, which may lie on a disk with more room.
func place(out string) (string, error) {
	if real, err := filepath.EvalSymlinks(out); err == nil {
		out = real
	}
	return filepath.Abs(out)
}

// begin makes a hidden folder beside out to work in, empty also after a process that was killed. It is for this
// process alone until end, which removes it.
func begin(out string) (work string, end func(), err error) {
	real, err := place(out)
	if err != nil {
		return "", nil, err
	}
	dir := filepath.Join(filepath.Dir(real), "."+filepath.Base(real)+".packing")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", nil, fmt.Errorf("cannot write shards: %w", err)
	}
	lock := flock.New(filepath.Join(dir, "lock"))
	if ok, err := lock.TryLock(); err != nil {
		return "", nil, fmt.Errorf("cannot lock the folder of shards: %w", err)
	} else if !ok {
		return "", nil, fmt.Errorf("another process is packing %s: wait for it", out)
	}
	end = func() {
		os.RemoveAll(dir)
		lock.Unlock()
	}
	work = filepath.Join(dir, "shards")
	err = os.RemoveAll(work)
	if err == nil {
		err = os.Mkdir(work, 0o755)
	}
	if err == nil {
		err = checkOut(out) // again: another process may have made it since
	}
	if err != nil {
		end()
		return "", nil, err
	}
	return work, end, nil
}

// listSamples lists what is to be packed, in the order of the files.
func listSamples(cfg PackConfig) ([]sample, error) {
	pairs, err := listFiles(cfg)
	if err != nil {
		return nil, err
	}
	taken := make(map[string]bool, len(pairs))
	samples := make([]sample, len(pairs))
	for i, p := range pairs {
		if p.LQ == p.GT {
			return nil, fmt.Errorf("%s would be its own clean picture: name two folders, or a pairing rule that tells the pictures in one apart, such as \"low*=normal*\"", p.LQ)
		}
		key, err := newKey(cfg.Images, p.LQ, taken)
		if err != nil {
			return nil, err
		}
		var s sample
		if p.GT == "" {
			s.files = []packedFile{{path: p.LQ}}
			s.files[0].header.Name = key + extension(p.LQ)
		} else {
			s.files = []packedFile{{path: p.LQ}, {path: p.GT}}
			s.files[0].header.Name = key + datasets.ShardLQ + extension(p.LQ)[1:]
			s.files[1].header.Name = key + datasets.ShardGT + extension(p.GT)[1:]
		}
		if err := s.measure(); err != nil {
			return nil, err
		}
		samples[i] = s
	}
	return samples, nil
}

// listFiles lists the files of the pairs, or of the clean pictures, as PairFiles without GT.
func listFiles(cfg PackConfig) ([]datasets.PairFiles, error) {
	if cfg.GT != "" {
		return datasets.ListPairs(datasets.PairedConfig{LQ: cfg.Images, GT: cfg.GT, Rule: cfg.Rule, List: cfg.List})
	}
	var images *datasets.Images
	var err error
	if cfg.List != "" {
		images, err = datasets.FromList(cfg.Images, cfg.List)
	} else {
		images, err = datasets.FromDir(cfg.Images)
	}
	if err != nil {
		return nil, err
	}
	var files []datasets.PairFiles
	for i := range images.Len() {
		files = append(files, datasets.PairFiles{LQ: images.Name(i)})
	}
	return files, nil
}

func extension(path string) string { return strings.ToLower(filepath.Ext(path)) }

// newKey returns the key of a file: its path in its folder without extension, with "_" for the dots
// of the base name, since a key ends at the first, and a number where that is taken.
func newKey(root, file string, taken map[string]bool) (string, error) {
	if _, err := os.Stat(root); err != nil { // a pattern of folders
		for strings.ContainsAny(root, "*?[") {
			root = filepath.Dir(root)
		}
	}
	relative, err := filepath.Rel(root, file)
	if err != nil {
		return "", fmt.Errorf("cannot name %s below %s: %w", file, root, err)
	}
	dir, base := filepath.Split(strings.TrimSuffix(relative, filepath.Ext(relative)))
	wanted := filepath.ToSlash(dir) + strings.ReplaceAll(base, ".", "_")
	key := wanted
	for n := 2; taken[key]; n++ {
		key = fmt.Sprintf("%s-%d", wanted, n)
	}
	taken[key] = true
	return key, nil
}

// measure completes the headers and counts what the sample takes in an archive.
func (s *sample) measure() error {
	for i := range s.files {
		f := &s.files[i]
		info, err := os.Stat(f.path)
		if errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%s is a link to nothing, or was removed just now: remove the link", f.path)
		}
		if err != nil {
			return err
		}
		// Nothing of the machine or the day, so that the archive depends on the pictures alone.
		f.header.Typeflag, f.header.Mode, f.header.ModTime, f.header.Size = tar.TypeReg, 0o644, time.Unix(0, 0), info.Size()
		size := &byteCounter{}
		if err := tar.NewWriter(size).WriteHeader(&f.header); err != nil {
			return fmt.Errorf("%s cannot be named in an archive: %w", f.path, err)
		}
		s.bytes += size.n + (info.Size()+511)/512*512
	}
	return nil
}

// byteCounter counts what is written.
type byteCounter struct{ n int64 }

func (c *byteCounter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}

// check decodes all pictures and returns the samples that are good, and why others are not.
func check(ctx context.Context, samples []sample, progress func(done, total int)) (good []sample, bad []error, err error) {
	found := make([]error, len(samples)) // damage
	done := 0
	var mu sync.Mutex // of done, and of the calls of progress
	err = parallel.Each(ctx, len(samples), runtime.GOMAXPROCS(0), func(i int) error {
		err := samples[i].decode()
		if err != nil && !errors.As(err, new(*imageio.DamagedError)) && !errors.Is(err, ErrSizes) {
			return err
		}
		found[i] = err
		mu.Lock()
		defer mu.Unlock()
		done++
		if progress != nil {
			progress(done, len(samples))
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	for i, err := range found {
		if err != nil {
			bad = append(bad, err)
			continue
		}
		good = append(good, samples[i])
	}
	if float64(len(bad)) > maxBroken*float64(len(samples)) {
		return nil, nil, tooMany{bad, len(samples)}
	}
	return good, bad, nil
}

// ErrSizes is wrapped by the error of a pair whose pictures differ in size, and by that of Pack if there are too
// many of them.
var ErrSizes = errors.New("pairs must be equal in size")

// tooMany is the error of more bad samples than Pack leaves out.
type tooMany struct {
	bad   []error
	total int
}

func (e tooMany) Error() string {
	const show = 5
	var texts []string
	for _, err := range e.bad[:min(len(e.bad), show)] {
		texts = append(texts, err.Error())
	}
	return fmt.Sprintf("%d of %d samples cannot be used, more than %g %%: %s", len(e.bad), e.total, maxBroken*100, strings.Join(texts, "; "))
}

func (e tooMany) Unwrap() []error { return e.bad }

// decode reads the pictures of a sample.
func (s sample) decode() error {
	var w, h int // of the first
	for i, f := range s.files {
		fw, fh, _, err := imageio.ReadBytes(f.path)
		if err != nil {
			return err
		}
		if i > 0 && (fw != w || fh != h) {
			return fmt.Errorf("%s has %dx%d pixels, %s has %dx%d: %w", s.files[0].path, w, h, f.path, fw, fh, ErrSizes)
		}
		w, h = fw, fh
	}
	return nil
}

// endBytes is what ends an archive.
const endBytes = 1024

// divide puts the samples, in their order, into as few shards as fit.
func divide(samples []sample, size int64) ([][]sample, error) {
	var groups [][]sample
	var used int64
	start := 0
	for i, s := range samples {
		if s.bytes+endBytes > size {
			return nil, fmt.Errorf("%s takes %d bytes in an archive, a shard may have %d: give a larger shard size", s.files[0].path, s.bytes+endBytes, size)
		}
		if used+s.bytes+endBytes > size {
			groups = append(groups, samples[start:i])
			start, used = i, 0
		}
		used += s.bytes
	}
	return append(groups, samples[start:]), nil
}

// write makes the folder of shards: in the folder dir until it is whole.
func write(ctx context.Context, dir, out string, groups [][]sample, result *Packed) error {
	absolute, err := filepath.Abs(out) // "." has a name, too
	if err != nil {
		return err
	}
	name := filepath.Base(absolute)
	real, err := place(out)
	if err != nil {
		return err
	}
	for i, group := range groups {
		file := fmt.Sprintf("%s-%06d%s", name, i, Extension)
		err := atomicfile.Write(filepath.Join(dir, file), 0o644, func(w io.Writer) error { return writeShard(ctx, w, group) })
		if err != nil {
			return err
		}
		info, err := os.Stat(filepath.Join(dir, file))
		if err != nil {
			return err
		}
		result.Bytes += info.Size()
		result.Files = append(result.Files, filepath.Join(out, file))
	}
	if err := os.Remove(real); err != nil && !errors.Is(err, os.ErrNotExist) { // an empty folder
		return fmt.Errorf("cannot write shards: %w", err)
	}
	if err := os.Rename(dir, real); err != nil {
		return fmt.Errorf("cannot write shards: %w", err)
	}
	return atomicfile.SyncDir(filepath.Dir(real))
}

func writeShard(ctx context.Context, w io.Writer, samples []sample) error {
	archive := tar.NewWriter(w)
	for _, s := range samples {
		if err := ctx.Err(); err != nil {
			return err
		}
		for i := range s.files {
			if err := s.files[i].copyTo(archive); err != nil {
				return err
			}
		}
	}
	return archive.Close()
}

func (f *packedFile) copyTo(archive *tar.Writer) error {
	r, err := os.Open(f.path)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := archive.WriteHeader(&f.header); err != nil {
		return err
	}
	n, err := io.Copy(archive, r)
	if err == nil && n < f.header.Size || errors.Is(err, tar.ErrWriteTooLong) {
		return fmt.Errorf("%s has changed while it was packed: its size was %d bytes; pack again", f.path, f.header.Size)
	}
	return err
}
