package torch

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// sample returns tensors of every type, with names and shapes as networks have them.
func sample() map[string]Tensor {
	return map[string]Tensor{
		"intro.weight":      Float32Tensor([]float32{1, -2, 3.5, float32(math.Inf(1)), 0, 1e-42, 7, 8}, 2, 2, 1, 2),
		"intro.bias":        Float32Tensor([]float32{0.25, -0.5}, 2),
		"temperature":       Float32Tensor([]float32{3}, 1, 1, 1),
		"scalar":            Float32Tensor([]float32{7}),
		"empty":             Float32Tensor(nil, 0, 3),
		"half":              {Shape: []int{2}, DType: "F16", Data: []byte{0x00, 0x3c, 0x01, 0x00}},
		"brain":             {Shape: []int{1}, DType: "BF16", Data: []byte{0x80, 0x3f}},
		"double":            {Shape: []int{1}, DType: "F64", Data: binary.LittleEndian.AppendUint64(nil, math.Float64bits(0.1))},
		"i64":               {Shape: []int{1}, DType: "I64", Data: []byte{254, 255, 255, 255, 255, 255, 255, 255}},
		"i32":               {Shape: []int{1}, DType: "I32", Data: []byte{1, 2, 3, 4}},
		"i16":               {Shape: []int{1}, DType: "I16", Data: []byte{254, 255}},
		"i8":                {Shape: []int{3}, DType: "I8", Data: []byte{1, 2, 255}},
		"u8":                {Shape: []int{300}, DType: "U8", Data: bytes.Repeat([]byte{7}, 300)},
		"bool":              {Shape: []int{2}, DType: "BOOL", Data: []byte{0, 1}},
		"ünïcode and space": Float32Tensor(make([]float32, 70000), 70000),
	}
}

