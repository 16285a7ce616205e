// Package torch reads and writes the files in which PyTorch users keep weights.
package torch

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"sort"
	"strings"
)

// maxHeader is the largest header accepted, the limit of the reference implementation: a header
// holds names and shapes only, so a larger one is a broken or hostile file.
const maxHeader = 100_000_000

// metadataKey is the header's one entry that is not a tensor.
const metadataKey = "__metadata__"

// typeSizes holds the bytes per element of the types supported here, by safetensors name.
var typeSizes = map[string]int{
	"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1,
}

// Tensor is a named file entry: raw values with their type and shape.
type Tensor struct {
	Shape []int  // row-major; empty for a scalar
	DType string // "F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U8" or "BOOL"
	Data  []byte // little endian, len = elements * bytes per element
}

// Size returns the number of elements (1 for a scalar). It panics on a shape whose product
// overflows; tensors from ReadSafetensors have been checked.
func (t Tensor) Size() int {
	n, err := elements(t.Shape)
	if err != nil {
		panic(err)
	}
	return n
}

// Float32 returns the values of a floating point tensor (F32, F16, BF16; F64 is rounded) as a
// new slice.
func (t Tensor) Float32() ([]float32, error) {
	n, err := t.check("F32", "F16", "BF16", "F64")
	if err != nil {
		return nil, err
	}
	out := make([]float32, n)
	for i := range out {
		switch t.DType {
		case "F32":
			out[i] = math.Float32frombits(binary.LittleEndian.Uint32(t.Data[4*i:]))
		case "F16":
			out[i] = halfToFloat32(binary.LittleEndian.Uint16(t.Data[2*i:]))
		case "BF16":
			out[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(t.Data[2*i:])) << 16)
		case "F64":
			out[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(t.Data[8*i:])))
		}
	}
	return out, nil
}

// Int64 returns the values of an integer tensor (I64, I32, I16, I8, U8, BOOL) as a new slice.
func (t Tensor) Int64() ([]int64, error) {
	n, err := t.check("I64", "I32", "I16", "I8", "U8", "BOOL")
	if err != nil {
		return nil, err
	}
	out := make([]int64, n)
	for i := range out {
		switch t.DType {
		case "I64":
			out[i] = int64(binary.LittleEndian.Uint64(t.Data[8*i:]))
		case "I32":
			out[i] = int64(int32(binary.LittleEndian.Uint32(t.Data[4*i:])))
		case "I16":
			out[i] = int64(int16(binary.LittleEndian.Uint16(t.Data[2*i:])))
		case "I8":
			out[i] = int64(int8(t.Data[i]))
		default:
			out[i] = int64(t.Data[i])
		}
	}
	return out, nil
}

// Float32Tensor makes an F32 tensor of the shape (no shape: a scalar) from a copy of data. It
// panics if the shape does not have len(data) elements.
func Float32Tensor(data []float32, shape ...int) Tensor {
	if n, err := elements(shape); err != nil || n != len(data) {
		panic(fmt.Sprintf("torch.Float32Tensor: %d values do not fill shape %v", len(data), shape))
	}
	raw := make([]byte, 4*len(data))
	for i, v := range data {
		binary.LittleEndian.PutUint32(raw[4*i:], math.Float32bits(v))
	}
	return Tensor{Shape: slices.Clone(shape), DType: "F32", Data: raw}
}

// check returns the number of elements if the type is one of those allowed and Data fits.
func (t Tensor) check(allowed ...string) (int, error) {
	if !slices.Contains(allowed, t.DType) {
		return 0, fmt.Errorf("tensor of type %q has no such values, need one of %s", t.DType, strings.Join(allowed, ", "))
	}
	n, err := elements(t.Shape)
	if err != nil {
		return 0, err
	}
	if size := typeSizes[t.DType]; n > math.MaxInt/size || n*size != len(t.Data) {
		return 0, fmt.Errorf("tensor of type %s and shape %v has %d bytes of data, which does not match", t.DType, t.Shape, len(t.Data))
	}
	return n, nil
}

// elements is the product of the dimensions, or an error for a negative one or an overflow.
func elements(shape []int) (int, error) {
	n := 1
	for _, d := range shape {
		if d < 0 {
			return 0, fmt.Errorf("shape %v has a negative dimension", shape)
		}
		if d > 0 && n > math.MaxInt/d {
			return 0, fmt.Errorf("shape %v has too many elements", shape)
		}
		n *= d
	}
	return n, nil
}

// halfToFloat32 converts an IEEE 754 half precision number exactly.
func halfToFloat32(h uint16) float32 {
	sign, exponent, fraction := uint32(h>>15)<<31, uint32(h>>10)&0x1f, uint32(h)&0x3ff
	switch exponent {
	case 0: // zero and subnormal: fraction * 2^-24 is exact in float32
		return math.Float32frombits(sign | math.Float32bits(float32(fraction)*0x1p-24))
	case 0x1f: // infinity and NaN
		return math.Float32frombits(sign | 0x7f800000 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+127-15)<<23 | fraction<<13)
}

