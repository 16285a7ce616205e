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

	"github.com/godcpt/godcpt/datasets"
	"github.com/godcpt/godcpt/datasets/imageio"
	"github.com/godcpt/godcpt/internal/atomicfile"
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
	if entries, err := os.ReadDir(cfg.Out); err == nil && len(entries) > 0 {
		return nil, fmt.Errorf("%s is not empty: name a new folder", cfg.Out)
	} else if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("cannot write shards: %w", err)
	}
	samples, err := listSamples(cfg)
	if err != nil {
		return nil, err
	}
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
	if err := write(ctx, cfg.Out, groups, result); err != nil {
		return nil, err
	}
	return result, nil
}

// listSamples lists what is to be packed, in the order of the files.
func listSamples(cfg PackConfig) ([]sample, error) {
	var pairs []datasets.PairFiles
	if cfg.GT != "" {
		var err error
		if pairs, err = datasets.ListPairs(cfg.Images, cfg.GT, cfg.Rule); err != nil {
			return nil, err
		}
	} else {
		images, err := datasets.FromDir(cfg.Images)
		if err != nil {
			return nil, err
		}
		for i := range images.Len() {
			pairs = append(pairs, datasets.PairFiles{LQ: images.Name(i)})
		}
	}
	taken := make(map[string]bool, len(pairs))
	samples := make([]sample, len(pairs))
	for i, p := range pairs {
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

func extension(path string) string { return strings.ToLower(filepath.Ext(path)) }

// newKey returns the key of a file: its path in its folder without extension, with "_" for the dots
// of the base name, since a key ends at the first, and a number where that is taken.
func newKey(root, file string, taken map[string]bool) (string, error) {
	for strings.ContainsAny(root, "*?[") { // a pattern of folders
		root = filepath.Dir(root)
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
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	found := make([]error, len(samples)) // damage
	var mu sync.Mutex
	var workers sync.WaitGroup
	next, done := 0, 0
	work := func() {
		for {
			mu.Lock()
			i := next
			next++
			mu.Unlock()
			if i >= len(samples) || ctx.Err() != nil {
				return
			}
			err := samples[i].decode()
			if err != nil && !errors.As(err, new(*imageio.DamagedError)) && !errors.Is(err, errSizes) {
				stop(err)
				return
			}
			mu.Lock()
			found[i] = err
			done++
			if progress != nil {
				progress(done, len(samples))
			}
			mu.Unlock()
		}
	}
	for range runtime.GOMAXPROCS(0) {
		workers.Go(work)
	}
	workers.Wait()
	if ctx.Err() != nil {
		return nil, nil, context.Cause(ctx)
	}
	for i, err := range found {
		if err != nil {
			bad = append(bad, err)
			continue
		}
		good = append(good, samples[i])
	}
	if float64(len(bad)) > maxBroken*float64(len(samples)) {
		var texts []string
		for _, err := range bad[:min(len(bad), 5)] {
			texts = append(texts, err.Error())
		}
		return nil, nil, fmt.Errorf("%d of %d samples cannot be used, more than %g %%: %s", len(bad), len(samples), maxBroken*100, strings.Join(texts, "; "))
	}
	return good, bad, nil
}

// errSizes is wrapped by the error of a pair whose pictures differ in size.
var errSizes = errors.New("pairs must be equal in size")

// decode reads the pictures of a sample.
func (s sample) decode() error {
	var w, h int // of the first
	for i, f := range s.files {
		fw, fh, _, err := imageio.ReadBytes(f.path)
		if err != nil {
			return err
		}
		if i > 0 && (fw != w || fh != h) {
			return fmt.Errorf("%s has %dx%d pixels, %s has %dx%d: %w", s.files[0].path, w, h, f.path, fw, fh, errSizes)
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

// write makes the folder of shards: under a temporary name until it is whole.
func write(ctx context.Context, out string, groups [][]sample, result *Packed) error {
	parent := filepath.Dir(filepath.Clean(out))
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return fmt.Errorf("cannot write shards: %w", err)
	}
	absolute, err := filepath.Abs(out) // "." has a name, too
	if err != nil {
		return err
	}
	name := filepath.Base(absolute)
	dir, err := os.MkdirTemp(parent, "."+name+".tmp-*")
	if err != nil {
		return fmt.Errorf("cannot write shards: %w", err)
	}
	defer os.RemoveAll(dir)
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
	if err := os.Chmod(dir, 0o755); err != nil {
		return fmt.Errorf("cannot write shards: %w", err)
	}
	if err := os.Remove(out); err != nil && !errors.Is(err, os.ErrNotExist) { // an empty folder
		return fmt.Errorf("cannot write shards: %w", err)
	}
	if err := os.Rename(dir, out); err != nil {
		return fmt.Errorf("cannot write shards: %w", err)
	}
	return atomicfile.SyncDir(parent)
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
	if n, err := io.Copy(archive, r); err != nil || n != f.header.Size {
		return fmt.Errorf("%s has changed while it was packed (%d of %d bytes; %w)", f.path, n, f.header.Size, cmp.Or(err, io.ErrUnexpectedEOF))
	}
	return nil
}
