// Package linefile appends lines to text files that outlive the process: logs of a run that is
// killed and resumed.
package linefile

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"

	"github.com/godcpt/godcpt/internal/atomicfile"
)

// File appends whole lines to a file. Its methods may be called from several goroutines.
type File struct {
	mu      sync.Mutex
	path    string
	file    *os.File
	size    int64 // of the file, all of it whole lines
	every   int
	pending bytes.Buffer
	lines   int // in pending
}

// Open opens path for appending, creating it if needed. Lines are handed to the operating system
// every so many lines, and by [File.Flush].
//
// Of a file that exists it keeps the lines for which keep returns true; i counts lines from 0. The
// beginning of a line that a kill left unfinished is dropped without asking. What is dropped is
// dropped atomically: the file has either all its old lines or all the kept ones.
func Open(path string, every int, keep func(i int, line string) (bool, error)) (*File, error) {
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot go on with the log: %w", err)
	}
	var kept bytes.Buffer
	for i, line := range Split(old) {
		ok, err := keep(i, line)
		if err != nil {
			return nil, fmt.Errorf("cannot go on with %s, line %d: %w", path, i+1, err)
		}
		if ok {
			kept.WriteString(line + "\n")
		}
	}
	if !bytes.Equal(kept.Bytes(), old) {
		if err := atomicfile.WriteBytes(path, kept.Bytes()); err != nil {
			return nil, err
		}
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("cannot open the log: %w", err)
	}
	return &File{path: path, file: f, size: int64(kept.Len()), every: every}, nil
}

// Split returns the whole lines of data, without their line breaks.
func Split(data []byte) []string {
	end := bytes.LastIndexByte(data, '\n')
	if end < 0 {
		return nil
	}
	return strings.Split(string(data[:end]), "\n")
}

// Append adds a line, given without its line break.
func (f *File) Append(line string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pending.WriteString(line + "\n")
	f.lines++
	if f.lines < f.every {
		return nil
	}
	return f.flush()
}

// Flush hands all lines to the operating system, from where a kill of the process cannot take them.
func (f *File) Flush() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.flush()
}

func (f *File) flush() error {
	if f.pending.Len() == 0 {
		return nil
	}
	n, err := f.file.Write(f.pending.Bytes())
	if err != nil {
		// A full disk takes part of a line: without it the file stays readable, and the lines
		// are still here for another try.
		if n > 0 {
			err = errors.Join(err, f.file.Truncate(f.size))
		}
		return fmt.Errorf("cannot write to %s: %w", f.path, err)
	}
	f.size += int64(n)
	f.pending.Reset()
	f.lines = 0
	return nil
}

// Close flushes and closes the file.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return errors.Join(f.flush(), f.file.Close())
}