// saveFile puts bytes into a new file.
func saveFile(t testing.TB, raw []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "weights.pth")
	if err := os.WriteFile(path, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// writePTH returns the bytes of WritePTH.
func writePTH(t testing.TB, group string, tensors map[string]Tensor) []byte {
	t.Helper()
	var buf bytes.Buffer
	if err := WritePTH(&buf, group, tensors); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// readWeights opens a file of these bytes and reads a group.
func readWeights(t testing.TB, raw []byte, key string) (map[string]Tensor, string, error) {
	t.Helper()
	f, err := Open(saveFile(t, raw))
	if err != nil {
		return nil, "", err
	}
	return f.Weights(key)
}

// record is one entry of an archive made for a test.
type record struct {
	name   string
	data   []byte
	method uint16
}

// makeZip writes an archive of these records, in this order.
func makeZip(t testing.TB, records ...record) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for _, r := range records {
		f, err := w.CreateHeader(&zip.FileHeader{Name: r.name, Method: r.method})
		if err == nil {
			_, err = f.Write(r.data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// pthZip is an archive as torch.save makes it: a pickle, and storages "0", "1" and so on.
func pthZip(t testing.TB, pickle []byte, storages ...[]byte) []byte {
	t.Helper()
	records := []record{{name: "x/data.pkl", data: pickle}}
	for i, s := range storages {
		records = append(records, record{name: fmt.Sprintf("x/data/%d", i), data: s})
	}
	return makeZip(t, append(records, record{name: "x/version", data: []byte("3\n")})...)
}

// legacyHead are the first three pickles of the legacy format.
func legacyHead() []byte {
	var p pickler
	p.op(0x80, 2, 0x8a, 10)
	p.WriteString(string(legacyMagic))
	p.op('.', 0x80, 2)
	p.number(int(legacyProtocol))
	p.op('.', 0x80, 2, '}')
	p.text("little_endian")
	p.op(0x88, 's', '.')
	return p.Bytes()
}

// pthLegacy is a file of the legacy format: a pickle and its storages by key.
func pthLegacy(pickle []byte, keys []string, numel []int, storages ...[]byte) []byte {
	var p pickler
	p.Write(legacyHead())
	p.Write(pickle)
	p.op(0x80, 2, ']', '(')
	for _, key := range keys {
		p.text(key)
	}
	p.op('e', '.')
	for i, s := range storages {
		p.Write(binary.LittleEndian.AppendUint64(nil, uint64(numel[i])))
		p.Write(s)
	}
	return p.Bytes()
}

// pickled is {group: {names...: values...}} or, without a group, the inner dict.
func pickled(group string, entries ...func(p *pickler)) []byte {
	var p pickler
	p.op(0x80, 2)
	if group != "" {
		p.op('}')
		p.text(group)
	}
	p.op('}', '(')
	for _, e := range entries {
		e(&p)
	}
	p.op('u')
	if group != "" {
		p.op('s')
	}
	p.op('.')
	return p.Bytes()
}

// claim is a tensor as a file may describe it, right or wrong.
type claim struct {
	class, key             string
	numel                  int
	offset                 int
	shape, stride          []int
	function               string // of torch._utils, with further arguments
	before, after          string
	negative, viewMetadata bool
}

// entry names a tensor of this description.
func (c claim) entry(name string) func(p *pickler) {
	return func(p *pickler) {
		p.text(name)
		if c.function == "" {
			c.function = "_rebuild_tensor_v2"
		}
		p.WriteString(c.before)
		p.global("torch._utils", c.function)
		p.op('(', '(')
		p.text("storage")
		p.global("torch", c.class)
		p.text(c.key)
		p.text("cuda:0")
		p.number(c.numel)
		if c.viewMetadata {
			p.op(')')
		}
		p.op('t', 'Q')
		if c.negative {
			p.op('J', 0xfc, 0xff, 0xff, 0xff)
		} else {
			p.number(c.offset)
		}
		p.numbers(c.shape)
		p.numbers(c.stride)
		if c.function != "_rebuild_tensor" {
			p.op(0x89)
			p.orderedDict()
		}
		p.op('t', 'R')
		p.WriteString(c.after)
	}
}

// eight is a storage of 0, 1 ... 7.
var eight = Float32Tensor([]float32{0, 1, 2, 3, 4, 5, 6, 7}, 8).Data

// flat is a good description of the storage eight.
func flat() claim {
	return claim{class: "FloatStorage", key: "0", numel: 8, shape: []int{8}, stride: []int{1}}
}

// value gives an entry that is no tensor.
func value(name string, opcodes string) func(p *pickler) {
	return func(p *pickler) {
		p.text(name)
		p.WriteString(opcodes)
	}
}

func TestWritePTHReadsBack(t *testing.T) {
	for _, group := range []string{"params_ema", "params", "state_dict", ""} {
		want := sample()
		got, used, err := readWeights(t, writePTH(t, group, want), "")
		if err != nil {
			t.Fatalf("group %q: %v", group, err)
		}
		if used != group {
			t.Errorf("the weights of group %q were found under %q", group, used)
		}
		if len(got) != len(want) {
			t.Errorf("group %q: read %d tensors, wrote %d", group, len(got), len(want))
		}
		for name, w := range want {
			g := got[name]
			if g.DType != w.DType || !slices.Equal(g.Shape, w.Shape) || !bytes.Equal(g.Data, w.Data) {
				t.Errorf("group %q: tensor %q changed from %s %v to %s %v", group, name, w.DType, w.Shape, g.DType, g.Shape)
			}
		}
	}
	if a, b := writePTH(t, "params", sample()), writePTH(t, "params", sample()); !bytes.Equal(a, b) {
		t.Error("equal tensors gave different files")
	}
}

// TestWritePTHLayout checks the bytes that torch.load depends on.
func TestWritePTHLayout(t *testing.T) {
	tensors := map[string]Tensor{
		"b": Float32Tensor([]float32{1, 2, 3, 4, 5, 6}, 2, 3),
		"a": {Shape: []int{1}, DType: "F16", Data: []byte{0, 0x3c}},
	}
	raw := writePTH(t, "params", tensors)
	archive, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	want := []record{
		{name: "archive/data.pkl"}, {name: "archive/byteorder", data: []byte("little")},
		{name: "archive/data/0", data: tensors["a"].Data}, {name: "archive/data/1", data: tensors["b"].Data},
		{name: "archive/version", data: []byte("3\n")},
	}
	if len(archive.File) != len(want) {
		t.Fatalf("%d records, want %d", len(archive.File), len(want))
	}
	for i, f := range archive.File {
		at, err := f.DataOffset()
		if err != nil {
			t.Fatal(err)
		}
		data := raw[at : at+int64(f.UncompressedSize64)]
		if f.Name != want[i].name || i > 0 && !bytes.Equal(data, want[i].data) {
			t.Errorf("record %d is %s with %q, want %s with %q", i, f.Name, data, want[i].name, want[i].data)
		}
		if f.Method != zip.Store || at%64 != 0 {
			t.Errorf("%s: method %d at byte %d, want stored at a multiple of 64", f.Name, f.Method, at)
		}
		if f.CRC32 != crc32.ChecksumIEEE(data) || f.Flags&8 != 0 {
			t.Errorf("%s: CRC-32 %08x, flags %x", f.Name, f.CRC32, f.Flags)
		}
	}
	const tensor = "ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\n"
	pickle := "\x80\x02}X\x06\x00\x00\x00paramsccollections\nOrderedDict\n)R(" +
		"X\x01\x00\x00\x00a" + tensor + "HalfStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x01tQK\x00(K\x01t(K\x01t\x89ccollections\nOrderedDict\n)RtR" +
		"X\x01\x00\x00\x00b" + tensor + "FloatStorage\nX\x01\x00\x00\x001X\x03\x00\x00\x00cpuK\x06tQK\x00(K\x02K\x03t(K\x03K\x01t\x89ccollections\nOrderedDict\n)RtR" +
		"us."
	at, _ := archive.File[0].DataOffset()
	if got := string(raw[at : at+int64(archive.File[0].UncompressedSize64)]); got != pickle {
		t.Errorf("data.pkl is\n%q, want\n%q", got, pickle)
	}
}

func TestPicklerNumbers(t *testing.T) {
	for n, want := range map[int]string{
		0: "K\x00", 255: "K\xff", 256: "M\x00\x01", 65535: "M\xff\xff", 65536: "J\x00\x00\x01\x00",
		math.MaxInt32: "J\xff\xff\xff\x7f", 1 << 31: "\x8a\x08\x00\x00\x00\x80\x00\x00\x00\x00",
	} {
		var p pickler
		p.number(n)
		if p.String() != want {
			t.Errorf("%d is written as %q, want %q", n, p.String(), want)
		}
		p.op('.')
		if got, err := newPickleReader(&p, int64(p.Len())).read(); err != nil || got != any(int64(n)) {
			t.Errorf("%d is read as %v, %v", n, got, err)
		}
	}
}

func TestWritePTHRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		tensors map[string]Tensor
		want    string
	}{
		"nothing": {nil, "no tensors"},
		"type":    {map[string]Tensor{"a": {Shape: []int{1}, DType: "C64", Data: make([]byte, 8)}}, `tensor "a": type "C64"`},
		"size":    {map[string]Tensor{"a": {Shape: []int{3}, DType: "F32", Data: make([]byte, 8)}}, `tensor "a"`},
	} {
		var buf bytes.Buffer
		if err := WritePTH(&buf, "params", c.tensors); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want a message with %q", name, err, c.want)
		}
		if buf.Len() > 0 {
			t.Errorf("%s: wrote %d bytes before refusing", name, buf.Len())
		}
	}
	if err := WritePTH(failingWriter{}, "params", sample()); !errors.Is(err, errFull) {
		t.Errorf("a failing writer gave %v", err)
	}
}

// TestReadViews reads tensors that lie in their storage in ways other than one after the other.
func TestReadViews(t *testing.T) {
	c := func(shape, stride []int, offset int) claim {
		c := flat()
		c.shape, c.stride, c.offset = shape, stride, offset
		return c
	}
	parameter := flat()
	parameter.before, parameter.after = "ctorch._utils\n_rebuild_parameter\n(", "\x88ccollections\nOrderedDict\n)RtR"
	first := flat()
	first.function = "_rebuild_tensor"
	entries := []func(p *pickler){
		c([]int{2, 4}, []int{4, 1}, 0).entry("whole"),
		c([]int{2, 3}, []int{3, 1}, 2).entry("part"),
		c([]int{4, 2}, []int{1, 4}, 0).entry("transposed"),
		c([]int{2, 1, 2}, []int{4, 99, 2}, 1).entry("strided"),
		c(nil, nil, 7).entry("scalar"),
		c([]int{0, 5}, []int{5, 1}, 8).entry("empty"),
		parameter.entry("parameter"),
		first.entry("first version"),
	}
	want := map[string][]float32{
		"whole": {0, 1, 2, 3, 4, 5, 6, 7}, "part": {2, 3, 4, 5, 6, 7}, "transposed": {0, 4, 1, 5, 2, 6, 3, 7},
		"strided": {1, 3, 5, 7}, "scalar": {7}, "empty": {}, "parameter": {0, 1, 2, 3, 4, 5, 6, 7}, "first version": {0, 1, 2, 3, 4, 5, 6, 7},
	}
	pickle := pickled("params", entries...)
	deflated := makeZip(t, record{"x/data.pkl", pickle, zip.Deflate}, record{"x/data/0", eight, zip.Deflate}, record{name: "__MACOSX/other"})
	for name, raw := range map[string][]byte{
		"zip":          pthZip(t, pickle, eight),
		"deflated zip": deflated,
		"legacy":       pthLegacy(pickle, []string{"0"}, []int{8}, eight),
	} {
		got, _, err := readWeights(t, raw, "")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for tensor, values := range want {
			if g, err := got[tensor].Float32(); err != nil || !slices.Equal(g, values) {
				t.Errorf("%s: tensor %q is %v (%v), want %v", name, tensor, g, err, values)
			}
		}
	}
}

// harmlessExtras are entries as training programs write them beside the weights.
var harmlessExtras = []func(p *pickler){
	value("epoch", "K\x03"), value("lr", "G\x3f\xf0\x00\x00\x00\x00\x00\x00"), value("none", "N"), value("huge", "\x8a\x09\x01\x02\x03\x04\x05\x06\x07\x08\x09"),
	value("args", "cargparse\nNamespace\n)\x81}X\x01\x00\x00\x00aK\x01sb"),
	value("psnr", "cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(X\x02\x00\x00\x00f8K\x00K\x01tRC\x0812345678tR"),
	value("hyper_parameters", "cpytorch_lightning.utilities.parsing\nAttributeDict\n)\x81(X\x01\x00\x00\x00aK\x01u"),
	value("config", "comegaconf.dictconfig\nDictConfig\n)\x81}X\x01\x00\x00\x00aK\x01sb"),
	value("counts", "ccollections\ndefaultdict\nc__builtin__\nint\n\x85RX\x01\x00\x00\x00aK\x01s"),
	value("history", "(]K\x01aK\x02l"), value("sizes", "ctorch\nSize\nK\x01K\x02\x86\x85R"), value("device", "ctorch\ndevice\nX\x03\x00\x00\x00cpu\x85R"),
	value("set", "\x8f(K\x01\x90"), value("frozen", "(K\x01\x91"), value("bytes", "B\x01\x00\x00\x00a"), value("pair", "(K\x01K\x02d"),
	value("type", "\x8c\x05torch\x8c\x07float32\x93\x94"), value("dropped", "K\x01K\x020(K\x031"), value("again", "K\x012\x86"),
	value("optimizer_states", "](}X\x05\x00\x00\x00state}K\x00}sse"),
}

func TestTrainingFiles(t *testing.T) {
	var weights pickler
	weights.WriteString("}")
	flat().entry("net.a.weight")(&weights)
	weights.WriteString("s")
	entries := append(slices.Clone(harmlessExtras), value("state_dict", weights.String()))
	for name, raw := range map[string][]byte{
		"zip": pthZip(t, pickled("", entries...), eight), "legacy": pthLegacy(pickled("", entries...), []string{"0"}, []int{8}, eight),
	} {
		got, used, err := readWeights(t, raw, "")
		if err != nil || used != "state_dict" || len(got) != 1 || !bytes.Equal(got["a.weight"].Data, eight) {
			t.Errorf("%s: read %v under %q (%v), want a.weight under state_dict", name, got, used, err)
		}
	}
	_, _, err := readWeights(t, pthZip(t, pickled("", harmlessExtras...), eight), "")
	if err == nil || !strings.Contains(err.Error(), "holds the state of an optimizer") {
		t.Errorf("a file without weights gave %v", err)
	}
	// The same entries as weights are errors that name them.
	for _, e := range harmlessExtras {
		var p pickler
		e(&p)
		n := binary.LittleEndian.Uint32(p.Bytes()[1:])
		name := string(p.Bytes()[5 : 5+n])
		_, _, err := readWeights(t, pthZip(t, pickled("params", flat().entry("w"), e), eight), "")
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("the entry %q is", name)) {
			t.Errorf("%s among weights gave %v", name, err)
		}
	}
}

// TestPython2File reads a state dict as PyTorch under Python 2 wrote it: byte strings, and the
// OrderedDict made of pairs.
func TestPython2File(t *testing.T) {
	var tensor pickler
	flat().entry("")(&tensor)
	pickle := "\x80\x02ccollections\nOrderedDict\n]]U\x01wa" + tensor.String()[5:] + "aa\x85R."
	got, _, err := readWeights(t, pthLegacy([]byte(pickle), []string{"0"}, []int{8}, eight), "")
	if err != nil || len(got) != 1 || !bytes.Equal(got["w"].Data, eight) {
		t.Errorf("read %v, %v", got, err)
	}
}

// TestPickleValues reads single values of each kind that training files hold.
func TestPickleValues(t *testing.T) {
	for pickle, want := range map[string]any{
		"K\xff": int64(255), "M\x01\x02": int64(513), "J\xfe\xff\xff\xff": int64(-2), "\x8a\x00": int64(0), "\x8a\x01\xfe": int64(-2),
		"\x8a\x02\xff\x00": int64(255), "\x8b\x01\x00\x00\x00\x05": int64(5), "\x8a\x09123456789": long("123456789"),
		"G\xbf\xe0\x00\x00\x00\x00\x00\x00": -0.5, "N": nil, "\x88": true, "\x89": false,
		"X\x01\x00\x00\x00a": "a", "T\x01\x00\x00\x00a": "a", "U\x01a": "a", "\x8c\x01a": "a", "\x8d\x01\x00\x00\x00\x00\x00\x00\x00a": "a",
		"\x95\x05\x00\x00\x00\x00\x00\x00\x00\x8c\x01a\x94": "a", // a frame, as in protocol 4
	} {
		raw := "\x80\x04" + pickle + "."
		got, err := newPickleReader(strings.NewReader(raw), int64(len(raw))).read()
		if err != nil || got != want {
			t.Errorf("%q is %v (%v), want %v", pickle, got, err, want)
		}
	}
	raw := "\x80\x02}(X\x01\x00\x00\x00aK\x01X\x01\x00\x00\x00bK\x02X\x01\x00\x00\x00aK\x03u."
	got, err := newPickleReader(strings.NewReader(raw), int64(len(raw))).read()
	if d, ok := got.(*dict); err != nil || !ok || !slices.Equal(d.keys, []any{"a", "b"}) || !slices.Equal(d.values, []any{int64(3), int64(2)}) {
		t.Errorf("a dict with a key twice is %v (%v), want the last value", got, err)
	}
}

func TestChooseGroup(t *testing.T) {
	file := func(keys ...string) []byte {
		var entries []func(p *pickler)
		for i, key := range keys {
			if key == "number" {
				entries = append(entries, value(key, "K\x01"))
				continue
			}
			if key == "tensor" {
				entries = append(entries, flat().entry(key))
				continue
			}
			var inner pickler
			inner.WriteString("}")
			flat().entry(fmt.Sprint("w", i))(&inner)
			inner.WriteString("s")
			entries = append(entries, value(key, inner.String()))
		}
		return pthZip(t, pickled("", entries...), eight)
	}
	for _, c := range []struct {
		file []byte
		key  string
		want string // the key used, or with "!" a part of the message
	}{
		{file("params", "params_ema"), "", "params_ema"},
		{file("params", "params_ema"), "params", "params"},
		{file("params", "state_dict"), "", "params"},
		{file("params"), "params_ema", "params"},
		{file("params"), "other", "params"},
		{file("state_dict", "model"), "", "state_dict"},
		{file("number", "model"), "", "model"},
		{file("net_g", "number"), "", "net_g"},
		{file("other", "number"), "other", "other"},
		{file("tensor"), "", ""},
		{file("model", "generator"), "", `!several networks: ask for one of the keys "model", "generator"`},
		{file("other", "number"), "", `!its keys are "other", "number"`},
		{file("other", "number"), "params_ema", `!neither the key "params_ema" nor "params"; its keys are "other", "number"`},
		{file("tensor"), "params", "!its weights are under no key"},
		{file("tensor", "number"), "", `!the entry "number" is the number 1, not a tensor`},
		{file("number", "optimizers"), "", "!state of an optimizer"},
		{file(), "", "!its keys are none"},
		{pthZip(t, pickled("params")), "", `!no tensors under "params"`},
		{pthZip(t, pickled("params", value("x", "K\x01"), value("y", "K\x01"))), "", `!the entry "x" is the number 1 under "params", not a tensor (and 1 more)`},
	} {
		got, used, err := readWeights(t, c.file, c.key)
		want, isError := strings.CutPrefix(c.want, "!")
		switch {
		case isError && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("asked for %q: got %v, want an error with %s", c.key, err, want)
		case !isError && (err != nil || used != want || len(got) == 0):
			t.Errorf("asked for %q: got %d tensors of %q (%v), want %q", c.key, len(got), used, err, want)
		}
	}
}

// Headers of all lengths: some begin with the byte that begins pickles, and their file is no pickle for that.
func TestOpenSafetensorsOfAllHeaderLengths(t *testing.T) {
	seen := map[byte]bool{}
	for n := range 256 {
		var buf bytes.Buffer
		note := map[string]string{"note": strings.Repeat("x", n)}
		if err := WriteSafetensors(&buf, map[string]Tensor{"a": Float32Tensor([]float32{1}, 1)}, note); err != nil {
			t.Fatal(err)
		}
		seen[buf.Bytes()[0]] = true
		if f, err := Open(saveFile(t, buf.Bytes())); err != nil || f.Format != FormatSafetensors {
			t.Errorf("header of %#x bytes: %v", binary.LittleEndian.Uint64(buf.Bytes()), err)
		}
	}
	if !seen[0x80] {
		t.Error("no header began with 0x80")
	}
}

func TestOpenDescribes(t *testing.T) {
	f, err := Open(saveFile(t, pthZip(t, pickled("params", flat().entry("b"), flat().entry("a"), value("c", "K\x01")), eight)))
	if err != nil {
		t.Fatal(err)
	}
	want := []Group{{Key: "params", Tensors: []string{"b", "a"}, Others: []string{`"c" is the number 1`}}}
	if f.Format != FormatZip || f.Metadata != nil || !reflect.DeepEqual(f.Groups, want) {
		t.Errorf("described as %q %v, want groups %v", f.Format, f.Groups, want)
	}

	var buf bytes.Buffer
	if err := WriteSafetensors(&buf, map[string]Tensor{"module.a": Float32Tensor([]float32{1}, 1)}, map[string]string{"step": "3"}); err != nil {
		t.Fatal(err)
	}
	if f, err = Open(saveFile(t, buf.Bytes())); err != nil {
		t.Fatal(err)
	}
	want = []Group{{Tensors: []string{"module.a"}}}
	if f.Format != FormatSafetensors || f.Metadata["step"] != "3" || !reflect.DeepEqual(f.Groups, want) {
		t.Errorf("described as %q %v %v, want groups %v", f.Format, f.Metadata, f.Groups, want)
	}
	for range 2 { // reading twice must give the same
		got, used, err := f.Weights("")
		if err != nil || used != "" || !reflect.DeepEqual(got, map[string]Tensor{"a": Float32Tensor([]float32{1}, 1)}) {
			t.Errorf("safetensors: %v, %q, %v", got, used, err)
		}
	}
	if _, _, err := f.Weights("params"); err == nil || !strings.Contains(err.Error(), "under no key") {
		t.Errorf("a key of a safetensors file gave %v", err)
	}

	if f, err = Open(saveFile(t, pthLegacy(pickled("", flat().entry("w")), []string{"0"}, []int{8}, eight))); err != nil || f.Format != FormatLegacy {
		t.Errorf("legacy: %v, %v", f, err)
	}
}

func TestPlainNames(t *testing.T) {
	for _, c := range []struct{ in, want []string }{
		{[]string{"module.a", "b"}, []string{"a", "b"}},
		{[]string{"net.a", "net.b"}, []string{"a", "b"}},
		{[]string{"net.a", "b"}, []string{"b", "net.a"}},
		{[]string{"model.module.net_g.a"}, []string{"a"}},
		{[]string{"_orig_mod.a", "_orig_mod.b"}, []string{"a", "b"}},
		{[]string{"netG.a", "module.netG.b"}, []string{"a", "b"}},
	} {
		tensors := map[string]Tensor{}
		for _, name := range c.in {
			tensors[name] = Tensor{}
		}
		got, err := plainNames(tensors)
		if names := slices.Sorted(maps.Keys(got)); err != nil || !slices.Equal(names, c.want) {
			t.Errorf("%v became %v (%v), want %v", c.in, names, err, c.want)
		}
	}
	if _, err := plainNames(map[string]Tensor{"a": {}, "module.a": {}}); err == nil {
		t.Error("two tensors of the same name were accepted")
	}
}

// TestOpenRefuses gives broken and hostile files; each must say what is wrong.
func TestOpenRefuses(t *testing.T) {
	change := func(edit func(c *claim)) []byte {
		c := flat()
		edit(&c)
		return pthZip(t, pickled("params", c.entry("w")), eight)
	}
	raw := func(pickle string) []byte { return pthZip(t, []byte("\x80\x02"+pickle), eight) }
	good := pickled("params", flat().entry("w"))
	otherSize := flat()
	otherSize.numel, otherSize.shape = 7, []int{7}
	legacy := func(pickle []byte) []byte { return pthLegacy(pickle, []string{"0"}, []int{8}, eight) }
	goodLegacy := legacy(good)
	// 2000 archive records can share their bytes; here tensors share a storage, each needing a copy.
	var copies []func(p *pickler)
	for i := range 2000 {
		c := claim{class: "FloatStorage", key: "0", numel: 1 << 16, shape: []int{256, 256}, stride: []int{1, 256}}
		copies = append(copies, c.entry(fmt.Sprint(i)))
	}
	for _, c := range []struct {
		name string
		file []byte
		want string
	}{
		{"empty", nil, "is empty: the download or the copy failed"},
		{"web page", []byte("\r\n <!DOCTYPE HTML><html>quota</html>"), "is a web page, not weights: the download did not return the file"},
		{"xml", []byte("\ufeff<?xml version='1.0'?><Error>AccessDenied</Error>"), "is a web page"},
		{"text", []byte("{\"message\": \"not found\"}"), "is a text file, not weights"},
		{"text cut in a character", append(bytes.Repeat([]byte("a"), 511), "é!"...), "is a text file"},
		{"lfs", []byte("version https://git-lfs.github.com/spec/v1\noid sha256:00\n"), "Git LFS pointer"},
		{"gzip", []byte("\x1f\x8b\x08\x00\x00\x00\x00\x00"), "compressed with gzip"},
		{"binary", []byte("\x7fELF\x02\x01\x01\x00\x00"), "in no known format"},
		{"safetensors cut short", []byte("\x10\x00\x00\x00\x00\x00\x00\x00{"), "safetensors: its header claims 16 bytes"},

		{"only the start of a zip", []byte("PK\x03\x04"), "cut short or damaged"},
		{"no pickle", makeZip(t, record{name: "x/data/0", data: eight}), "zip archive without data.pkl"},
		{"pickle too deep in folders", makeZip(t, record{name: "a/b/data.pkl"}), "zip archive without data.pkl"},
		{"two pickles", makeZip(t, record{name: "a/data.pkl"}, record{name: "b/data.pkl"}), "two records data.pkl"},
		{"a record twice", makeZip(t, record{name: "a/data.pkl"}, record{name: "a/x"}, record{name: "a/x"}), `record "a/x" twice`},
		{"parent folder", makeZip(t, record{name: "a/data.pkl"}, record{name: "a/../../x"}), `"a/../../x" leaves the archive's folder`},
		{"absolute path", makeZip(t, record{name: "a/data.pkl"}, record{name: "/etc/x"}), "leaves the archive's folder"},
		{"windows path", makeZip(t, record{name: "a/data.pkl"}, record{name: `..\x`}), "leaves the archive's folder"},
		{"program", makeZip(t, record{name: "a/data.pkl"}, record{name: "a/constants.pkl"}), "TorchScript"},
		{"big endian", makeZip(t, record{name: "a/data.pkl", data: good}, record{name: "a/byteorder", data: []byte("big")}, record{name: "a/data/0", data: eight}), `byteorder is "big"`},
		{"long byteorder", makeZip(t, record{name: "a/data.pkl"}, record{name: "a/byteorder", data: eight}), "more than 16 bytes"},
		{"unknown compression", bytes.ReplaceAll(makeZip(t, record{name: "a/data.pkl", data: good, method: zip.Deflate}), []byte{0x14, 0, 8, 0, 8, 0}, []byte{0x14, 0, 8, 0, 99, 0}), "unsupported compression"},
		{"large pickle", makeZip(t, record{"x/data.pkl", make([]byte, maxPickle+1), zip.Deflate}), "has more than"},
		{"bytes changed", bytes.Replace(pthZip(t, good, eight), eight, append([]byte{1}, eight[1:]...), 1), "CRC-32 does not match"},
		{"storage missing", pthZip(t, good), `tensor "w": storage 0 is missing`},
		{"storage short", pthZip(t, good, eight[:16]), "storage 0 has 16 bytes in the archive where 32 are described"},
		{"storage long", pthZip(t, good, append(eight[:32:32], 0)), "storage 0 has 33 bytes in the archive where 32 are described"},
		{"bomb", makeZip(t, record{name: "x/data.pkl", data: good}, record{"x/data/0", make([]byte, 1<<20), zip.Deflate}), "storage 0 has 1048576 bytes"},
		{"honest bomb", makeZip(t, record{"x/data.pkl", pickled("params", claim{class: "ByteStorage", key: "0", numel: 8 << 20, shape: []int{8 << 20}, stride: []int{1}}.entry("w")), zip.Deflate}, record{"x/data/0", make([]byte, 8<<20), zip.Deflate}), "more than 16 times the memory"},
		{"copies", pthZip(t, pickled("params", copies...), make([]byte, 4<<16)), "more than 16 times the memory"},

		{"call", raw("cos\nsystem\nX\x02\x00\x00\x00id\x85R."), `"os.system" is refused: weights must not run code`},
		{"call beside weights", pthZip(t, pickled("", value("x", "cbuiltins\neval\nX\x03\x00\x00\x001+1\x85R"), value("params", "}")), eight), `"builtins.eval" is refused`},
		{"call by stack", raw("\x8c\x02os\x8c\x06system\x93."), `"os.system" is refused`},
		{"attribute of a known class", raw("\x8c\x0bcollections\x8c\x14OrderedDict.fromkeys\x93."), `"collections.OrderedDict.fromkeys" is refused`},
		{"new object", raw("csubprocess\nPopen\n)\x81."), `"subprocess.Popen" is refused`},
		{"whole model", raw("ctorch.nn.modules.conv\nConv2d\n)\x81."), "save only its tensors"},
		{"old call", raw("(X\x02\x00\x00\x00idios\nsystem\n."), "opcode 0x69 is not one that PyTorch writes"},
		{"call of a text", raw("X\x01\x00\x00\x00a)R."), `calls the text "a", which is refused`},
		{"call of a storage class", raw("ctorch\nFloatStorage\n)R."), "which is refused"},
		{"arguments no tuple", raw("ccollections\nOrderedDict\n]R."), "arguments that are no tuple"},
		{"named arguments", raw("cos\nsystem\n)}\x92."), `"os.system" is refused`},
		{"class named by numbers", raw("K\x01K\x02\x93."), "not named by texts"},
		{"state of a list", raw("]}b."), "sets the state of what has none"},
		{"long name", raw("c" + strings.Repeat("a", 600) + "\nb\n."), "more than 512 bytes"},
		{"long key", raw("}X\x01\x20\x00\x00" + strings.Repeat("a", 0x2001) + "K\x01s."), "more than 4096"},

		{"cut pickle", raw("}"), "pickle ends too early"},
		{"text longer than the pickle", raw("X\xff\xff\xff\x7fa."), "pickle ends too early"},
		{"text of 2^63 bytes", raw("\x8d\xff\xff\xff\xff\xff\xff\xff\xffa."), "pickle ends too early"},
		{"long number", raw("\x8b\x00\x01\x00\x00a."), "a number has 256 bytes"},
		{"stack empty", raw("."), "takes a value that is not there"},
		{"stack empty below bracket", raw("K\x01(\x85."), "takes a value that is not there"},
		{"no bracket", raw("t."), "takes a value that is not there"},
		{"no container", raw("K\x01K\x02K\x03s."), "adds entries to what is no container"},
		{"odd entries", raw("}(K\x01u."), "takes a value that is not there"},
		{"unknown memo", raw("h\x05."), "recalls value 5"},
		{"nothing to keep", raw("q\x05."), "takes a value that is not there"},
		{"future protocol", pthZip(t, []byte("\x80\x09}."), eight), "protocol 9"},
		{"deep", raw(strings.Repeat("(", 2000) + strings.Repeat("l", 2000) + "."), "nested more than 1000 deep"},
		{"many values", raw(strings.Repeat("]", maxValues+1) + "."), "more than 2097152 values"},
		{"many kept values", raw("]" + strings.Repeat("\x94", maxValues) + "."), "more than 2097152 values"},
		{"not a dict", raw("]."), "holds a list of 0, not a dict"},

		{"negative offset", change(func(c *claim) { c.negative = true }), "lies outside of its storage"},
		{"offset outside", change(func(c *claim) { c.offset = 1 }), "lies outside of its storage"},
		{"empty outside", change(func(c *claim) { c.offset, c.shape = 9, []int{0} }), "lies outside of its storage"},
		{"stride outside", change(func(c *claim) { c.shape, c.stride = []int{4, 4}, []int{4, 1} }), "lies outside of its storage"},
		{"scalar outside", change(func(c *claim) { c.offset, c.shape, c.stride = 8, nil, nil }), "lies outside of its storage"},
		{"stride overflows", change(func(c *claim) { c.shape, c.stride = []int{3}, []int{math.MaxInt} }), "lies outside of its storage"},
		{"shape overflows", change(func(c *claim) { c.shape, c.stride = []int{math.MaxInt, math.MaxInt}, []int{0, 0} }), "too many elements"},
		{"expanded", change(func(c *claim) { c.shape, c.stride = []int{1 << 40}, []int{0} }), "repeats the 8 elements"},
		{"strides missing", change(func(c *claim) { c.stride = nil }), "has 0 strides"},
		{"many dimensions", change(func(c *claim) { c.shape = make([]int, 65) }), "not a tuple of at most 64"},
		{"huge storage", change(func(c *claim) { c.numel = 1 << 40 }), "where 4398046511104 are described"},
		{"impossible storage", change(func(c *claim) { c.numel = math.MaxInt }), "claims 9223372036854775807 elements"},
		{"storage key is a path", change(func(c *claim) { c.key = "../data.pkl" }), `storage key "../data.pkl" is refused`},
		{"storage key empty", change(func(c *claim) { c.key = "" }), `storage key "" is refused`},
		{"storage class unknown", change(func(c *claim) { c.class = "QUInt8Storage" }), `"torch.QUInt8Storage" is refused`},
		{"storage class no storage", change(func(c *claim) { c.class = "device" }), "does not name a storage"},
		{"old view", change(func(c *claim) { c.viewMetadata = true }), "before 0.4"},
		{"storage described twice", pthZip(t, pickled("params", flat().entry("w"), otherSize.entry("v")), eight), "described twice, differently"},
		{"few arguments", raw("ctorch._utils\n_rebuild_tensor_v2\n)R."), "described by 0 values"},
		{"no storage", raw("ctorch._utils\n_rebuild_tensor_v2\n(K\x01K\x01))tR."), "without a storage"},
		{"conjugate bits", raw("ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000NK\x08tQK\x00))\x89N}X\x04\x00\x00\x00conj\x88stR."), "conjugate or negative bits"},
		{"shape no tuple", raw("ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000NK\x08tQK\x00])tR."), "shape of a tensor: not a tuple"},
		{"shape of a text", raw("ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000NK\x08tQK\x00X\x01\x00\x00\x00a\x85)tR."), `the text "a" is not a size`},
		{"parameter of nothing", raw("ctorch._utils\n_rebuild_parameter\n(K\x01K\x01)tR."), "a parameter is not made of a tensor"},
		{"size of nothing", raw("ctorch\nSize\n)R."), "torch.Size is not made of numbers"},
		{"dict of numbers", raw("ccollections\nOrderedDict\nK\x01\x85R."), "something else than pairs"},
		{"dict of no pairs", raw("ccollections\nOrderedDict\n]K\x01a\x85R."), "something else than pairs"},
		{"reference to something else", raw("X\x01\x00\x00\x00aQ."), "does not name a storage"},

		{"plain pickle", []byte("\x80\x04}."), "a Python pickle, but not of torch.save"},
		{"legacy version", append([]byte("\x80\x02\x8a\x0a"+string(legacyMagic)+"."), "\x80\x02K\x07."...), "its version is the number 7, need 1001"},
		{"legacy big endian", bytes.Replace(goodLegacy, []byte("\x88s."), []byte("\x89s."), 1), "not little endian"},
		{"legacy without list", pthLegacy(good, nil, nil)[:len(legacyHead())+len(good)], "pickle ends too early"},
		{"legacy list no list", append(append(legacyHead(), good...), "\x80\x02}."...), "in place of the list of its storages it has a dict"},
		{"legacy storage missing", pthLegacy(good, nil, nil), "storage 0 is missing"},
		{"legacy storage unknown", pthLegacy(good, []string{"1"}, []int{8}, eight), `names the text "1", which no tensor uses`},
		{"legacy storage twice", pthLegacy(good, []string{"0", "0"}, []int{8, 8}, eight, eight), `names the text "0", which`},
		{"legacy other count", pthLegacy(good, []string{"0"}, []int{7}, eight), "storage 0 has 7 elements where 8 are described"},
		{"legacy cut", goodLegacy[:len(goodLegacy)-1], "cut short: storage 0 has 31 of its 32 bytes"},
		{"legacy cut in the count", goodLegacy[:len(goodLegacy)-33], "cut short: storage 0 is not there"},
		{"legacy call", legacy([]byte("\x80\x02cos\nsystem\nX\x02\x00\x00\x00id\x85R.")), `"os.system" is refused`},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := saveFile(t, c.file)
			f, err := Open(path)
			if err == nil {
				_, _, err = f.Weights("")
			}
			if err == nil {
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("message %q should name the file and contain %q", err, c.want)
			}
		})
	}
	if _, err := Open(filepath.Join(t.TempDir(), "no")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file gave %v", err)
	}
	if _, err := Open(t.TempDir()); err == nil || !strings.Contains(err.Error(), "regular file") {
		t.Errorf("a folder gave %v", err)
	}
}

