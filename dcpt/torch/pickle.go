package torch

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// This file holds an interpreter of the pickles that torch.save writes. It is our own, and not a
// general reader such as gopickle, because it must refuse what a general one emulates: it knows a
// short list of names, calls nothing else, and bounds what a file can make it do.

// Bounds of one pickle. The largest published checkpoints need a few percent of them.
const (
	maxPickle = 64 << 20 // bytes
	maxValues = 2 << 20  // values pushed or memorised; a tensor takes about 16
	maxMarks  = 1000     // open brackets; Python cannot write deeper ones itself
	maxLine   = 512      // bytes of a module or class name
	maxKey    = 4096     // bytes of a dict's key
	maxLong   = 255      // bytes of a whole number
	maxNumel  = 1 << 48  // elements of a storage: keeps all products below 64 bits
)

// The values of a pickle are nil, bool, int64, float64, string, []byte, *list, tuple, *dict and
// the types below. Containers keep references: nothing is ever expanded or walked here.
type (
	list  struct{ items []any } // also a set
	tuple []any
	// dict keeps the order of the file. Only texts can be found again: other keys (the numbers of
	// an optimizer's state) are of no use here.
	dict struct {
		keys, values []any
		index        map[string]int
	}
	// long is a whole number of more than 64 bits: its bytes, little endian.
	long string
	// opaque stands for an object of a harmless class that is no weight: only its name is kept.
	opaque string
	// storageClass is the class of a storage: its safetensors type.
	storageClass string
	// rebuild makes a value from the arguments that a known function of PyTorch would get.
	rebuild func(args tuple) (any, error)
)

func (d *dict) set(key, value any) error {
	text, ok := key.(string)
	if !ok {
		d.keys, d.values = append(d.keys, key), append(d.values, value)
		return nil
	}
	if len(text) > maxKey {
		return fmt.Errorf("a name has %d bytes, more than %d", len(text), maxKey)
	}
	if i, ok := d.index[text]; ok {
		d.values[i] = value
		return nil
	}
	if d.index == nil {
		d.index = map[string]int{}
	}
	d.index[text] = len(d.keys)
	d.keys, d.values = append(d.keys, key), append(d.values, value)
	return nil
}

func (d *dict) get(key string) any {
	if i, ok := d.index[key]; ok {
		return d.values[i]
	}
	return nil
}

// storage is a typed run of numbers that tensors share.
type storage struct {
	key   string
	dtype string
	numel int64
	at    int64 // where its bytes start in a file of the legacy format; 0: not there
}

func (s *storage) bytes() int64 { return s.numel * int64(typeSizes[s.dtype]) }

// view is a tensor: a part of a storage, in elements.
type view struct {
	storage       *storage
	offset        int64
	shape, stride []int
}

// storageTypes are the storage classes by name; an untyped storage counts bytes.
var storageTypes = map[string]storageClass{
	"torch.FloatStorage": "F32", "torch.DoubleStorage": "F64", "torch.HalfStorage": "F16", "torch.BFloat16Storage": "BF16",
	"torch.LongStorage": "I64", "torch.IntStorage": "I32", "torch.ShortStorage": "I16", "torch.CharStorage": "I8",
	"torch.ByteStorage": "U8", "torch.BoolStorage": "BOOL",
	"torch.UntypedStorage": "U8", "torch.storage.UntypedStorage": "U8",
}

// rebuilders are the functions and classes whose result matters.
var rebuilders = map[string]rebuild{
	"collections.OrderedDict":                    rebuildDict,
	"collections.defaultdict":                    func(tuple) (any, error) { return &dict{}, nil },
	"torch._utils._rebuild_tensor":               rebuildTensor,
	"torch._utils._rebuild_tensor_v2":            rebuildTensor,
	"torch._utils._rebuild_parameter":            rebuildParameter,
	"torch._utils._rebuild_parameter_with_state": rebuildParameter,
	"torch.Size": rebuildSize,
}

