package torch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/godcpt/godcpt/internal/paritytest"
)

// writeRaw makes a file from a header text, its claimed length (-1: the true one) and the data.
func writeRaw(t *testing.T, header string, claimed int64, data []byte) string {
	t.Helper()
	if claimed == -1 {
		claimed = int64(len(header))
	}
	raw := binary.LittleEndian.AppendUint64(nil, uint64(claimed))
	raw = append(append(raw, header...), data...)
	path := filepath.Join(t.TempDir(), "x.safetensors")
	if err := os.WriteFile(path, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSafetensorsRoundTrip(t *testing.T) {
	tensors := map[string]Tensor{
		"w":       Float32Tensor([]float32{1, -2, 3.5, float32(math.Inf(1)), 0, 1e-42}, 2, 3),
		"scalar":  Float32Tensor([]float32{7}),
		"empty":   Float32Tensor(nil, 0, 3),
		"half":    {Shape: []int{1}, DType: "F16", Data: []byte{0x00, 0x3c}},
		"byte":    {Shape: []int{3}, DType: "U8", Data: []byte{1, 2, 255}}, // makes what follows unaligned
		"labels":  {Shape: []int{1}, DType: "I64", Data: []byte{254, 255, 255, 255, 255, 255, 255, 255}},
		`q"uo\te`: Float32Tensor([]float32{1}, 1),
	}
	metadata := map[string]string{"format": "pt", "step": "12"}
	var a, b bytes.Buffer
	for _, buf := range []*bytes.Buffer{&a, &b} {
		if err := WriteSafetensors(buf, tensors, metadata); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("equal tensors gave different files")
	}
	if n := binary.LittleEndian.Uint64(a.Bytes()); n%8 != 0 {
		t.Errorf("header of %d bytes: the data is not aligned to 8", n)
	}
	path := filepath.Join(t.TempDir(), "a.safetensors")
	if err := os.WriteFile(path, a.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	got, gotMeta, err := ReadSafetensors(path)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(gotMeta, metadata) {
		t.Errorf("metadata %v, want %v", gotMeta, metadata)
	}
	if len(got) != len(tensors) {
		t.Errorf("read %d tensors, want %d", len(got), len(tensors))
	}
	for name, want := range tensors {
		g := got[name]
		if g.DType != want.DType || !slices.Equal(g.Shape, want.Shape) || !bytes.Equal(g.Data, want.Data) {
			t.Errorf("%s: read %v, wrote %v", name, g, want)
		}
	}
	if v, err := got["labels"].Int64(); err != nil || v[0] != -2 {
		t.Errorf("labels: %v, %v", v, err)
	}
}

func TestTensorConversions(t *testing.T) {
	u16 := func(v ...uint16) (b []byte) {
		for _, x := range v {
			b = binary.LittleEndian.AppendUint16(b, x)
		}
		return b
	}
	inf := float32(math.Inf(1))
	for _, c := range []struct {
		name string
		in   Tensor
		want []float32
	}{
		// Values from IEEE 754 half precision: one, -2, largest, smallest normal, smallest and
		// largest subnormal, zero, infinity.
		{"half", Tensor{[]int{8}, "F16", u16(0x3c00, 0xc000, 0x7bff, 0x0400, 0x0001, 0x03ff, 0, 0x7c00)},
			[]float32{1, -2, 65504, 0x1p-14, 0x1p-24, 1023 * 0x1p-24, 0, inf}},
		{"bfloat16", Tensor{[]int{3}, "BF16", u16(0x3f80, 0xc049, 0xff80)}, []float32{1, -3.140625, -inf}},
		{"double", Tensor{[]int{}, "F64", binary.LittleEndian.AppendUint64(nil, math.Float64bits(0.1))}, []float32{0.1}},
	} {
		got, err := c.in.Float32()
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, %v; want %v", c.name, got, err, c.want)
		}
	}
	nan, err := Tensor{[]int{1}, "F16", u16(0x7e00)}.Float32()
	if err != nil || nan[0] == nan[0] {
		t.Errorf("half NaN became %v, %v", nan, err)
	}
	brainNaN, err := Tensor{[]int{1}, "BF16", u16(0x7fc0)}.Float32()
	if err != nil || brainNaN[0] == brainNaN[0] {
		t.Errorf("bfloat16 NaN became %v, %v", brainNaN, err)
	}
	for _, c := range []struct {
		name string
		in   Tensor
		want []int64
	}{
		{"int16", Tensor{[]int{2}, "I16", []byte{254, 255, 5, 1}}, []int64{-2, 261}},
		{"int8", Tensor{[]int{2}, "I8", []byte{254, 5}}, []int64{-2, 5}},
		{"int32", Tensor{[]int{2}, "I32", []byte{255, 255, 255, 255, 5, 0, 0, 0}}, []int64{-1, 5}},
		{"uint8", Tensor{[]int{2}, "U8", []byte{255, 5}}, []int64{255, 5}},
		{"bool", Tensor{[]int{2}, "BOOL", []byte{0, 1}}, []int64{0, 1}},
	} {
		got, err := c.in.Int64()
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, %v; want %v", c.name, got, err, c.want)
		}
	}
	if _, err := (Tensor{[]int{1}, "I64", make([]byte, 8)}).Float32(); err == nil {
		t.Error("an integer tensor was taken for floats")
	}
	if _, err := (Tensor{[]int{3}, "F32", make([]byte, 8)}).Float32(); err == nil {
		t.Error("a tensor with too little data was accepted")
	}
}

// TestEveryHalf compares all half precision numbers with their definition, computed in float64.
func TestEveryHalf(t *testing.T) {
	for h := range 1 << 16 {
		sign, exponent, fraction := 1-2*float64(h>>15), h>>10&31, float64(h&1023)/1024
		want := sign * math.Ldexp(1+fraction, exponent-15)
		switch exponent {
		case 0:
			want = sign * math.Ldexp(fraction, -14)
		case 31:
			if want = sign * math.Inf(1); fraction > 0 {
				want = math.NaN()
			}
		}
		got := float64(halfToFloat32(uint16(h)))
		if got != want && !(math.IsNaN(got) && math.IsNaN(want)) || math.Signbit(got) != (h>>15 == 1) {
			t.Fatalf("0x%04x became %g, want %g", h, got, want)
		}
	}
}

func TestReadSafetensorsRefuses(t *testing.T) {
	const ok = `{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[1],"data_offsets":[8,9]}}`
	for _, c := range []struct {
		name, header string
		claimed      int64
		data         int
		want         string // must be in the message
	}{
		{"header length beyond the file", ok, 1 << 40, 9, "header claims"},
		{"header length overflows", ok, math.MinInt64, 9, "header claims"},
		{"not json", "hello", -1, 9, "not a JSON object"},
		{"json array", "[1]", -1, 9, "not a JSON object"},
		{"unclosed", `{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}`, -1, 8, "not valid JSON"},
		{"something after", ok + `{}`, -1, 9, "after the JSON object"},
		{"truncated data", ok, -1, 8, `tensor "b"`},
		{"trailing data", ok, -1, 10, "after the last tensor"},
		{"overlap", `{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[2],"data_offsets":[7,9]}}`, -1, 9, `tensor "b": its data overlaps`},
		{"hole", `{"a":{"dtype":"F32","shape":[2],"data_offsets":[1,9]}}`, -1, 9, `tensor "a": 1 bytes before`},
		{"negative offset", `{"a":{"dtype":"F32","shape":[2],"data_offsets":[-8,0]}}`, -1, 9, `tensor "a": data_offsets`},
		{"reversed offsets", `{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}`, -1, 9, `tensor "a": data_offsets`},
		{"shape against offsets", `{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}`, -1, 8, `tensor "a": shape [3]`},
		{"shape overflows", `{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}`, -1, 0, `tensor "a": shape`},
		{"bytes overflow", `{"a":{"dtype":"F64","shape":[2305843009213693952],"data_offsets":[0,0]}}`, -1, 0, `tensor "a": shape`},
		{"negative dimension", `{"a":{"dtype":"F32","shape":[-1,-2],"data_offsets":[0,8]}}`, -1, 8, `tensor "a": shape`},
		{"fractional dimension", `{"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,8]}}`, -1, 8, `tensor "a": bad description`},
		{"unknown type", `{"a":{"dtype":"F8","shape":[8],"data_offsets":[0,8]}}`, -1, 8, `tensor "a": type "F8"`},
		{"no type", `{"a":{"shape":[2],"data_offsets":[0,8]}}`, -1, 8, `tensor "a": needs`},
		{"no offsets", `{"a":{"dtype":"F32","shape":[2]}}`, -1, 8, `tensor "a": needs`},
		{"three offsets", `{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8,8]}}`, -1, 8, `tensor "a": needs`},
		{"twice", `{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, -1, 1, `tensor "a": described twice`},
		{"metadata not text", `{"__metadata__":{"a":1}}`, -1, 0, "__metadata__"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := writeRaw(t, c.header, c.claimed, make([]byte, c.data))
			_, _, err := ReadSafetensors(path)
			if err == nil {
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("message %q should name the file and contain %q", err, c.want)
			}
		})
	}
	t.Run("short file", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "empty")
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, _, err := ReadSafetensors(path); err == nil || !strings.Contains(err.Error(), "0 bytes") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("missing file", func(t *testing.T) {
		if _, _, err := ReadSafetensors(filepath.Join(t.TempDir(), "no")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("folder", func(t *testing.T) {
		if _, _, err := ReadSafetensors(t.TempDir()); err == nil || !strings.Contains(err.Error(), "regular file") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("every truncation", func(t *testing.T) {
		var buf bytes.Buffer
		if err := WriteSafetensors(&buf, map[string]Tensor{"a": Float32Tensor([]float32{1, 2}, 2)}, map[string]string{"k": "v"}); err != nil {
			t.Fatal(err)
		}
		for n := range buf.Len() {
			if _, _, err := readSafetensors(bytes.NewReader(buf.Bytes()[:n]), int64(n)); err == nil {
				t.Errorf("the first %d of %d bytes were accepted", n, buf.Len())
			}
		}
	})
}

func TestWriteSafetensorsRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		tensors map[string]Tensor
		want    string
	}{
		"type":     {map[string]Tensor{"a": {Shape: []int{1}, DType: "C64", Data: make([]byte, 8)}}, `tensor "a": type "C64"`},
		"size":     {map[string]Tensor{"a": {Shape: []int{3}, DType: "F32", Data: make([]byte, 8)}}, `tensor "a"`},
		"reserved": {map[string]Tensor{"__metadata__": Float32Tensor([]float32{1}, 1)}, "__metadata__"},
	} {
		var buf bytes.Buffer
		err := WriteSafetensors(&buf, c.tensors, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want a message with %q", name, err, c.want)
		}
		if buf.Len() > 0 {
			t.Errorf("%s: wrote %d bytes before refusing", name, buf.Len())
		}
	}
	if err := WriteSafetensors(failingWriter{}, map[string]Tensor{"a": Float32Tensor([]float32{1}, 1)}, nil); !errors.Is(err, errFull) {
		t.Errorf("a failing writer gave %v", err)
	}
}

var errFull = errors.New("no space left")

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errFull }

// TestParitySafetensors reads every file that the reference implementation wrote, and writes it
// again: the result must read equal.
func TestParitySafetensors(t *testing.T) {
	found := 0
	for _, dir := range paritytest.Dirs(t) {
		files, err := filepath.Glob(filepath.Join(dir, "*", "*.safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		found += len(files)
		for _, file := range files {
			t.Run(filepath.Base(filepath.Dir(file))+"/"+filepath.Base(file), func(t *testing.T) {
				if filepath.Base(filepath.Dir(file)) == "bad_pth" {
					t.Skip("hostile checkpoints are checked with the .pth reader")
				}
				tensors, metadata, err := ReadSafetensors(file)
				if err != nil {
					t.Fatal(err)
				}
				var buf bytes.Buffer
				if err := WriteSafetensors(&buf, tensors, metadata); err != nil {
					t.Fatal(err)
				}
				again, againMeta, err := readSafetensors(&buf, int64(buf.Len()))
				if err != nil {
					t.Fatal(err)
				}
				if !maps.EqualFunc(tensors, again, func(a, b Tensor) bool { return reflect.DeepEqual(a, b) }) || !maps.Equal(metadata, againMeta) {
					t.Error("reading what was written gives something else")
				}
			})
		}
	}
	if found == 0 {
		paritytest.NoCases(t, "*.safetensors")
	}
}
