package torch

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"math"
	"slices"
)

// pthAlignment is where PyTorch starts the numbers of each storage, so that it can map them.
const pthAlignment = 64

// pthRoot is the folder in the archive; PyTorch takes any.
const pthRoot = "archive"

// storageNames are the storage classes by safetensors type.
var storageNames = map[string]string{
	"F64": "DoubleStorage", "F32": "FloatStorage", "F16": "HalfStorage", "BF16": "BFloat16Storage", "I64": "LongStorage",
	"I32": "IntStorage", "I16": "ShortStorage", "I8": "CharStorage", "U8": "ByteStorage", "BOOL": "BoolStorage",
}

// WritePTH writes tensors as torch.save of PyTorch 1.6 and later does, such that torch.load reads
// them with weights_only=True: {group: OrderedDict of the tensors}, or the OrderedDict itself if
// group is empty. The official loader looks for "params_ema" and "params". Names are in sorted
// order and nothing depends on the time, so that equal tensors give equal files. A tensor of 4 GiB
// or more is an error. To write atomically is the caller's business.
func WritePTH(w io.Writer, group string, tensors map[string]Tensor) error {
	names := slices.Sorted(maps.Keys(tensors))
	pickle, err := pickleTensors(group, names, tensors)
	if err != nil {
		return fmt.Errorf("writing a PyTorch file: %w", err)
	}
	out := &recordWriter{zip: zip.NewWriter(w)}
	out.write("data.pkl", pickle)
	out.write("byteorder", []byte("little"))
	for i, name := range names {
		out.write(fmt.Sprintf("data/%d", i), tensors[name].Data)
	}
	out.write("version", []byte("3\n"))
	if out.err == nil {
		out.err = out.zip.Close()
	}
	if out.err != nil {
		return fmt.Errorf("writing a PyTorch file: %w", out.err)
	}
	return nil
}

// recordWriter writes stored records whose data is aligned. It keeps the first error.
type recordWriter struct {
	zip *zip.Writer
	at  int64 // bytes written
	err error
}

func (r *recordWriter) write(name string, data []byte) {
	if r.err != nil {
		return
	}
	name = pthRoot + "/" + name
	// The local header is 30 bytes, the name and an extra field ("FB", its length, and padding).
	start := r.at + 30 + int64(len(name)) + 4
	padding := (pthAlignment - start%pthAlignment) % pthAlignment
	extra := append([]byte("FB"), byte(padding), 0)
	extra = append(extra, bytes.Repeat([]byte("Z"), int(padding))...)
	record, err := r.zip.CreateRaw(&zip.FileHeader{
		Name:               name,
		Extra:              extra,
		CRC32:              crc32.ChecksumIEEE(data),
		CompressedSize64:   uint64(len(data)),
		UncompressedSize64: uint64(len(data)),
	})
	if err == nil {
		_, err = record.Write(data)
	}
	r.at, r.err = start+padding+int64(len(data)), err
}

// pickleTensors describes the tensors, storage i being that of name i, in pickle protocol 2.
func pickleTensors(group string, names []string, tensors map[string]Tensor) ([]byte, error) {
	if len(names) == 0 {
		return nil, errors.New("there are no tensors")
	}
	var p pickler
	p.op(0x80, 2) // PROTO
	if group != "" {
		p.op('}') // EMPTY_DICT
		p.text(group)
	}
	p.orderedDict()
	p.op('(') // MARK
	for i, name := range names {
		t := tensors[name]
		if _, ok := storageNames[t.DType]; !ok {
			return nil, fmt.Errorf("tensor %q: type %q is not supported", name, t.DType)
		}
		if _, err := t.check(t.DType); err != nil {
			return nil, fmt.Errorf("tensor %q: %w", name, err)
		}
		if int64(len(t.Data)) >= math.MaxUint32 {
			return nil, fmt.Errorf("tensor %q has %d bytes, the format is written here up to 4 GiB per tensor", name, len(t.Data))
		}
		p.text(name)
		p.tensor(fmt.Sprint(i), t)
	}
	p.op('u') // SETITEMS
	if group != "" {
		p.op('s') // SETITEM
	}
	p.op('.') // STOP
	return p.Bytes(), nil
}

// pickler writes opcodes.
type pickler struct{ bytes.Buffer }

func (p *pickler) op(code ...byte) { p.Write(code) }

func (p *pickler) global(module, name string) { p.WriteString("c" + module + "\n" + name + "\n") }

func (p *pickler) text(s string) {
	p.op('X') // BINUNICODE
	p.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(s))))
	p.WriteString(s)
}

func (p *pickler) number(n int) {
	switch {
	case n < 1<<8:
		p.op('K', byte(n)) // BININT1
	case n < 1<<16:
		p.op('M', byte(n), byte(n>>8)) // BININT2
	case n < 1<<31:
		p.op('J') // BININT
		p.Write(binary.LittleEndian.AppendUint32(nil, uint32(n)))
	default:
		p.op(0x8a, 8) // LONG1
		p.Write(binary.LittleEndian.AppendUint64(nil, uint64(n)))
	}
}

func (p *pickler) numbers(values []int) {
	p.op('(')
	for _, n := range values {
		p.number(n)
	}
	p.op('t') // TUPLE
}

func (p *pickler) orderedDict() {
	p.global("collections", "OrderedDict")
	p.op(')', 'R') // EMPTY_TUPLE, REDUCE
}

// tensor writes a call of PyTorch's function for tensors: storage, offset, shape, strides,
// requires_grad and hooks.
func (p *pickler) tensor(key string, t Tensor) {
	p.global("torch._utils", "_rebuild_tensor_v2")
	p.op('(', '(')
	p.text("storage")
	p.global("torch", storageNames[t.DType])
	p.text(key)
	p.text("cpu")
	p.number(t.Size())
	p.op('t', 'Q') // TUPLE, BINPERSID
	p.number(0)
	p.numbers(t.Shape)
	p.numbers(strides(t.Shape))
	p.op(0x89) // NEWFALSE
	p.orderedDict()
	p.op('t', 'R')
}

// strides are those of a tensor without gaps. PyTorch counts a dimension of 0 as 1.
func strides(shape []int) []int {
	out := make([]int, len(shape))
	step := 1
	for i := len(shape) - 1; i >= 0; i-- {
		out[i] = step
		step *= max(shape[i], 1)
	}
	return out
}