// harmless are names, by module, that training files hold beside the weights (settings, random
// states, optimizers). They become opaque values; as a weight, an opaque value is an error.
var harmless = map[string]string{
	"argparse":       "Namespace",
	"builtins":       "int long float bool complex str unicode bytes bytearray slice range xrange dict list tuple set frozenset object",
	"_codecs":        "encode",
	"collections":    "Counter deque",
	"copyreg":        "_reconstructor",
	"datetime":       "datetime date time timedelta",
	"easydict":       "EasyDict",
	"pathlib":        "Path PurePath PosixPath PurePosixPath WindowsPath PureWindowsPath",
	"pathlib._local": "Path PurePath PosixPath PurePosixPath WindowsPath PureWindowsPath",
	"types":          "SimpleNamespace",
	"typing":         "Any Union Optional Dict List Tuple",

	"numpy":                  "dtype ndarray bool_ float16 float32 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64",
	"numpy.core.multiarray":  "scalar _reconstruct",
	"numpy._core.multiarray": "scalar _reconstruct",
	"numpy.core.numeric":     "_frombuffer",
	"numpy._core.numeric":    "_frombuffer",

	"torch": "device dtype Generator float32 float64 float16 bfloat16 int64 int32 int16 int8 uint8 bool uint16 uint32 uint64 " +
		"float8_e4m3fn float8_e5m2 complex64 complex128",
	"torch._utils": "_rebuild_tensor_v3", // types of numbers that no network here has
}

// harmlessPackages are those all of whose classes are taken for settings.
var harmlessPackages = []string{"numpy.dtypes.", "numpy.random.", "pytorch_lightning.", "lightning.", "lightning_fabric.", "omegaconf.", "torch.optim."}

// python2Names are modules that pickles of protocol 2 name as Python 2 did.
var python2Names = map[string]string{"__builtin__": "builtins", "copy_reg": "copyreg"}

// findGlobal returns what a name stands for.
func findGlobal(module, name string) (any, error) {
	if renamed, ok := python2Names[module]; ok {
		module = renamed
	}
	full := module + "." + name
	if class, ok := storageTypes[full]; ok {
		return class, nil
	}
	if f, ok := rebuilders[full]; ok {
		return f, nil
	}
	if slices.Contains(strings.Fields(harmless[module]), name) {
		return opaque(full), nil
	}
	for _, p := range harmlessPackages {
		if strings.HasPrefix(full, p) {
			return opaque(full), nil
		}
	}
	return nil, fmt.Errorf("%s is refused: weights must not run code. If you trust the file, load it in PyTorch and save "+
		"only its tensors (torch.save(model.state_dict(), ...))", quote(full))
}

// quote limits what a file can put into a message.
func quote(s string) string {
	if len(s) > 100 {
		s = s[:100] + "..."
	}
	return fmt.Sprintf("%q", s)
}

