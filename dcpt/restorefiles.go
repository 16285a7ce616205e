package dcpt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/godcpt/godcpt/datasets/imageio"
	"github.com/godcpt/godcpt/internal/memory"
)

// RestoreOptions configure RestoreFiles. The zero value replaces no file and reports nothing.
type RestoreOptions struct {
	Overwrite bool                  // replace files that exist, the originals too if the output is where they are
	Progress  func(RestoreProgress) // told of each file when it is done; nil: nobody
}

// RestoreProgress tells about a file that is done.
type RestoreProgress struct {
	Done, Total   int // files
	Input, Output string
	Err           error // nil: Output holds the restored picture
}

// RestoreSummary is the result of RestoreFiles.
type RestoreSummary struct {
	Restored int
	Failed   []RestoreFailure
}

// RestoreFailure is a file that could not be restored. Err names it.
type RestoreFailure struct {
	Input string
	Err   error
}

// restoreJob is one picture to restore.
type restoreJob struct{ input, output string }

// RestoreFiles restores picture files, and folders of them with what is below. Inputs are never
// changed unless they are the output and may be replaced; a file appears whole or not at all.
//
// out is a folder, which is made if need be; a picture of a folder keeps its path within it. For a
// single input file, out may also be a file: it is one if it has an extension, is no existing folder
// and does not end in a slash. A picture keeps its format where it can be written (PNG, JPEG, TIFF)
// and becomes a PNG otherwise.
//
// Nothing is done, and the error says why, if an output exists and may not be replaced, or if out
// cannot be written. A file that fails later (damaged, or too large for the memory) is listed in the
// summary, and the others are restored. ErrInterrupted means that ctx was cancelled between two files.
func RestoreFiles(ctx context.Context, m *Model, inputs []string, out string, opts RestoreOptions) (RestoreSummary, error) {
	var summary RestoreSummary
	jobs, err := planRestore(inputs, out)
	if err != nil {
		return summary, err
	}
	if !opts.Overwrite {
		if err := checkOutputsFree(jobs); err != nil {
			return summary, err
		}
	}
	if err := checkWritable(filepath.Dir(jobs[0].output)); err != nil {
		return summary, err
	}
	origin := map[string]string{} // of each output
	for i, job := range jobs {
		if ctx.Err() != nil {
			return summary, ErrInterrupted
		}
		err := error(nil)
		if other, taken := origin[job.output]; taken {
			err = fmt.Errorf("%s would become %s, as %s does: restore the two into separate folders", job.input, job.output, other)
		} else {
			origin[job.output] = job.input
			err = m.restoreFile(job)
		}
		if err != nil {
			summary.Failed = append(summary.Failed, RestoreFailure{job.input, err})
		} else {
			summary.Restored++
		}
		if opts.Progress != nil {
			opts.Progress(RestoreProgress{Done: i + 1, Total: len(jobs), Input: job.input, Output: job.output, Err: err})
		}
	}
	return summary, nil
}

// CountRestoreFiles returns how many pictures RestoreFiles would restore, or why it would not begin.
func CountRestoreFiles(inputs []string, out string) (int, error) {
	jobs, err := planRestore(inputs, out)
	return len(jobs), err
}

// restoreFile restores one picture.
func (m *Model) restoreFile(job restoreJob) error {
	if err := m.checkMemory(job.input); err != nil {
		return err
	}
	im, err := imageio.Read(job.input)
	if err != nil {
		return err
	}
	restored, err := m.Restore(im)
	if err != nil {
		return fmt.Errorf("%s: %w", job.input, err)
	}
	if err := os.MkdirAll(filepath.Dir(job.output), 0o755); err != nil {
		return fmt.Errorf("cannot make the output folder: %w", err)
	}
	return imageio.Write(job.output, restored)
}

// What restoring takes per pixel, in bytes. At the highest resolution a network holds some
// activations at a time, each of the width of its features: NAFNet under XLA takes 6.2 (width 64) to
// 6.6 (width 16) times its width, from peaks at 512x512 and 1024x1024.
const (
	activationsAtATime = 8
	imageBytesPerPixel = 100 // decoded, padded, restored and encoded picture
)

// availableMemory is replaced by tests.
var availableMemory = memory.Available

