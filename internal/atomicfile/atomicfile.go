// Package atomicfile writes files so that a reader sees either the old content or the whole new
// one, also after a crash or a full disk.
package atomicfile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// temporary ends the pattern of temporary names: a dot, the name of the file to be, this.
const temporary = ".tmp-*"

// Write creates path with what write produces: into a temporary file in the same folder, synced,
// then renamed over path. On any error path keeps its old content and the temporary file is removed.
func Write(path string, perm os.FileMode, write func(io.Writer) error) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+temporary)
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
			err = fmt.Errorf("cannot write %s: %w", path, err)
		}
	}()
	buffered := bufio.NewWriterSize(f, 1<<20)
	if err := write(buffered); err != nil {
		return err
	}
	if err := buffered.Flush(); err != nil {
		return err
	}
	if err := f.Chmod(perm); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return SyncDir(dir)
}

// WriteBytes is Write for content that is already in memory; the file is readable by all.
func WriteBytes(path string, data []byte) error {
	return Write(path, 0o644, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// RemoveLeftovers removes the temporary files in dir that killed processes left. No process may be
// writing there. A folder that does not exist is fine.
func RemoveLeftovers(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot look for unfinished files: %w", err)
	}
	for _, e := range entries {
		if unfinished, _ := path.Match(".*"+temporary, e.Name()); !unfinished { // the pattern is valid
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			return fmt.Errorf("cannot remove an unfinished file: %w", err)
		}
	}
	return nil
}

// SyncDir makes renames inside dir durable. File systems that cannot sync a folder are tolerated.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	_ = d.Sync()
	return nil
}