func rebuildDict(args tuple) (any, error) {
	d := &dict{}
	if len(args) == 0 {
		return d, nil
	}
	// Python 2 gives the entries as one list of pairs.
	pairs, ok := args[0].(*list)
	if !ok || len(args) != 1 {
		return nil, errors.New("an OrderedDict is made of something else than pairs")
	}
	for _, p := range pairs.items {
		pair, ok := p.(*list)
		if !ok || len(pair.items) != 2 {
			return nil, errors.New("an OrderedDict is made of something else than pairs")
		}
		if err := d.set(pair.items[0], pair.items[1]); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// rebuildTensor takes (storage, offset, shape, stride) and, which do not change the values,
// requires_grad, hooks and metadata.
func rebuildTensor(args tuple) (any, error) {
	if len(args) < 4 || len(args) > 7 {
		return nil, fmt.Errorf("a tensor is described by %d values, need 4 to 7", len(args))
	}
	s, ok := args[0].(*storage)
	offset, ok2 := args[1].(int64)
	if !ok || !ok2 {
		return nil, errors.New("a tensor is described without a storage and an offset")
	}
	if len(args) == 7 && args[6] != nil {
		if flags, ok := args[6].(*dict); !ok || len(flags.keys) > 0 {
			return nil, errors.New("a tensor has conjugate or negative bits, which weights do not have: save a copy of it (.clone())")
		}
	}
	shape, err := dimensions(args[2])
	if err != nil {
		return nil, fmt.Errorf("shape of a tensor: %w", err)
	}
	stride, err := dimensions(args[3])
	if err != nil {
		return nil, fmt.Errorf("strides of a tensor: %w", err)
	}
	v := &view{s, offset, shape, stride}
	if err := v.check(); err != nil {
		return nil, err
	}
	return v, nil
}

func rebuildParameter(args tuple) (any, error) {
	if len(args) == 3 || len(args) == 4 {
		if v, ok := args[0].(*view); ok {
			return v, nil
		}
	}
	return nil, errors.New("a parameter is not made of a tensor")
}

func rebuildSize(args tuple) (any, error) {
	if len(args) == 1 {
		if t, ok := args[0].(tuple); ok {
			return t, nil
		}
	}
	return nil, errors.New("a torch.Size is not made of numbers")
}

// dimensions returns a tuple of whole numbers that are not negative.
func dimensions(v any) ([]int, error) {
	t, ok := v.(tuple)
	if !ok || len(t) > 64 {
		return nil, errors.New("not a tuple of at most 64 numbers")
	}
	dims := make([]int, len(t))
	for i, d := range t {
		n, ok := d.(int64)
		if !ok || n < 0 || n > math.MaxInt {
			return nil, fmt.Errorf("%s is not a size", describe(d))
		}
		dims[i] = int(n)
	}
	return dims, nil
}

// check demands that the view lies in its storage and does not have more elements than it: a
// tensor expanded from few numbers could claim any amount of memory.
func (v *view) check() error {
	numel := v.storage.numel
	if len(v.shape) != len(v.stride) {
		return fmt.Errorf("a tensor of shape %v has %d strides", v.shape, len(v.stride))
	}
	n, err := elements(v.shape)
	if err != nil {
		return err
	}
	outside := func() error {
		return fmt.Errorf("a tensor of shape %v, strides %v and offset %d lies outside of its storage of %d elements", v.shape, v.stride, v.offset, numel)
	}
	if v.offset < 0 || v.offset > numel {
		return outside()
	}
	if n == 0 {
		return nil
	}
	last := v.offset
	for i, d := range v.shape {
		if v.stride[i] > 0 && int64(d-1) > numel/int64(v.stride[i]) {
			return outside()
		}
		if last += int64(d-1) * int64(v.stride[i]); last >= numel {
			return outside()
		}
	}
	if last >= numel {
		return outside()
	}
	if int64(n) > numel {
		return fmt.Errorf("a tensor of shape %v repeats the %d elements of its storage: save a copy of it (.contiguous())", v.shape, numel)
	}
	return nil
}

// describe names the kind of a value in a message.
func describe(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool, int64, float64:
		return fmt.Sprintf("the number %v", v)
	case string:
		return "the text " + quote(v)
	case *list:
		return fmt.Sprintf("a list of %d", len(v.items))
	case tuple:
		return fmt.Sprintf("a tuple of %d", len(v))
	case *dict:
		return fmt.Sprintf("a dict of %d entries", len(v.keys))
	case *view:
		return fmt.Sprintf("a tensor of shape %v", v.shape)
	case *storage:
		return "a storage"
	case opaque:
		return "an object of " + quote(string(v))
	}
	return "something else than a tensor"
}

// pickleReader reads pickles, one after the other, from a stream whose length is known.
type pickleReader struct {
	in       *bufio.Reader
	left     int64               // bytes that may be read: what the stream has
	pos      int64               // bytes read
	storages map[string]*storage // all that were named, by key
}

func newPickleReader(r io.Reader, size int64) *pickleReader {
	return &pickleReader{in: bufio.NewReader(r), left: size, storages: map[string]*storage{}}
}

var errPickleEnds = errors.New("the pickle ends too early: the file is cut short or damaged")

// take reads n bytes.
func (r *pickleReader) take(n uint64) ([]byte, error) {
	if n > uint64(r.left) || n > maxPickle {
		return nil, errPickleEnds
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r.in, b); err != nil {
		return nil, errPickleEnds
	}
	r.left, r.pos = r.left-int64(n), r.pos+int64(n)
	return b, nil
}

// byte reads one byte.
func (r *pickleReader) byte() (byte, error) {
	if r.left == 0 {
		return 0, errPickleEnds
	}
	b, err := r.in.ReadByte()
	if err != nil {
		return 0, errPickleEnds
	}
	r.left, r.pos = r.left-1, r.pos+1
	return b, nil
}

// number reads a little endian number of the given bytes (1, 2, 4 or 8).
func (r *pickleReader) number(bytes uint64) (uint64, error) {
	var b [8]byte
	raw, err := r.take(bytes)
	copy(b[:], raw)
	return binary.LittleEndian.Uint64(b[:]), err
}

// counted reads bytes after their count, which takes the given bytes.
func (r *pickleReader) counted(bytes uint64) ([]byte, error) {
	n, err := r.number(bytes)
	if err != nil {
		return nil, err
	}
	return r.take(n)
}

// line reads up to a line end, which is dropped.
func (r *pickleReader) line() (string, error) {
	var line []byte
	for len(line) <= maxLine {
		b, err := r.byte()
		if err != nil {
			return "", err
		}
		if b == '\n' {
			return string(line), nil
		}
		line = append(line, b)
	}
	return "", fmt.Errorf("a name has more than %d bytes", maxLine)
}

// unpickler is the machine that one pickle drives.
type unpickler struct {
	*pickleReader
	stack  []any
	marks  []int // lengths of the stack at the open brackets
	memo   map[uint64]any
	values int
}

// read interprets one pickle and returns its value.
func (r *pickleReader) read() (any, error) {
	u := &unpickler{pickleReader: r, memo: map[uint64]any{}}
	start := r.pos
	for {
		at := r.pos - start
		if at > maxPickle {
			return nil, fmt.Errorf("a pickle has more than %d MiB, too much for a description of tensors", maxPickle>>20)
		}
		op, err := r.byte()
		if err != nil {
			return nil, err
		}
		if op == '.' {
			return u.pop()
		}
		if err := u.step(op); err != nil {
			if errors.Is(err, errPickleEnds) {
				return nil, err
			}
			return nil, fmt.Errorf("%w (byte %d of the pickle)", err, at)
		}
	}
}

// count pays for a value that will be kept.
func (u *unpickler) count() error {
	if u.values++; u.values > maxValues {
		return fmt.Errorf("the pickle has more than %d values, too many for a description of tensors", maxValues)
	}
	return nil
}

func (u *unpickler) push(v any) error {
	u.stack = append(u.stack, v)
	return u.count()
}

// floor is the part of the stack that belongs to outer brackets.
func (u *unpickler) floor() int {
	if len(u.marks) == 0 {
		return 0
	}
	return u.marks[len(u.marks)-1]
}

var errStack = errors.New("the pickle takes a value that is not there: the file is damaged")

func (u *unpickler) pop() (any, error) {
	if len(u.stack) <= u.floor() {
		return nil, errStack
	}
	v := u.stack[len(u.stack)-1]
	u.stack = u.stack[:len(u.stack)-1]
	return v, nil
}

// popMark returns the values since the last open bracket and closes it. They are valid until the
// next push.
func (u *unpickler) popMark() ([]any, error) {
	if len(u.marks) == 0 {
		return nil, errStack
	}
	at := u.floor()
	values := u.stack[at:]
	u.stack, u.marks = u.stack[:at], u.marks[:len(u.marks)-1]
	return values, nil
}

// step interprets one opcode: those that make plain values here, the others in its helpers.
func (u *unpickler) step(op byte) error {
	switch op {
	case 0x80: // PROTO
		version, err := u.number(1)
		if err == nil && version > 5 {
			err = fmt.Errorf("it is a pickle of protocol %d, or none: protocols 2 to 5 are known", version)
		}
		return err
	case 0x95: // FRAME: only a hint for buffering
		_, err := u.take(8)
		return err
	case 'N':
		return u.push(nil)
	case 0x88:
		return u.push(true)
	case 0x89:
		return u.push(false)
	case 'J', 'K', 'M', 0x8a, 0x8b, 'G':
		return u.stepNumber(op)
	case 'X', 'T', 'B', 0x8c, 'U', 'C', 0x8d, 0x8e, 0x96:
		return u.stepText(op)
	case '(', '0', '1', '2', 'q', 'r', 0x94, 'h', 'j':
		return u.stepStack(op)
	case ']', ')', '}', 0x8f, 'l', 't', 'd', 0x85, 0x86, 0x87, 0x91:
		return u.stepContainer(op)
	case 'a', 'e', 0x90, 's', 'u':
		return u.stepFill(op)
	case 'c', 0x93, 'R', 0x81, 0x92, 'b', 'Q':
		return u.stepObject(op)
	}
	return fmt.Errorf("opcode 0x%02x is not one that PyTorch writes: this is not a pickle of weights, or a damaged one", op)
}

func (u *unpickler) stepNumber(op byte) error {
	switch op {
	case 'K': // BININT1
		n, err := u.number(1)
		if err != nil {
			return err
		}
		return u.push(int64(n))
	case 'M': // BININT2
		n, err := u.number(2)
		if err != nil {
			return err
		}
		return u.push(int64(n))
	case 'J': // BININT, signed
		n, err := u.number(4)
		if err != nil {
			return err
		}
		return u.push(int64(int32(n)))
	case 'G': // BINFLOAT, big endian
		b, err := u.take(8)
		if err != nil {
			return err
		}
		return u.push(math.Float64frombits(binary.BigEndian.Uint64(b)))
	}
	length := uint64(1) // LONG1
	if op == 0x8b {     // LONG4
		length = 4
	}
	n, err := u.number(length)
	if err != nil {
		return err
	}
	if n > maxLong {
		return fmt.Errorf("a number has %d bytes", n)
	}
	b, err := u.take(n)
	if err != nil {
		return err
	}
	return u.push(wholeNumber(b))
}

// wholeNumber decodes little endian two's complement of any length.
func wholeNumber(b []byte) any {
	if len(b) > 8 {
		return long(b)
	}
	var full [8]byte
	copy(full[:], b)
	if len(b) > 0 && b[len(b)-1] >= 0x80 {
		for i := len(b); i < 8; i++ {
			full[i] = 0xff
		}
	}
	return int64(binary.LittleEndian.Uint64(full[:]))
}

func (u *unpickler) stepText(op byte) error {
	length := uint64(4) // BINUNICODE, BINSTRING, BINBYTES
	switch op {
	case 0x8c, 'U', 'C': // SHORT_BINUNICODE, SHORT_BINSTRING, SHORT_BINBYTES
		length = 1
	case 0x8d, 0x8e, 0x96: // BINUNICODE8, BINBYTES8, BYTEARRAY8
		length = 8
	}
	b, err := u.counted(length)
	if err != nil {
		return err
	}
	switch op {
	case 'B', 'C', 0x8e, 0x96:
		return u.push(b)
	}
	return u.push(string(b))
}

// stepStack interprets brackets and the memo.
func (u *unpickler) stepStack(op byte) error {
	switch op {
	case '(':
		if u.marks = append(u.marks, len(u.stack)); len(u.marks) > maxMarks {
			return fmt.Errorf("the pickle is nested more than %d deep", maxMarks)
		}
		return nil
	case '0':
		_, err := u.pop()
		return err
	case '1':
		_, err := u.popMark()
		return err
	case '2':
		if len(u.stack) <= u.floor() {
			return errStack
		}
		return u.push(u.stack[len(u.stack)-1])
	case 0x94: // MEMOIZE
		return u.memorise(uint64(len(u.memo)))
	}
	length := uint64(1)
	if op == 'r' || op == 'j' {
		length = 4
	}
	i, err := u.number(length)
	if err != nil {
		return err
	}
	if op == 'q' || op == 'r' {
		return u.memorise(i)
	}
	v, ok := u.memo[i]
	if !ok {
		return fmt.Errorf("the pickle recalls value %d, which it has not kept: the file is damaged", i)
	}
	return u.push(v)
}

func (u *unpickler) memorise(i uint64) error {
	if len(u.stack) <= u.floor() {
		return errStack
	}
	u.memo[i] = u.stack[len(u.stack)-1]
	return u.count()
}

// stepContainer makes lists, tuples and dicts.
func (u *unpickler) stepContainer(op byte) error {
	switch op {
	case ']', 0x8f:
		return u.push(&list{})
	case ')':
		return u.push(tuple{})
	case '}':
		return u.push(&dict{})
	case 0x85, 0x86, 0x87: // TUPLE1 to TUPLE3
		n := int(op - 0x84)
		if len(u.stack)-n < u.floor() {
			return errStack
		}
		t := append(tuple{}, u.stack[len(u.stack)-n:]...)
		u.stack = u.stack[:len(u.stack)-n]
		return u.push(t)
	}
	values, err := u.popMark()
	if err != nil {
		return err
	}
	switch op {
	case 't':
		return u.push(append(tuple{}, values...))
	case 'd':
		d := &dict{}
		if err := fill(d, values); err != nil {
			return err
		}
		return u.push(d)
	}
	return u.push(&list{append([]any{}, values...)}) // LIST, FROZENSET
}

// stepFill adds to the container below the values.
func (u *unpickler) stepFill(op byte) error {
	var values []any
	var err error
	switch n := map[byte]int{'a': 1, 's': 2}[op]; n {
	case 0:
		values, err = u.popMark()
	default:
		if len(u.stack)-n < u.floor() {
			return errStack
		}
		values = u.stack[len(u.stack)-n:]
		u.stack = u.stack[:len(u.stack)-n]
	}
	if err != nil {
		return err
	}
	if len(u.stack) <= u.floor() {
		return errStack
	}
	switch c := u.stack[len(u.stack)-1].(type) {
	case opaque: // a dict or list of a class that does not matter
		return nil
	case *dict:
		if op == 's' || op == 'u' {
			return fill(c, values)
		}
	case *list:
		if op != 's' && op != 'u' {
			c.items = append(c.items, values...)
			return nil
		}
	}
	return errors.New("the pickle adds entries to what is no container: the file is damaged")
}

// fill adds keys and values, alternating.
func fill(d *dict, values []any) error {
	if len(values)%2 != 0 {
		return errStack
	}
	for i := 0; i < len(values); i += 2 {
		if err := d.set(values[i], values[i+1]); err != nil {
			return err
		}
	}
	return nil
}

// stepObject interprets what could run code in Python: names, calls and object states.
func (u *unpickler) stepObject(op byte) error {
	switch op {
	case 'c': // GLOBAL
		module, err := u.line()
		if err != nil {
			return err
		}
		name, err := u.line()
		if err != nil {
			return err
		}
		return u.pushGlobal(module, name)
	case 'Q': // BINPERSID
		id, err := u.pop()
		if err != nil {
			return err
		}
		s, err := u.findStorage(id)
		if err != nil {
			return err
		}
		return u.push(s)
	}
	last, err := u.pop()
	if err != nil {
		return err
	}
	if op == 0x92 { // NEWOBJ_EX: class, arguments, named arguments
		if last, err = u.pop(); err != nil {
			return err
		}
	}
	first, err := u.pop()
	if err != nil {
		return err
	}
	switch op {
	case 'b': // BUILD: an object's state. Those of dicts (a state dict's _metadata) do not matter.
		switch first.(type) {
		case opaque, *dict:
			return u.push(first)
		}
		return errors.New("the pickle sets the state of what has none: the file is damaged")
	case 0x93: // STACK_GLOBAL
		module, ok := first.(string)
		name, ok2 := last.(string)
		if !ok || !ok2 || len(module) > maxLine || len(name) > maxLine {
			return errors.New("a class is not named by texts: the file is damaged")
		}
		return u.pushGlobal(module, name)
	}
	return u.call(first, last)
}

func (u *unpickler) pushGlobal(module, name string) error {
	g, err := findGlobal(module, name)
	if err != nil {
		return err
	}
	return u.push(g)
}

// call gives arguments to a known function or class; objects of other classes stay opaque.
func (u *unpickler) call(function, args any) error {
	t, ok := args.(tuple)
	if !ok {
		return errors.New("the pickle gives arguments that are no tuple: the file is damaged")
	}
	switch f := function.(type) {
	case opaque:
		return u.push(f)
	case rebuild:
		v, err := f(t)
		if err != nil {
			return err
		}
		return u.push(v)
	}
	return fmt.Errorf("the pickle calls %s, which is refused: weights must not run code", describe(function))
}

// findStorage returns the storage of a persistent id ("storage", class, key, device, elements);
// the legacy format adds a description of views, which no PyTorch since 0.4 uses.
func (u *unpickler) findStorage(id any) (*storage, error) {
	t, ok := id.(tuple)
	if !ok || len(t) < 5 || len(t) > 6 || t[0] != any("storage") {
		return nil, errors.New("a reference does not name a storage: the file is damaged or of another kind")
	}
	class, ok := t[1].(storageClass)
	key, ok2 := t[2].(string)
	numel, ok3 := t[4].(int64)
	if !ok || !ok2 || !ok3 {
		return nil, errors.New("a reference does not name a storage: the file is damaged or of another kind")
	}
	if !plainKey(key) {
		return nil, fmt.Errorf("storage key %s is refused: keys are plain numbers", quote(key))
	}
	if numel < 0 || numel > maxNumel {
		return nil, fmt.Errorf("storage %s claims %d elements", key, numel)
	}
	if len(t) == 6 && t[5] != nil {
		return nil, fmt.Errorf("storage %s is a view as PyTorch before 0.4 wrote it: load and save the file with a newer one", key)
	}
	if s := u.storages[key]; s != nil {
		if s.dtype != string(class) || s.numel != numel {
			return nil, fmt.Errorf("storage %s is described twice, differently", key)
		}
		return s, nil
	}
	s := &storage{key: key, dtype: string(class), numel: numel}
	u.storages[key] = s
	return s, u.count()
}

// plainKey tells whether a storage key is what PyTorch writes: a decimal number.
func plainKey(key string) bool {
	for _, c := range key {
		if c < '0' || c > '9' {
			return false
		}
	}
	return key != "" && len(key) <= 20
}