// headerEntry is the description of one tensor in the header. Pointers tell a missing field from
// a zero one.
type headerEntry struct {
	DType   *string  `json:"dtype"`
	Shape   *[]int   `json:"shape"`
	Offsets *[]int64 `json:"data_offsets"`
}

// span is where a tensor lies in the data part of the file.
type span struct {
	name       string
	begin, end int64
}

// ReadSafetensors reads all tensors and the metadata (nil if there is none) of a .safetensors
// file. The header is checked against the file's size before anything is allocated for it, and
// errors name the file and the tensor. Offsets must cover the data part without gap or overlap,
// as the format demands.
func ReadSafetensors(path string) (tensors map[string]Tensor, metadata map[string]string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("opening weights: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, fmt.Errorf("opening weights: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%s is not a regular file, so not a safetensors file", path)
	}
	tensors, metadata, err = readSafetensors(f, info.Size())
	if err != nil {
		return nil, nil, fmt.Errorf("%s is not a usable safetensors file: %w", path, err)
	}
	return tensors, metadata, nil
}

// readSafetensors reads a file of the given size.
func readSafetensors(r io.Reader, size int64) (map[string]Tensor, map[string]string, error) {
	tensors, spans, metadata, err := describeSafetensors(r, size)
	if err != nil {
		return nil, nil, err
	}
	for _, s := range spans { // adjacent, so read straight through
		t := tensors[s.name]
		t.Data = make([]byte, s.end-s.begin)
		if _, err := io.ReadFull(r, t.Data); err != nil {
			return nil, nil, fmt.Errorf("tensor %q: reading %d bytes: %w", s.name, s.end-s.begin, err)
		}
		tensors[s.name] = t
	}
	return tensors, metadata, nil
}

// describeSafetensors reads and checks the header: the tensors still without data, and where it
// lies, in the order of the file and without a gap.
func describeSafetensors(r io.Reader, size int64) (map[string]Tensor, []span, map[string]string, error) {
	header, err := readHeader(r, size)
	if err != nil {
		return nil, nil, nil, err
	}
	dataSize := size - 8 - int64(len(header))
	entries, metadata, err := parseHeader(header)
	if err != nil {
		return nil, nil, nil, err
	}
	tensors := make(map[string]Tensor, len(entries))
	spans := make([]span, 0, len(entries))
	for name, e := range entries {
		t, s, err := e.locate(dataSize)
		if err != nil {
			return nil, nil, nil, fmt.Errorf("tensor %q: %w", name, err)
		}
		s.name = name
		tensors[name], spans = t, append(spans, s)
	}
	if err := checkSpans(spans, dataSize); err != nil {
		return nil, nil, nil, err
	}
	return tensors, spans, metadata, nil
}

// readHeader returns the JSON text after the length field.
func readHeader(r io.Reader, size int64) ([]byte, error) {
	if size < 8 {
		return nil, fmt.Errorf("it has only %d bytes, less than the length field of a header", size)
	}
	var length [8]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, fmt.Errorf("reading the header's length: %w", err)
	}
	n := binary.LittleEndian.Uint64(length[:])
	if n > uint64(size-8) {
		return nil, fmt.Errorf("its header claims %d bytes but only %d follow (another format, or truncated)", n, size-8)
	}
	if n > maxHeader {
		return nil, fmt.Errorf("its header has %d bytes, more than the format's limit of %d", n, maxHeader)
	}
	header := make([]byte, n)
	if _, err := io.ReadFull(r, header); err != nil {
		return nil, fmt.Errorf("reading the header: %w", err)
	}
	return header, nil
}

// parseHeader decodes the header's entries, refusing a tensor named twice: JSON decoders keep the
// last one silently, so two readers could see different weights.
func parseHeader(header []byte) (map[string]headerEntry, map[string]string, error) {
	dec := json.NewDecoder(bytes.NewReader(header))
	if tok, err := dec.Token(); err != nil || tok != json.Delim('{') {
		return nil, nil, errors.New("its header is not a JSON object")
	}
	entries := make(map[string]headerEntry)
	var metadata map[string]string
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return nil, nil, fmt.Errorf("its header is not valid JSON: %w", err)
		}
		name := tok.(string) // the decoder accepts nothing else as a key
		if name == metadataKey {
			if err := dec.Decode(&metadata); err != nil {
				return nil, nil, fmt.Errorf("its %s must map strings to strings: %w", metadataKey, err)
			}
			continue
		}
		if _, twice := entries[name]; twice {
			return nil, nil, fmt.Errorf("tensor %q: described twice in the header", name)
		}
		var e headerEntry
		if err := dec.Decode(&e); err != nil {
			return nil, nil, fmt.Errorf("tensor %q: bad description in the header: %w", name, err)
		}
		entries[name] = e
	}
	if _, err := dec.Token(); err != nil {
		return nil, nil, fmt.Errorf("its header is not valid JSON: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, nil, errors.New("its header has something after the JSON object")
	}
	return entries, metadata, nil
}