// checkMemory refuses a picture that would exhaust the memory, which would end the whole program.
func (m *Model) checkMemory(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("cannot open picture: %w", err)
	}
	defer f.Close()
	w, h, err := imageio.Size(f, path)
	if err != nil {
		return err
	}
	features := m.Network.Features()
	if len(features) == 0 {
		return nil // no width to reckon with
	}
	channels := features[0].Channels // at the highest resolution
	needed := int64(w) * int64(h) * int64(4*activationsAtATime*channels+imageBytesPerPixel)
	if available, ok := availableMemory(); ok && needed > available {
		return fmt.Errorf("%s: restoring %dx%d pixels takes about %.1f GB of memory, and %.1f GB are available: scale it down or cut it into parts",
			path, w, h, float64(needed)/1e9, float64(available)/1e9)
	}
	return nil
}

// planRestore lists what is to be done, in order, at least one picture.
func planRestore(inputs []string, out string) ([]restoreJob, error) {
	if len(inputs) == 0 {
		return nil, errors.New("no pictures to restore are named")
	}
	if out == "" {
		return nil, errors.New("no output is named: give a folder, or a file for a single picture")
	}
	if len(inputs) == 1 && !isDir(inputs[0]) && isFileName(out) {
		if !writable(out) {
			return nil, fmt.Errorf("cannot write %s: possible are %s (to name a folder, end it with %c)", out, strings.Join(writableExtensions, ", "), filepath.Separator)
		}
		return []restoreJob{{inputs[0], filepath.Clean(out)}}, nil
	}
	if info, err := os.Stat(out); err == nil && !info.IsDir() {
		return nil, fmt.Errorf("%s is a file, but several pictures need a folder", out)
	}
	var jobs []restoreJob
	for _, input := range inputs {
		if !isDir(input) {
			jobs = append(jobs, restoreJob{input, outputPath(out, filepath.Base(input))})
			continue
		}
		found, err := findPictures(input, out)
		if err != nil {
			return nil, err
		}
		for _, name := range found {
			jobs = append(jobs, restoreJob{filepath.Join(input, name), outputPath(out, name)})
		}
	}
	return jobs, nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// isFileName reports whether an output that is named is a file rather than a folder.
func isFileName(out string) bool {
	return filepath.Ext(out) != "" && !os.IsPathSeparator(out[len(out)-1]) && !isDir(out)
}

// writableExtensions are the formats that imageio.Write knows.
var writableExtensions = []string{".png", ".jpg", ".jpeg", ".tif", ".tiff"}

func writable(path string) bool {
	return slices.Contains(writableExtensions, strings.ToLower(filepath.Ext(path)))
}

// outputPath returns where the restored picture of a name goes.
func outputPath(out, name string) string {
	if !writable(name) {
		name = strings.TrimSuffix(name, filepath.Ext(name)) + ".png"
	}
	return filepath.Join(out, name)
}

// findPictures lists the pictures in a folder and below, relative to it, sorted. Hidden files and
// folders are left out, and so is the output folder where it lies within.
func findPictures(dir, out string) ([]string, error) {
	var names []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != dir && (strings.HasPrefix(entry.Name(), ".") || sameFile(path, out)):
			return fs.SkipDir
		case entry.IsDir() || !imageio.IsImage(path):
			return nil
		}
		name, err := filepath.Rel(dir, path)
		names = append(names, name)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("cannot list the pictures in %s: %w", dir, err)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("no pictures in %s: put files with %s there", dir, strings.Join(imageio.Extensions(), ", "))
	}
	return names, nil
}

func sameFile(a, b string) bool {
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}

// checkOutputsFree returns an error if an output exists: it may be an original.
func checkOutputsFree(jobs []restoreJob) error {
	var taken []restoreJob
	for _, job := range jobs {
		if _, err := os.Lstat(job.output); err == nil {
			taken = append(taken, job)
		}
	}
	if len(taken) == 0 {
		return nil
	}
	first, more := taken[0], ""
	if len(taken) > 1 {
		more = fmt.Sprintf(" (and %d more)", len(taken)-1)
	}
	if sameFile(first.input, first.output) {
		return fmt.Errorf("%s%s is the original itself: choose another output, or replace it with --overwrite (RestoreOptions.Overwrite)", first.output, more)
	}
	return fmt.Errorf("%s%s exists already: choose another output, or replace it with --overwrite (RestoreOptions.Overwrite)", first.output, more)
}

// checkWritable makes the folder and a file in it, to fail before the work and not after it.
func checkWritable(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("cannot make the output folder: %w", err)
	}
	f, err := os.CreateTemp(dir, ".godcpt-*")
	if err != nil {
		return fmt.Errorf("cannot write into the output folder: %w", err)
	}
	f.Close()
	return os.Remove(f.Name())
}