// TestOpenTruncated cuts good files at every byte: all must be refused.
func TestOpenTruncated(t *testing.T) {
	tensors := map[string]Tensor{"a": Float32Tensor([]float32{1, 2}, 2), "b": Float32Tensor([]float32{3}, 1)}
	for name, raw := range map[string][]byte{
		"zip":    writePTH(t, "params", tensors),
		"legacy": pthLegacy(pickled("params", flat().entry("w")), []string{"0"}, []int{8}, eight),
	} {
		for n := range raw {
			if _, err := openContent(bytes.NewReader(raw[:n]), int64(n)); err == nil {
				t.Errorf("the first %d of %d bytes of the %s file were accepted", n, len(raw), name)
			}
		}
	}
}

// allocated returns the bytes that f allocates, freed or not.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestOpenAllocatesLittle opens the files that make the most of few bytes.
func TestOpenAllocatesLittle(t *testing.T) {
	for name, pickle := range map[string]string{
		"dicts": strings.Repeat("}", 1<<16), "kept lists": strings.Repeat("]\x94", 1<<15),
		"entries": "}(" + strings.Repeat("K\x01)", 20000) + "u.",
	} {
		raw := makeZip(t, record{"x/data.pkl", []byte("\x80\x02" + pickle), zip.Deflate})
		var err error
		used := allocated(func() { _, err = openContent(bytes.NewReader(raw), int64(len(raw))) })
		if limit := uint64(16 << 20); used > limit {
			t.Errorf("%s: opening %d bytes allocated %d, more than %d (%v)", name, len(raw), used, limit, err)
		}
		t.Logf("%s: %d bytes, allocated %d", name, len(raw), used)
	}
}

