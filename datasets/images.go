package datasets

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/godcpt/godcpt/datasets/imageio"
)

// Images is a list of picture files. Each is decoded when first needed and then kept in memory as
// 8-bit RGB, as the official code reads it (imageio.Image.Bytes: grey becomes three equal channels, alpha
// is dropped, of 16 bits the upper 8 are kept), until the Cache is full; further ones are decoded again
// each time. A damaged file (imageio.DamagedError) is not tried again.
type Images struct {
	fsys  fs.FS
	root  string   // folder in messages, "" for an FS
	names []string // slash-separated, relative, sorted
	fixed []bool   // which leading elements of the names a pattern of folders spells out: see key
	trim  int      // pixels that are cut at each side of every picture
	slots []slot
	cache *Cache
}

// slot guards one picture, so that two workers do not decode it twice.
type slot struct {
	mu      sync.Mutex
	pic     *picture
	damaged error // why there is no picture
}

// FromDir lists the pictures in a folder and its sub-folders, sorted by path. Hidden files and
// folders are left out. A folder without pictures is an error.
//
// If there is no such folder, the elements of its path may be patterns of path.Match: GoPro/test/*/blur
// means the folder blur of every sequence.
func FromDir(dir string) (*Images, error) {
	info, err := os.Stat(dir)
	if err != nil && isPattern(dir) {
		return fromPattern(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the folder of pictures: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%s is a file, but a folder of pictures is needed", dir)
	}
	return list(os.DirFS(dir), dir, nil)
}

// FromFS lists the pictures in a file system (such as sample.FS) that match one of the patterns of
// fs.Glob, or all of them, sub-folders included, if no pattern is given. In messages they have the place
// of a file system that is a fmt.Stringer (as shards.FS) before their names.
func FromFS(fsys fs.FS, glob ...string) (*Images, error) {
	root := ""
	if place, ok := fsys.(fmt.Stringer); ok {
		root = place.String()
	}
	return list(fsys, root, glob)
}

func list(fsys fs.FS, root string, glob []string) (*Images, error) {
	s := &Images{fsys: fsys, root: root, cache: NewCache(DefaultCacheBytes)}
	var err error
	if len(glob) == 0 {
		err = s.walk(".")
	} else {
		err = s.match(glob)
	}
	return s.listed(s.place(), err)
}

// listed ends the listing of the pictures in a place.
func (s *Images) listed(place string, err error) (*Images, error) {
	if err != nil {
		return nil, fmt.Errorf("cannot list the pictures in %s: %w", place, err)
	}
	if len(s.names) == 0 {
		return nil, fmt.Errorf("no pictures in %s: put files with %s there", place, strings.Join(imageio.Extensions(), ", "))
	}
	slices.Sort(s.names)
	s.setNames(slices.Compact(s.names))
	return s, nil
}

// setNames makes these the pictures, none of them decoded.
func (s *Images) setNames(names []string) { s.names, s.slots = names, make([]slot, len(names)) }

// walk adds the pictures in a folder and below.
func (s *Images) walk(dir string) error {
	return fs.WalkDir(s.fsys, dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && name != dir && strings.HasPrefix(entry.Name(), ".") {
			return fs.SkipDir
		}
		if !entry.IsDir() && imageio.IsImage(name) {
			s.names = append(s.names, name)
		}
		return nil
	})
}

func (s *Images) match(glob []string) error {
	for _, pattern := range glob {
		found, err := fs.Glob(s.fsys, pattern)
		if err != nil {
			return fmt.Errorf("pattern %q: %w", pattern, err)
		}
		for _, name := range found {
			if imageio.IsImage(name) {
				s.names = append(s.names, name)
			}
		}
	}
	return nil
}

// place names where the pictures come from.
func (s *Images) place() string {
	if s.root == "" {
		return "the given file system"
	}
	return s.root
}

// UseCache bounds the decoded pictures together with those of other Images, instead of by
// DefaultCacheBytes for this one. Call it before the first picture is read.
func (s *Images) UseCache(c *Cache) { s.cache = c }

