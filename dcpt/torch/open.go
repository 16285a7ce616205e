package torch

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"unicode/utf8"
)

// The formats of weights files, by which File.Format names them.
const (
	FormatSafetensors = "safetensors"
	FormatZip         = "PyTorch"             // torch.save since PyTorch 1.6
	FormatLegacy      = "PyTorch, before 1.6" // torch.save before it
)

// File describes a file of weights. The weights themselves are read by Weights, so that the
// optimizer states of a training file, often three times as large, never are.
type File struct {
	Format   string            // FormatSafetensors, FormatZip or FormatLegacy
	Metadata map[string]string // of a safetensors file; nil in others
	Groups   []Group           // in the order of the file
	path     string
}

// Group is one dict of tensors in a file: {"params": {...}, "params_ema": {...}} has two.
type Group struct {
	Key     string   // under which the file holds it; "" for tensors at the top level
	Tensors []string // names as in the file and in its order
	Others  []string // entries that are no tensors, as `"name" is the number 3`
}

// content is an open file.
type content struct {
	format   string
	metadata map[string]string
	groups   []Group
	keys     []string // of the top level, for messages
	read     func(g Group) (map[string]Tensor, error)
}

// Open describes a file of weights: safetensors or either of torch.save's formats, which the
// content decides and not the name. It reads no weights but checks that each tensor's numbers are
// in the file. No code in a file is run, and nothing is written. Errors name the file, and for
// what is no weights file at all (a web page, an interrupted download) say what it looks like.
func Open(path string) (*File, error) {
	file := &File{path: path}
	err := withContent(path, func(c *content) error {
		file.Format, file.Metadata, file.Groups = c.format, c.metadata, c.groups
		return nil
	})
	if err != nil {
		return nil, err
	}
	return file, nil
}

// Weights reads the tensors of one group and returns them with the key that was used. An empty
// key means the usual ones: "params_ema", else "params" (the official files), else "state_dict"
// (Lightning), else the one of "model", "net", "generator" and the like that is there, else the
// tensors at the top level. A key that is asked for but absent gives "params" where that exists,
// as the official loader does.
//
// Prefixes that wrappers put before every name ("module.", "net.", "model." ...) are removed. An
// entry that is no tensor is an error. Tensors that share memory in PyTorch may share Data here:
// do not write to it.
func (f *File) Weights(key string) (map[string]Tensor, string, error) {
	var tensors map[string]Tensor
	var used string
	err := withContent(f.path, func(c *content) error {
		g, err := c.choose(key)
		if err != nil {
			return err
		}
		if len(g.Others) > 0 {
			return fmt.Errorf("the entry %s%s, not a tensor%s", g.Others[0], g.under(), more(len(g.Others)-1))
		}
		if len(g.Tensors) == 0 {
			return fmt.Errorf("there are no tensors%s", g.under())
		}
		if tensors, err = c.read(g); err != nil {
			return err
		}
		tensors, err = plainNames(tensors)
		used = g.Key
		return err
	})
	if err != nil {
		return nil, "", err
	}
	return tensors, used, nil
}

func (g Group) under() string {
	if g.Key == "" {
		return ""
	}
	return " under " + quote(g.Key)
}

func more(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" (and %d more)", n)
}

// networkKeys are keys under which training programs put the weights of their one network.
var networkKeys = []string{"model", "model_state_dict", "net", "network", "generator", "net_g", "netG", "G", "g"}

// optimizerKeys are keys of what a training program needs to go on.
var optimizerKeys = []string{"optimizer", "optimizers", "optimizer_states", "optimizer_state_dict", "schedulers"}

// choose returns the group for a key, see Weights.
func (c *content) choose(key string) (Group, error) {
	wanted := []string{key, "params"}
	if key == "" {
		wanted = []string{"params_ema", "params", "state_dict"}
	}
	for _, k := range wanted {
		if g, ok := c.group(k); ok {
			return g, nil
		}
	}
	bare, isBare := c.group("")
	if key != "" {
		if isBare {
			return Group{}, fmt.Errorf("it has no key %s: its weights are under no key, so ask for none", quote(key))
		}
		return Group{}, fmt.Errorf("it has neither the key %s nor \"params\"; its keys are %s", quote(key), listed(c.keys))
	}
	var likely []Group
	for _, k := range networkKeys {
		if g, ok := c.group(k); ok && len(g.Tensors) > 0 {
			likely = append(likely, g)
		}
	}
	switch {
	case len(likely) == 1:
		return likely[0], nil
	case len(likely) > 1:
		return Group{}, fmt.Errorf("it holds several networks: ask for one of the keys %s", listed(c.keys))
	case isBare:
		return bare, nil
	case slices.ContainsFunc(optimizerKeys, func(k string) bool { return slices.Contains(c.keys, k) }):
		return Group{}, fmt.Errorf("it holds the state of an optimizer (keys %s), not weights: take the file of weights that was saved with it", listed(c.keys))
	}
	return Group{}, fmt.Errorf("it holds no weights under a usual key (params_ema, params, state_dict, %s); its keys are %s: "+
		"if one of them holds the weights, ask for that one", strings.Join(networkKeys, ", "), listed(c.keys))
}

func (c *content) group(key string) (Group, bool) {
	i := slices.IndexFunc(c.groups, func(g Group) bool { return g.Key == key })
	if i < 0 {
		return Group{}, false
	}
	return c.groups[i], true
}

