// Package shards packs pictures into tar files, and reads such files as if they were folders.
//
// A set of shards is a few large files instead of very many small ones: quick to copy, and read in
// sequence. Members are named as WebDataset does: those of one sample follow each other and share
// their path up to the first dot of the base name, the key. Clean photos are KEY.jpg (or whatever
// format they have), pairs KEY.lq.png and KEY.gt.png. So PyTorch programs read what Pack writes, and
// what webdataset.ShardWriter writes is read here.
//
// Nothing is ever unpacked: a member is read where it lies.
package shards

import (
	"archive/tar"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Extension ends the name of every shard.
const Extension = ".tar"

const (
	// DefaultMaxDamaged is the share of the shards of a set that may be damaged.
	DefaultMaxDamaged = 0.05
	// DefaultStreamBytes is the memory for shards that can only be read from their beginning.
	DefaultStreamBytes = 1 << 30
	// maxMember is the largest member that is listed: more than any picture within imageio.MaxPixels.
	maxMember = 4 << 30
	// together is how many shards are shuffled as one: see FS.Together.
	together = 4
)

// Config configures Open. The zero value is the default.
type Config struct {
	// MaxDamaged is the share of the shards, 0 to 1, that may be cut off or corrupt: of those, the
	// samples before the damage are used. 0: DefaultMaxDamaged; negative: none.
	MaxDamaged float64
	// StreamBytes is how much memory may hold whole shards, for file systems whose files are no
	// io.ReaderAt; one shard is held even if it is larger. 0: DefaultStreamBytes.
	StreamBytes int64
}

// FS is a set of shards as a file system, safe for concurrent use: each shard is a folder that is
// named as its file, with its members below. Files can be read at any offset.
type FS struct {
	fsys    fs.FS
	place   string // of fsys, for people to read; may be empty
	shards  []shard
	root    *entry
	entries map[string]*entry // by path
	streams streams
	report  Report
}

// shard is one tar file.
type shard struct {
	name   string // in FS.fsys
	size   int64
	random bool // it can be read at any offset
}

// Report says what indexing has found.
type Report struct {
	Shards, Files int
	Damaged       []string // what is wrong with a shard, for each that was read in part
	Refused       []string // why a member is not listed, for each
}

// OpenFiles opens the shards that a pattern of filepath.Match names, such as photos/train-*.tar, or
// all in a folder. Only the last element of the path may hold wildcards.
func OpenFiles(pattern string, cfg Config) (*FS, error) {
	dir, glob := filepath.Split(pattern)
	if info, err := os.Stat(pattern); err == nil && info.IsDir() {
		dir, glob = pattern, "*"+Extension
	}
	dir = filepath.Clean(dir)
	if _, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("cannot read the folder of shards: %w", err)
	}
	f, err := open(os.DirFS(dir), dir, glob, cfg)
	if err != nil {
		return nil, fmt.Errorf("shards %s: %w", pattern, err)
	}
	return f, nil
}

// Open opens the shards in a file system that match a pattern of fs.Glob. All headers are read once;
// contents are passed over where files can seek (io.ReaderAt). Shards that can only be read from the
// beginning are kept in memory as a whole while they are in use: see Config.StreamBytes.
//
// A shard that is cut off or corrupt is used up to the sample where it breaks off, and noted in the
// Report. If there are too many of them, that is an error which names them. Members that are no
// regular files, or have names or sizes that no picture of a data set has, are not listed.
func Open(fsys fs.FS, glob string, cfg Config) (*FS, error) { return open(fsys, "", glob, cfg) }

func open(fsys fs.FS, place, glob string, cfg Config) (*FS, error) {
	names, err := fs.Glob(fsys, glob)
	if err != nil {
		return nil, fmt.Errorf("pattern %q: %w", glob, err)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("there is no file %s: name a folder of %s files, or a pattern such as photos-*%s", glob, Extension, Extension)
	}
	root := &entry{name: ".", dir: true}
	f := &FS{
		fsys: fsys, place: place, root: root, entries: map[string]*entry{".": root},
		streams: streams{limit: cmp.Or(cfg.StreamBytes, DefaultStreamBytes)},
	}
	for i, name := range names {
		f.shards = append(f.shards, shard{name: name})
		if err := f.index(i); err != nil {
			return nil, fmt.Errorf("cannot read shard %s: %w", name, err)
		}
	}
	f.report.Shards = len(names)
	if n := len(f.report.Refused); n > 0 && f.report.Files == 0 && len(f.report.Damaged) == 0 {
		return nil, fmt.Errorf("none of the %d members can be used: %s: pack the files anew, with paths below a folder (godcpt data pack)", n, f.report.Refused[0])
	}
	for _, e := range f.entries {
		slices.SortFunc(e.children, func(a, b *entry) int { return strings.Compare(a.name, b.name) })
	}
	limit := cmp.Or(cfg.MaxDamaged, DefaultMaxDamaged)
	if n := len(f.report.Damaged); n > 0 && float64(n) > limit*float64(len(names)) {
		return nil, fmt.Errorf("%d of %d shards are damaged, more than the limit of %g %%: %s: copy or download them again",
			n, len(names), max(limit, 0)*100, strings.Join(f.report.Damaged[:min(n, 5)], "; "))
	}
	return f, nil
}

// Report says what was found when the shards were opened.
func (f *FS) Report() Report { return f.report }

// Losses returns what people should know of the Report: a line for each damaged shard, and one for all
// members that were refused.
func (f *FS) Losses() []string {
	lines := slices.Clone(f.report.Damaged)
	if n := len(f.report.Refused); n > 0 {
		lines = append(lines, fmt.Sprintf("%d members are not used, among them %s", n, f.report.Refused[0]))
	}
	return lines
}