// locate checks one description against the size of the data part, and returns the tensor
// without its data, and where that lies.
func (e headerEntry) locate(dataSize int64) (Tensor, span, error) {
	if e.DType == nil || e.Shape == nil || e.Offsets == nil || len(*e.Offsets) != 2 {
		return Tensor{}, span{}, errors.New("needs dtype, shape and two data_offsets in the header")
	}
	size, ok := typeSizes[*e.DType]
	if !ok {
		return Tensor{}, span{}, fmt.Errorf("type %q is not supported", *e.DType)
	}
	begin, end := (*e.Offsets)[0], (*e.Offsets)[1]
	if begin < 0 || end < begin || end > dataSize {
		return Tensor{}, span{}, fmt.Errorf("data_offsets [%d, %d] lie outside of the %d bytes of data (truncated file?)", begin, end, dataSize)
	}
	n, err := elements(*e.Shape)
	if err != nil {
		return Tensor{}, span{}, err
	}
	if n > math.MaxInt/size || int64(n*size) != end-begin {
		return Tensor{}, span{}, fmt.Errorf("shape %v of type %s does not match its %d bytes of data", *e.Shape, *e.DType, end-begin)
	}
	return Tensor{Shape: *e.Shape, DType: *e.DType}, span{begin: begin, end: end}, nil
}

// checkSpans sorts the spans by position and demands that they cover the data part exactly.
func checkSpans(spans []span, dataSize int64) error {
	sort.Slice(spans, func(i, j int) bool {
		a, b := spans[i], spans[j]
		if a.begin != b.begin {
			return a.begin < b.begin
		}
		if a.end != b.end { // an empty tensor comes before what starts at the same place
			return a.end < b.end
		}
		return a.name < b.name
	})
	at := int64(0)
	for _, s := range spans {
		if s.begin < at {
			return fmt.Errorf("tensor %q: its data overlaps that of another tensor", s.name)
		}
		if s.begin > at {
			return fmt.Errorf("tensor %q: %d bytes before its data belong to no tensor", s.name, s.begin-at)
		}
		at = s.end
	}
	if at != dataSize {
		return fmt.Errorf("%d bytes after the last tensor belong to none", dataSize-at)
	}
	return nil
}

// WriteSafetensors writes tensors in the order of their names, so that equal tensors give equal
// files, with the data starting at a multiple of 8 bytes. Nothing is copied: the data goes
// straight to w. Write through a buffer or a file, and atomically, is the caller's business.
func WriteSafetensors(w io.Writer, tensors map[string]Tensor, metadata map[string]string) error {
	names := make([]string, 0, len(tensors))
	for name := range tensors {
		names = append(names, name)
	}
	sort.Strings(names)
	header, err := buildHeader(names, tensors, metadata)
	if err != nil {
		return err
	}
	if _, err := w.Write(header); err != nil {
		return fmt.Errorf("writing safetensors header: %w", err)
	}
	for _, name := range names {
		if _, err := w.Write(tensors[name].Data); err != nil {
			return fmt.Errorf("writing tensor %q: %w", name, err)
		}
	}
	return nil
}

// buildHeader returns length field and JSON, padded with spaces to a multiple of 8 bytes.
func buildHeader(names []string, tensors map[string]Tensor, metadata map[string]string) ([]byte, error) {
	buf := bytes.NewBuffer(make([]byte, 8))
	buf.WriteByte('{')
	if len(metadata) > 0 {
		if err := writeEntry(buf, metadataKey, metadata); err != nil {
			return nil, err
		}
	}
	at := int64(0)
	for _, name := range names {
		t := tensors[name]
		if name == metadataKey {
			return nil, fmt.Errorf("a tensor cannot be named %q, the format uses that name itself", name)
		}
		if _, ok := typeSizes[t.DType]; !ok {
			return nil, fmt.Errorf("tensor %q: type %q is not supported", name, t.DType)
		}
		if _, err := t.check(t.DType); err != nil {
			return nil, fmt.Errorf("tensor %q: %w", name, err)
		}
		shape := append([]int{}, t.Shape...) // null is not a shape
		end := at + int64(len(t.Data))
		if err := writeEntry(buf, name, headerEntry{&t.DType, &shape, &[]int64{at, end}}); err != nil {
			return nil, err
		}
		at = end
	}
	buf.WriteByte('}')
	for buf.Len()%8 != 0 {
		buf.WriteByte(' ')
	}
	if buf.Len()-8 > maxHeader {
		return nil, fmt.Errorf("names of %d tensors make a header of %d bytes, more than the format's limit of %d", len(names), buf.Len()-8, maxHeader)
	}
	header := buf.Bytes()
	binary.LittleEndian.PutUint64(header, uint64(len(header)-8))
	return header, nil
}

// writeEntry appends one "name":value, with a comma before all but the first.
func writeEntry(buf *bytes.Buffer, name string, value any) error {
	key, err := json.Marshal(name)
	if err != nil {
		return fmt.Errorf("header entry %q: %w", name, err)
	}
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("header entry %q: %w", name, err)
	}
	if buf.Len() > 9 { // 8 bytes of length and the opening brace
		buf.WriteByte(',')
	}
	buf.Write(key)
	buf.WriteByte(':')
	buf.Write(text)
	return nil
}
