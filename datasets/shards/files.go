package shards

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"sync"
	"time"
)

// entry is a file or folder. It implements fs.FileInfo and fs.DirEntry.
type entry struct {
	name         string // base name
	dir          bool
	children     []*entry // of a folder, sorted by name
	shard        int      // in which it lies
	offset, size int64    // of the content of a file in its shard
}

func (e *entry) Name() string               { return e.name }
func (e *entry) Size() int64                { return e.size }
func (e *entry) IsDir() bool                { return e.dir }
func (e *entry) ModTime() time.Time         { return time.Time{} }
func (e *entry) Sys() any                   { return nil }
func (e *entry) Type() fs.FileMode          { return e.Mode().Type() }
func (e *entry) Info() (fs.FileInfo, error) { return e, nil }
func (e *entry) String() string             { return fs.FormatDirEntry(e) }

func (e *entry) Mode() fs.FileMode {
	if e.dir {
		return fs.ModeDir | 0o555
	}
	return 0o444
}

// add puts an entry at a path, with the folders above it, and reports whether there was room for it:
// no other entry, and no file where a folder is needed.
func (f *FS) add(name string, e *entry) bool {
	if f.entries[name] != nil {
		return false
	}
	parent := f.entries[path.Dir(name)]
	if parent == nil {
		parent = &entry{dir: true, shard: e.shard}
		if !f.add(path.Dir(name), parent) {
			return false
		}
	}
	if !parent.dir {
		return false
	}
	e.name = path.Base(name)
	parent.children = append(parent.children, e)
	f.entries[name] = e
	return true
}

// Open implements fs.FS. Files are io.ReaderAt and io.Seeker as well.
func (f *FS) Open(name string) (fs.File, error) {
	fail := func(err error) (fs.File, error) { return nil, &fs.PathError{Op: "open", Path: name, Err: err} }
	if !fs.ValidPath(name) {
		return fail(fs.ErrInvalid)
	}
	e := f.entries[name]
	switch {
	case e == nil:
		return fail(fs.ErrNotExist)
	case e.dir:
		return &folder{entry: e, path: name}, nil
	}
	content, closer, err := f.content(e.shard)
	if err != nil {
		return fail(err)
	}
	return &file{io.NewSectionReader(content, e.offset, e.size), e, closer}, nil
}

// content opens a shard for reading at any offset.
func (f *FS) content(i int) (io.ReaderAt, io.Closer, error) {
	s := f.shards[i]
	if !s.random {
		r, err := f.streams.get(i, s.size, func() (io.ReadCloser, error) { return f.fsys.Open(s.name) })
		return r, io.NopCloser(nil), err
	}
	opened, err := f.fsys.Open(s.name)
	if err != nil {
		return nil, nil, err
	}
	at, ok := opened.(io.ReaderAt)
	if !ok {
		opened.Close()
		return nil, nil, fmt.Errorf("%s cannot be read at an offset any more", s.name)
	}
	return at, opened, nil
}

// file is an open member.
type file struct {
	*io.SectionReader
	entry  *entry
	closer io.Closer
}

func (f *file) Stat() (fs.FileInfo, error) { return f.entry, nil }
func (f *file) Close() error               { return f.closer.Close() }

// folder is an open folder.
type folder struct {
	entry *entry
	path  string
	at    int // number of the next child
}

func (d *folder) Stat() (fs.FileInfo, error) { return d.entry, nil }
func (d *folder) Close() error               { return nil }
func (d *folder) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.path, Err: fs.ErrInvalid}
}

// ReadDir implements fs.ReadDirFile.
func (d *folder) ReadDir(n int) ([]fs.DirEntry, error) {
	rest := d.entry.children[d.at:]
	if n > 0 {
		if len(rest) == 0 {
			return nil, io.EOF
		}
		rest = rest[:min(n, len(rest))]
	}
	d.at += len(rest)
	list := make([]fs.DirEntry, len(rest))
	for i, e := range rest {
		list[i] = e
	}
	return list, nil
}

// streams holds the shards that can only be read from their beginning, the latest used ones.
type streams struct {
	limit int64 // bytes
	mu    sync.Mutex
	held  []*held // latest used last
}

// held is a shard in memory, or on its way there.
type held struct {
	shard int
	size  int64
	load  func() error
	data  []byte
}

// get returns shard number i, reading it if it is not held. Goroutines that ask at the same time wait
// for one reading.
func (s *streams) get(i int, size int64, open func() (io.ReadCloser, error)) (io.ReaderAt, error) {
	h := s.take(i, size, open)
	if err := h.load(); err != nil {
		s.drop(h) // the next one tries again
		return nil, err
	}
	return bytes.NewReader(h.data), nil
}

// take returns the entry of a shard, making room for it if it is new.
func (s *streams) take(i int, size int64, open func() (io.ReadCloser, error)) *held {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at := slices.IndexFunc(s.held, func(h *held) bool { return h.shard == i }); at >= 0 {
		h := s.held[at]
		s.held = append(slices.Delete(s.held, at, at+1), h)
		return h
	}
	h := &held{shard: i, size: size}
	h.load = sync.OnceValue(func() error { return h.read(open) })
	used := size
	for _, other := range s.held {
		used += other.size
	}
	for len(s.held) > 0 && used > s.limit {
		used -= s.held[0].size
		s.held = slices.Delete(s.held, 0, 1)
	}
	s.held = append(s.held, h)
	return h
}

func (h *held) read(open func() (io.ReadCloser, error)) error {
	r, err := open()
	if err != nil {
		return err
	}
	defer r.Close()
	data := make([]byte, h.size)
	if _, err := io.ReadFull(r, data); err != nil {
		return fmt.Errorf("the shard has changed since it was opened: %w", err)
	}
	h.data = data
	return nil
}

func (s *streams) drop(h *held) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at := slices.Index(s.held, h); at >= 0 {
		s.held = slices.Delete(s.held, at, at+1)
	}
}