// FuzzReadPTH reads anything, as a file and as the pickle in a good file of both formats (so that
// no checksum is in the way): it must not panic nor allocate without bound, and what it accepts
// must be tensors whose data fits their shapes.
func FuzzReadPTH(f *testing.F) {
	good := pickled("params", flat().entry("w"))
	f.Add(writePTH(f, "params", map[string]Tensor{"a": Float32Tensor([]float32{1, 2}, 2)}))
	f.Add(makeZip(f, record{"x/data.pkl", good, zip.Deflate}, record{"x/data/0", eight, zip.Deflate}))
	f.Add(pthLegacy(good, []string{"0"}, []int{8}, eight))
	f.Add(good)
	f.Add(pickled("", append(slices.Clone(harmlessExtras), flat().entry("w"))...))
	f.Add([]byte("\x10\x00\x00\x00\x00\x00\x00\x00{\"a\":{}}        "))
	f.Add([]byte("<html>"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, file := range [][]byte{raw, pthZip(t, raw, eight), pthLegacy(raw, []string{"0"}, []int{8}, eight)} {
			fuzzFile(t, file)
		}
	})
}

func fuzzFile(t *testing.T, raw []byte) {
	var c *content
	var err error
	// A pickle may inflate to 16 times the file and 64 KiB, each byte of it to a dict in a
	// growing stack: some 150 bytes. See TestOpenAllocatesLittle.
	limit := uint64(16*150*len(raw) + 16<<20)
	if used := allocated(func() { c, err = openContent(bytes.NewReader(raw), int64(len(raw))) }); used > limit {
		t.Errorf("opening %d bytes allocated %d", len(raw), used)
	}
	if err != nil {
		return
	}
	for _, g := range c.groups {
		tensors, err := c.read(g)
		if err != nil {
			continue
		}
		for name, tensor := range tensors {
			if _, err := tensor.check(tensor.DType); err != nil {
				t.Errorf("tensor %q: %v", name, err)
			}
		}
		if len(tensors) != len(g.Tensors) {
			t.Errorf("%d tensors read, %d described", len(tensors), len(g.Tensors))
		}
	}
}