// listed names the first few keys.
func listed(keys []string) string {
	const shown = 10
	if len(keys) == 0 {
		return "none"
	}
	quoted := make([]string, 0, shown)
	for _, k := range keys[:min(len(keys), shown)] {
		quoted = append(quoted, quote(k))
	}
	return strings.Join(quoted, ", ") + more(len(keys)-len(quoted))
}

// wrapperPrefixes are put before all names by modules that hold the network.
var wrapperPrefixes = []string{"net.", "model.", "netG.", "net_g.", "generator.", "_orig_mod."}

// plainNames removes "module." (parallel training) where it is, as the official loader does, and
// a wrapper's prefix where every name has it.
func plainNames(tensors map[string]Tensor) (map[string]Tensor, error) {
	plain := make(map[string]Tensor, len(tensors))
	for name, t := range tensors {
		short := strings.TrimPrefix(name, "module.")
		if _, twice := plain[short]; twice {
			return nil, fmt.Errorf("%s is there with and without \"module.\" before it", quote(short))
		}
		plain[short] = t
	}
	for _, prefix := range wrapperPrefixes {
		if !hasPrefix(plain, prefix) {
			continue
		}
		short := make(map[string]Tensor, len(plain))
		for name, t := range plain {
			short[name[len(prefix):]] = t
		}
		return plainNames(short) // wrappers may be wrapped; every round shortens the names
	}
	return plain, nil
}

// hasPrefix tells whether every name starts with the prefix.
func hasPrefix(tensors map[string]Tensor, prefix string) bool {
	for name := range tensors {
		if !strings.HasPrefix(name, prefix) {
			return false
		}
	}
	return true
}

// withContent opens a file for the time of use.
func withContent(path string, use func(c *content) error) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("opening weights: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("opening weights: %w", err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file, so no file of weights", path)
	}
	c, err := openContent(f, info.Size())
	if err == nil {
		err = use(c)
	}
	var kind notWeights
	if errors.As(err, &kind) {
		return fmt.Errorf("%s %w", path, err)
	}
	if err != nil {
		return fmt.Errorf("%s cannot be used as weights: %w", path, err)
	}
	return nil
}

// notWeights says what a file is that holds no weights.
type notWeights string

func (e notWeights) Error() string { return string(e) }

// openContent finds the format of a file and reads all but its weights.
func openContent(r io.ReaderAt, size int64) (*content, error) {
	head := make([]byte, min(size, 512))
	if _, err := io.ReadFull(io.NewSectionReader(r, 0, size), head); err != nil {
		return nil, fmt.Errorf("reading its first bytes: %w", err)
	}
	switch {
	case len(head) == 0:
		return nil, notWeights("is empty: the download or the copy failed, get the file again")
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		return openZip(r, size)
	case startsSafetensors(head): // before pickles: the length of its header may begin with any byte, also theirs
		return openSafetensors(r, size)
	case head[0] == 0x80:
		return openLegacy(r, size)
	}
	return nil, unknown(head)
}

// startsSafetensors recognises the header's length in 8 bytes, of which the upper two are zero in any file that
// exists, and its brace. No pickle begins so.
func startsSafetensors(head []byte) bool {
	return len(head) > 8 && head[6] == 0 && head[7] == 0 && head[8] == '{'
}

// unknown says what a file of no known format looks like.
func unknown(head []byte) error {
	text := strings.ToLower(string(bytes.TrimLeft(head, " \t\r\n\ufeff")))
	switch {
	case strings.HasPrefix(text, "<!doctype html"), strings.HasPrefix(text, "<html"), strings.HasPrefix(text, "<?xml"), strings.HasPrefix(text, "<head"):
		return notWeights("is a web page, not weights: the download did not return the file, open the address in a browser to see why")
	case strings.HasPrefix(text, "version https://git-lfs"):
		return notWeights("is a Git LFS pointer, not weights: fetch the file itself (git lfs pull)")
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		return notWeights("is compressed with gzip: unpack it (gunzip) and use the file inside")
	case isText(head):
		return notWeights("is a text file, not weights: the download did not return the file, or this is another one")
	}
	return notWeights("is in no known format (safetensors, or a file of torch.save): it is damaged, or no file of weights")
}

// isText tells whether the bytes are printable. A character that the end of head cuts is none.
func isText(head []byte) bool {
	for len(head) > 0 {
		c, n := utf8.DecodeRune(head)
		if c == utf8.RuneError && n < 2 && len(head) >= utf8.UTFMax || c < ' ' && !strings.ContainsRune("\t\r\n\f", c) {
			return false
		}
		head = head[n:]
	}
	return true
}

// openSafetensors reads the header. The format has no keys.
func openSafetensors(r io.ReaderAt, size int64) (*content, error) {
	section := io.NewSectionReader(r, 0, size)
	tensors, spans, metadata, err := describeSafetensors(section, size)
	if err != nil {
		return nil, fmt.Errorf("safetensors: %w", err)
	}
	names := make([]string, len(spans))
	for i, s := range spans {
		names[i] = s.name
	}
	return &content{
		format:   FormatSafetensors,
		metadata: metadata,
		groups:   []Group{{Tensors: names}},
		keys:     slices.Sorted(maps.Keys(tensors)),
		read: func(Group) (map[string]Tensor, error) {
			if _, err := section.Seek(0, io.SeekStart); err != nil {
				return nil, err
			}
			tensors, _, err := readSafetensors(section, size)
			return tensors, err
		},
	}, nil
}
