package torch

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// legacyMagic is the number that starts a file of torch.save before PyTorch 1.6
// (0x1950a86a20f9469cfc6c), legacyProtocol the version that follows.
const (
	legacyMagic    = long("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19")
	legacyProtocol = int64(1001)
)

// maxExpansion bounds what is allocated for a file to this multiple of its size (plus a little).
// Weights hardly compress, so that only a file made to fill the memory claims more.
const maxExpansion = 16

// checkpoint is the pickled part of a file of torch.save, with a way to get at the storages.
type checkpoint struct {
	size   int64                            // of the file
	locate func(s *storage) error           // checks that the file has all bytes of a storage
	fetch  func(s *storage) ([]byte, error) // reads them
	views  map[string]map[string]*view      // by group and name
}

// openZip reads the format of PyTorch 1.6 and later: a zip archive of <root>/data.pkl, which
// describes tensors, and one record <root>/data/<key> per storage.
func openZip(r io.ReaderAt, size int64) (*content, error) {
	archive, err := zip.NewReader(r, size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) { // openRecords says more about such a path
		return nil, fmt.Errorf("it is a zip archive that is cut short or damaged (%w): download or copy it again", err)
	}
	records, root, err := openRecords(archive)
	if err != nil {
		return nil, err
	}
	if err := checkByteOrder(records[root+"/byteorder"]); err != nil {
		return nil, err
	}
	pickle, err := readRecord(records[root+"/data.pkl"], min(maxPickle, maxExpansion*size+64<<10))
	if err != nil {
		return nil, err
	}
	top, err := newPickleReader(bytes.NewReader(pickle), int64(len(pickle))).read()
	if err != nil {
		return nil, fmt.Errorf("data.pkl: %w", err)
	}
	c := &checkpoint{size: size}
	c.locate = func(s *storage) error {
		f := records[root+"/data/"+s.key]
		if f == nil {
			return fmt.Errorf("storage %s is missing in the archive: the file is damaged", s.key)
		}
		if f.UncompressedSize64 != uint64(s.bytes()) {
			return fmt.Errorf("storage %s has %d bytes in the archive where %d are described", s.key, f.UncompressedSize64, s.bytes())
		}
		return nil
	}
	c.fetch = func(s *storage) ([]byte, error) { return readExactly(records[root+"/data/"+s.key]) }
	return c.describe(FormatZip, top)
}