// String returns the folder of the shards; empty for shards of a file system that is not a folder.
func (f *FS) String() string { return f.place }

// Shard returns the number of the shard, from 0, in which a file lies that is there.
func (f *FS) Shard(name string) int { return f.entries[name].shard }

// Together is how many shards may be read at a time: as many as are shuffled as one. Where whole
// shards are held in memory, there is room for twice as many.
func (f *FS) Together() int {
	var largest int64
	for _, s := range f.shards {
		if !s.random {
			largest = max(largest, s.size)
		}
	}
	if largest == 0 {
		return together
	}
	return int(min(max(f.streams.limit/(2*largest), 1), together))
}

// index lists the members of shard number i. Errors are of the machine; what is wrong with the shard
// goes into the report.
func (f *FS) index(i int) error {
	s := &f.shards[i]
	file, err := f.fsys.Open(s.name)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("it is not a file")
	}
	s.size = info.Size()
	f.add(s.name, &entry{dir: true, shard: i})

	x := indexer{fs: f, shard: i}
	if at, ok := file.(io.ReaderAt); ok {
		s.random = true
		section := io.NewSectionReader(at, 0, s.size)
		return x.run(section, func() int64 {
			n, _ := section.Seek(0, io.SeekCurrent) // never fails there
			return n
		})
	}
	r := &counter{r: file}
	if err := x.run(r, func() int64 { return r.n }); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, r)
	s.size = r.n // a Stat of such a file need not tell
	return err
}

// counter counts what is read.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// indexer lists the members of one shard. Those of the latest sample wait until the next one begins,
// because a sample that is cut off in the middle is not used.
type indexer struct {
	fs      *FS
	shard   int
	key     string // of the sample that waits
	waiting []member
	files   int
}

type member struct {
	name         string // path in the shard
	offset, size int64
}

func (x *indexer) run(r io.Reader, position func() int64) error {
	archive := tar.NewReader(r)
	var end int64 // of the latest header, or of the content after it
	for {
		header, err := archive.Next()
		switch {
		case err == io.EOF:
			if at := position(); at <= end { // without the zeros that end an archive
				x.damaged(at, errors.New("the end of the archive is missing"))
				return nil
			}
			x.flush()
			return nil
		case err != nil && !errors.Is(err, tar.ErrInsecurePath):
			if !isDamage(err) {
				return err
			}
			x.damaged(position(), err)
			return nil
		}
		at := position()
		end = at + (header.Size+511)/512*512
		x.member(header, at)
	}
}

// isDamage tells errors of a shard's content from those of the machine.
func isDamage(err error) bool {
	return errors.Is(err, tar.ErrHeader) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, tar.ErrFieldTooLong)
}

// damaged notes that the shard cannot be read beyond an offset. The sample before it is given up:
// whether all of it was there is not known.
func (x *indexer) damaged(offset int64, err error) {
	s := x.fs.shards[x.shard]
	text := fmt.Sprintf("%s is cut off or corrupt at byte %d of %d, after %d files", s.name, offset, max(s.size, offset), x.files)
	if x.files == 0 {
		text = s.name + " is no tar file, or a compressed one, or its beginning is corrupt"
	}
	x.fs.report.Damaged = append(x.fs.report.Damaged, fmt.Sprintf("%s (%v)", text, err))
}

// member takes a member into the waiting sample, or refuses it.
func (x *indexer) member(header *tar.Header, offset int64) {
	if header.Typeflag == tar.TypeDir || header.Typeflag == tar.TypeXGlobalHeader {
		return
	}
	name := path.Clean(header.Name)
	if reason := refuse(header, name); reason != "" {
		x.refused(header.Name, reason)
		return
	}
	if key := Key(name); key != x.key {
		x.flush()
		x.key = key
	}
	x.waiting = append(x.waiting, member{name, offset, header.Size})
}

// refuse says why a member cannot be listed.
func refuse(h *tar.Header, name string) string {
	switch {
	case h.Typeflag != tar.TypeReg:
		return "is no regular file but a link or device"
	case !fs.ValidPath(name) || name == "." || path.IsAbs(h.Name) || slices.Contains(strings.Split(h.Name, "/"), ".."):
		return "has a name that leads out of the archive"
	case h.Size > maxMember:
		return fmt.Sprintf("has %d bytes, more than a picture can have", h.Size)
	}
	for record := range h.PAXRecords {
		if strings.HasPrefix(record, "GNU.sparse.") {
			return "is a sparse file, whose content is not stored as it is"
		}
	}
	return ""
}

func (x *indexer) refused(name, reason string) {
	x.fs.report.Refused = append(x.fs.report.Refused, fmt.Sprintf("%s/%q %s", x.fs.shards[x.shard].name, name, reason))
}

// flush lists the files of the sample that waits.
func (x *indexer) flush() {
	for _, m := range x.waiting {
		full := x.fs.shards[x.shard].name + "/" + m.name
		if !x.fs.add(full, &entry{shard: x.shard, offset: m.offset, size: m.size}) {
			x.refused(m.name, "is there twice")
			continue
		}
		x.files++
		x.fs.report.Files++
	}
	x.waiting = x.waiting[:0]
}

// Key returns what the members of one sample share: the path up to the first dot of the base name.
func Key(name string) string {
	dir, base := path.Split(name)
	key, _, _ := strings.Cut(base, ".")
	return dir + key
}
