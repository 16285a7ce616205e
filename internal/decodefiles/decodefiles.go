// Package decodefiles writes what training and scoring see of picture files as PNG files, so that it can be
// looked at and compared with what other programs read.
package decodefiles

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"github.com/godcpt/godcpt/datasets"
	"github.com/godcpt/godcpt/datasets/imageio"
	"github.com/godcpt/godcpt/internal/parallel"
	"github.com/godcpt/godcpt/internal/paths"
)

// Options of Files. The zero value replaces no file and reports nothing.
type Options struct {
	Overwrite bool
	// Progress, if not nil, is told, after each picture of a folder, how many are done, and why this one cannot be
	// decoded if it cannot; the error names it. It is called by one goroutine at a time.
	Progress func(done, total int, failed error)
}

// Summary counts pictures.
type Summary struct{ Written, Failed int }

// job is one picture.
type job struct{ input, output string }

// Files decodes the picture file `in`, or all pictures of the folder `in`, to 8-bit RGB PNG files: the pixels
// that datasets.Images hands to training and scoring (imageio.Image.Bytes). out is a file whose name ends in
// .png, or a folder that exists; for a folder in, it is a folder, made if need be, that does not lie in `in`.
// Pictures of a folder keep their path in it and get the extension .png.
//
// Nothing is done, and the error says why, if an output exists (unless Overwrite) or two pictures would become
// one file. Of a folder, pictures that cannot be decoded are counted and the others are written; of a file, that
// is the error. As many pictures are decoded at a time as there are processors. The end of ctx, and an error of
// writing, end the work after the pictures at hand.
func Files(ctx context.Context, in, out string, o Options) (Summary, error) {
	info, err := os.Stat(in)
	if err != nil {
		return Summary{}, fmt.Errorf("cannot open what is to be decoded: %w", err)
	}
	plan := planFile
	if info.IsDir() {
		plan = planFolder
	}
	jobs, err := plan(in, out)
	if err != nil {
		return Summary{}, err
	}
	if err := checkOutputs(jobs, o.Overwrite); err != nil {
		return Summary{}, err
	}
	if !info.IsDir() {
		if err := jobs[0].run(); err != nil {
			return Summary{}, err
		}
		return Summary{Written: 1}, nil
	}
	return runAll(ctx, jobs, o)
}

// runAll decodes the pictures of a folder.
func runAll(ctx context.Context, jobs []job, o Options) (Summary, error) {
	var done Summary
	var mu sync.Mutex // of it, and of the calls of o
	err := parallel.Each(ctx, len(jobs), runtime.GOMAXPROCS(0), func(i int) error {
		err := jobs[i].run()
		if err != nil && !errors.As(err, new(unreadable)) {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			done.Written++
		} else {
			done.Failed++
		}
		if o.Progress != nil {
			o.Progress(done.Written+done.Failed, len(jobs), err)
		}
		return nil
	})
	return done, err
}

// unreadable marks errors of reading a picture: it is damaged, a link to nothing, or belongs to somebody else.
type unreadable struct{ error }

func (e unreadable) Unwrap() error { return e.error }

// run decodes one picture.
func (j job) run() error {
	w, h, pix, err := imageio.ReadBytes(j.input)
	if err != nil {
		return unreadable{err}
	}
	seen := imageio.New(w, h)
	for i, v := range pix {
		seen.Pix[i] = float32(v) / 255
	}
	if err := os.MkdirAll(filepath.Dir(j.output), 0o755); err != nil {
		return fmt.Errorf("cannot make the output folder: %w", err)
	}
	return imageio.Write(j.output, seen)
}

const extension = ".png"

// pngName returns the name of a picture's PNG file.
func pngName(name string) string { return strings.TrimSuffix(name, filepath.Ext(name)) + extension }

func planFile(in, out string) ([]job, error) {
	if isDir(out) {
		out = filepath.Join(out, pngName(filepath.Base(in)))
	}
	if !strings.EqualFold(filepath.Ext(out), extension) {
		return nil, fmt.Errorf("cannot write %s: give a name that ends in %s, which keeps every pixel, or a folder that exists", out, extension)
	}
	return []job{{in, out}}, nil
}

func planFolder(in, out string) ([]job, error) {
	if info, err := os.Stat(out); err == nil && !info.IsDir() {
		return nil, fmt.Errorf("%s is a file, but the pictures of %s need a folder", out, in)
	}
	if paths.Inside(out, in) {
		return nil, fmt.Errorf("%s lies in %s: choose a folder outside, so that pictures and what is made of them stay apart", out, in)
	}
	pictures, err := datasets.FromDir(in)
	if err != nil {
		return nil, err
	}
	jobs := make([]job, pictures.Len())
	for i := range jobs {
		path := pictures.Name(i)
		name, err := filepath.Rel(in, path)
		if err != nil {
			return nil, err
		}
		jobs[i] = job{path, filepath.Join(out, pngName(name))}
	}
	return jobs, nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// checkOutputs returns an error if an output exists and may not be replaced, or if two jobs have the same.
func checkOutputs(jobs []job, overwrite bool) error {
	origin := map[string]string{}
	for _, j := range jobs {
		if other, taken := origin[j.output]; taken {
			return fmt.Errorf("%s and %s would both become %s: decode them one by one, under names of their own", other, j.input, j.output)
		}
		origin[j.output] = j.input
		if info, err := os.Lstat(j.output); err == nil && !overwrite {
			return fmt.Errorf("%s exists already: choose another output, or replace it with --overwrite", j.output)
		} else if err == nil && info.IsDir() {
			return fmt.Errorf("%s is a folder, but would become a picture", j.output)
		}
		if same(j.input, j.output) {
			return fmt.Errorf("%s is the picture itself, which would lose what only it holds (bit depth, transparency, EXIF): choose another output", j.output)
		}
	}
	return nil
}

func same(a, b string) bool {
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}