// openRecords returns the archive's records by name and the folder that holds them.
func openRecords(archive *zip.Reader) (records map[string]*zip.File, root string, err error) {
	records = make(map[string]*zip.File, len(archive.File))
	for _, f := range archive.File {
		if strings.HasPrefix(f.Name, "/") || strings.Contains(f.Name, `\`) || slices.Contains(strings.Split(f.Name, "/"), "..") {
			return nil, "", fmt.Errorf("the record %s leaves the archive's folder: the file was not made by PyTorch and is refused", quote(f.Name))
		}
		if records[f.Name] != nil {
			return nil, "", fmt.Errorf("the archive has the record %s twice", quote(f.Name))
		}
		records[f.Name] = f
		if folder, ok := strings.CutSuffix(f.Name, "/data.pkl"); ok && !strings.Contains(folder, "/") {
			if root != "" {
				return nil, "", fmt.Errorf("the archive has two records data.pkl, in %s and %s", quote(root), quote(folder))
			}
			root = folder
		}
	}
	if root == "" {
		return nil, "", errors.New("it is a zip archive without data.pkl, so not written by torch.save: if it packs other files, unpack it")
	}
	if records[root+"/constants.pkl"] != nil {
		return nil, "", errors.New("it is a TorchScript program, not weights: load it in PyTorch (torch.jit.load) and save its state_dict()")
	}
	return records, root, nil
}

// checkByteOrder refuses what is not little endian. Files of PyTorch before 2.1 do not say.
func checkByteOrder(f *zip.File) error {
	if f == nil {
		return nil
	}
	order, err := readRecord(f, 16)
	if err != nil {
		return err
	}
	if string(order) != "little" {
		return fmt.Errorf("its byteorder is %s, only little endian files are supported: save it again on such a machine", quote(string(order)))
	}
	return nil
}

// readRecord reads a record of at most limit bytes and checks its sum. What it allocates grows
// with what there is, not with what the archive's directory claims.
func readRecord(f *zip.File, limit int64) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, recordError(f, err)
	}
	defer r.Close()
	raw, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, recordError(f, err)
	}
	if int64(len(raw)) > limit {
		return nil, fmt.Errorf("the record %s has more than %d bytes", quote(f.Name), limit)
	}
	return raw, nil
}

// readExactly reads a record whose size in the directory has been checked, and its sum.
func readExactly(f *zip.File) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, recordError(f, err)
	}
	defer r.Close()
	raw := make([]byte, f.UncompressedSize64)
	if _, err := io.ReadFull(r, raw); err != nil {
		return nil, recordError(f, err)
	}
	// The sum is compared at the end of the record, which must be here.
	switch _, err := io.ReadFull(r, make([]byte, 1)); {
	case err == nil:
		return nil, fmt.Errorf("the record %s is larger than the archive's directory says", quote(f.Name))
	case err != io.EOF:
		return nil, recordError(f, err)
	}
	return raw, nil
}

func recordError(f *zip.File, err error) error {
	if errors.Is(err, zip.ErrChecksum) {
		return fmt.Errorf("the record %s is damaged (its CRC-32 does not match): download or copy the file again", quote(f.Name))
	}
	return fmt.Errorf("the record %s: %w", quote(f.Name), err)
}

// openLegacy reads the format before PyTorch 1.6: pickles of a magic number, a version, a
// description of the system, the object and the storages' keys, then per storage the number of
// its elements and their bytes.
func openLegacy(r io.ReaderAt, size int64) (*content, error) {
	p := newPickleReader(io.NewSectionReader(r, 0, size), size)
	if magic, err := p.read(); err != nil || magic != any(legacyMagic) {
		if err != nil {
			return nil, err
		}
		return nil, errors.New("it is a Python pickle, but not of torch.save: load it in Python and save its weights with torch.save")
	}
	if version, err := p.read(); err != nil || version != any(legacyProtocol) {
		if err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("its version is %s, need %d", describe(version), legacyProtocol)
	}
	system, err := p.read()
	if err != nil {
		return nil, err
	}
	if d, ok := system.(*dict); !ok || d.get("little_endian") != any(true) {
		return nil, errors.New("its byteorder is not little endian: save it again on such a machine")
	}
	top, err := p.read()
	if err != nil {
		return nil, err
	}
	keys, err := p.read()
	if err != nil {
		return nil, err
	}
	if err := locateLegacy(r, size, p, keys); err != nil {
		return nil, err
	}
	c := &checkpoint{size: size}
	c.locate = func(s *storage) error {
		if s.at == 0 {
			return fmt.Errorf("storage %s is missing: the file is damaged", s.key)
		}
		return nil
	}
	c.fetch = func(s *storage) ([]byte, error) {
		raw := make([]byte, s.bytes())
		_, err := io.ReadFull(io.NewSectionReader(r, s.at, s.bytes()), raw)
		return raw, err
	}
	return c.describe(FormatLegacy, top)
}

// locateLegacy finds the storages, which follow the pickles in the order of the keys.
func locateLegacy(r io.ReaderAt, size int64, p *pickleReader, keys any) error {
	order, ok := keys.(*list)
	if !ok {
		return fmt.Errorf("in place of the list of its storages it has %s", describe(keys))
	}
	at := p.pos
	for _, k := range order.items {
		key, _ := k.(string)
		s := p.storages[key]
		if s == nil || s.at != 0 {
			return fmt.Errorf("its list of storages names %s, which no tensor uses or which was there before: the file is damaged", describe(k))
		}
		var count [8]byte
		if size-at < 8 {
			return fmt.Errorf("it is cut short: storage %s is not there, download or copy it again", key)
		}
		if _, err := r.ReadAt(count[:], at); err != nil {
			return fmt.Errorf("storage %s: %w", key, err)
		}
		if n := binary.LittleEndian.Uint64(count[:]); n != uint64(s.numel) {
			return fmt.Errorf("storage %s has %d elements where %d are described", key, n, s.numel)
		}
		if s.at = at + 8; size-s.at < s.bytes() {
			return fmt.Errorf("it is cut short: storage %s has %d of its %d bytes, download or copy it again", key, size-s.at, s.bytes())
		}
		at = s.at + s.bytes()
	}
	return nil
}

// describe finds the groups of tensors in what a file holds: the entries of the top level and of
// the dicts in it.
func (c *checkpoint) describe(format string, top any) (*content, error) {
	d, ok := top.(*dict)
	if !ok {
		return nil, fmt.Errorf("it holds %s, not a dict of tensors: save a state_dict()", describe(top))
	}
	c.views = map[string]map[string]*view{}
	budget := maxValues // dicts may share entries, so that their sum says nothing about the file
	bare, err := c.describeGroup("", d, &budget)
	if err != nil {
		return nil, err
	}
	out := &content{format: format, read: func(g Group) (map[string]Tensor, error) { return c.read(c.views[g.Key]) }}
	for i, k := range d.keys {
		key, ok := k.(string)
		if !ok {
			continue
		}
		out.keys = append(out.keys, key)
		inner, ok := d.values[i].(*dict)
		if !ok || key == "" {
			continue
		}
		g, err := c.describeGroup(key, inner, &budget)
		if err != nil {
			return nil, err
		}
		out.groups = append(out.groups, g)
	}
	if len(bare.Tensors) > 0 {
		out.groups = append(out.groups, bare)
	}
	return out, nil
}

func (c *checkpoint) describeGroup(key string, d *dict, budget *int) (Group, error) {
	g := Group{Key: key}
	if *budget -= len(d.keys); *budget < 0 {
		return g, fmt.Errorf("it has more than %d entries", maxValues)
	}
	views := map[string]*view{}
	for i, k := range d.keys {
		name, isText := k.(string)
		v, isView := d.values[i].(*view)
		if !isText || !isView {
			g.Others = append(g.Others, entryName(k)+" is "+describe(d.values[i]))
			continue
		}
		if err := c.locate(v.storage); err != nil {
			return g, fmt.Errorf("tensor %s: %w", quote(name), err)
		}
		g.Tensors = append(g.Tensors, name)
		views[name] = v
	}
	c.views[key] = views
	return g, nil
}

func entryName(key any) string {
	if name, ok := key.(string); ok {
		return quote(name)
	}
	return "of " + describe(key)
}

// read reads the storages of the tensors and cuts these out of them.
func (c *checkpoint) read(views map[string]*view) (map[string]Tensor, error) {
	if err := c.checkMemory(views); err != nil {
		return nil, err
	}
	data := map[*storage][]byte{}
	tensors := make(map[string]Tensor, len(views))
	for _, name := range slices.Sorted(maps.Keys(views)) {
		v := views[name]
		raw, ok := data[v.storage]
		if !ok {
			var err error
			if raw, err = c.fetch(v.storage); err != nil {
				return nil, fmt.Errorf("tensor %s: %w", quote(name), err)
			}
			data[v.storage] = raw
		}
		tensors[name] = Tensor{Shape: v.shape, DType: v.storage.dtype, Data: v.cut(raw)}
	}
	return tensors, nil
}

// checkMemory bounds what read allocates: the storages, and copies of tensors that do not lie in
// them in one piece. Records of a hostile archive may share their bytes, and tensors storages.
func (c *checkpoint) checkMemory(views map[string]*view) error {
	seen := map[*storage]bool{}
	limit := maxExpansion*c.size + 1<<20
	for _, v := range views {
		if !v.contiguous() {
			limit -= int64(product(v.shape) * typeSizes[v.storage.dtype])
		}
		if !seen[v.storage] {
			seen[v.storage] = true
			limit -= v.storage.bytes()
		}
		if limit < 0 {
			return fmt.Errorf("its tensors need more than %d times the memory of the file's %d bytes: PyTorch writes no such file, so it is refused", maxExpansion, c.size)
		}
	}
	return nil
}

// contiguous tells whether the elements follow each other in the storage.
func (v *view) contiguous() bool {
	step := 1
	for i := len(v.shape) - 1; i >= 0; i-- {
		if v.shape[i] != 1 && v.stride[i] != step {
			return product(v.shape) == 0
		}
		step *= v.shape[i]
	}
	return true
}

// product is the number of elements of a shape that has been checked.
func product(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// cut returns the bytes of the view, row-major: a part of the storage's where they lie in one
// piece, else a copy.
func (v *view) cut(raw []byte) []byte {
	size, n := typeSizes[v.storage.dtype], product(v.shape)
	if v.contiguous() {
		from := int(v.offset) * size
		return raw[from : from+n*size : from+n*size]
	}
	out := make([]byte, 0, n*size)
	index := make([]int, len(v.shape))
	at := int(v.offset)
	for range n {
		out = append(out, raw[at*size:(at+1)*size]...)
		for i := len(index) - 1; i >= 0; i-- {
			index[i]++
			at += v.stride[i]
			if index[i] < v.shape[i] {
				break
			}
			at -= index[i] * v.stride[i]
			index[i] = 0
		}
	}
	return out
}