// Len is the number of pictures.
func (s *Images) Len() int { return len(s.names) }

// Name returns the path of picture i, for people to read.
func (s *Images) Name(i int) string { return filepath.Join(s.root, filepath.FromSlash(s.names[i])) }

// Image returns the whole picture i, with 8-bit levels.
func (s *Images) Image(i int) (*imageio.Image, error) {
	p, err := s.load(i)
	if err != nil {
		return nil, err
	}
	return p.crop(0, 0, p.w, p.h), nil
}

// size returns the dimensions of picture i from the beginning of its file.
func (s *Images) size(i int) (w, h int, err error) {
	f, err := s.open(i)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	w, h, err = imageio.Size(f, s.Name(i))
	return w - 2*s.trim, h - 2*s.trim, err
}

func (s *Images) open(i int) (fs.File, error) {
	f, err := s.fsys.Open(s.names[i])
	if err != nil {
		return nil, fmt.Errorf("cannot open picture %s: %w", s.Name(i), cause(err))
	}
	return f, nil
}

// cause strips the relative path that an fs.PathError repeats.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

func (s *Images) load(i int) (*picture, error) {
	slot := &s.slots[i]
	slot.mu.Lock()
	defer slot.mu.Unlock()
	if slot.pic != nil || slot.damaged != nil {
		return slot.pic, slot.damaged
	}
	f, err := s.open(i)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	p := &picture{}
	p.w, p.h, p.pix, err = imageio.DecodeBytes(f, s.Name(i))
	if isDamaged(err) {
		slot.damaged = err
	}
	if err != nil {
		return nil, err
	}
	if s.trim > 0 {
		if p.w <= 2*s.trim || p.h <= 2*s.trim {
			return nil, fmt.Errorf("%s has %dx%d pixels, too few to cut %d at each side", s.Name(i), p.w, p.h, s.trim)
		}
		p = p.trimmed(s.trim)
	}
	if s.cache.reserve(int64(len(p.pix))) {
		slot.pic = p
	}
	return p, nil
}

// isDamaged tells whether an error is of a file whose content cannot be read.
func isDamaged(err error) bool {
	var damaged *imageio.DamagedError
	return errors.As(err, &damaged)
}

// stem is the name of picture i without folder and extension.
func (s *Images) stem(i int) string {
	base := path.Base(s.names[i])
	return strings.TrimSuffix(base, path.Ext(base))
}

// picture is a decoded 8-bit RGB picture, HWC.
type picture struct {
	w, h int
	pix  []uint8
}

// level is v/255 in float32.
var level = func() (t [256]float32) {
	for v := range t {
		t[v] = float32(v) / 255
	}
	return t
}()

// trimmed returns the picture without so many pixels at each side.
func (p *picture) trimmed(border int) *picture {
	out := &picture{w: p.w - 2*border, h: p.h - 2*border}
	out.pix = make([]uint8, out.w*out.h*3) // not a byte more: caches count these
	for y := range out.h {
		copy(out.pix[y*out.w*3:][:out.w*3], p.pix[((y+border)*p.w+border)*3:])
	}
	return out
}

// crop returns the w x h pixels from (x, y) on as values v/255. Pixels outside the picture are its
// reflection (edge pixel not repeated).
func (p *picture) crop(x, y, w, h int) *imageio.Image {
	im := imageio.New(w, h)
	inside := x >= 0 && x+w <= p.w
	for row := range h {
		src := p.pix[imageio.Reflect(y+row, p.h)*p.w*3:][:p.w*3]
		dst := im.Pix[row*w*3 : (row+1)*w*3]
		if inside {
			src = src[x*3:][:len(dst)]
			for i, v := range src {
				dst[i] = level[v]
			}
			continue
		}
		for column := range w {
			from := imageio.Reflect(x+column, p.w) * 3
			for c := range 3 {
				dst[column*3+c] = level[src[from+c]]
			}
		}
	}
	return im
}
