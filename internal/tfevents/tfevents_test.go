package tfevents

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/godcpt/godcpt/internal/paritytest"
)

// The reader below shares nothing with the writer: checksums bit by bit, messages by hand.

// crc32c is CRC-32C as its definition has it.
func crc32c(data []byte) uint32 {
	crc := ^uint32(0)
	for _, b := range data {
		crc ^= uint32(b)
		for range 8 {
			crc = crc>>1 ^ 0x82f63b78*(crc&1)
		}
	}
	return ^crc
}

func TestCRCVector(t *testing.T) {
	if got := crc32c([]byte("123456789")); got != 0xe3069283 { // check value of the catalogue of CRCs
		t.Fatalf("the test's own CRC is wrong: %#x", got)
	}
	if got, want := maskedCRC([]byte("123456789")), uint32(0xe3069283>>15|0xe3069283<<17&0xffffffff)+0xa282ead8; got != want {
		t.Errorf("maskedCRC = %#x, want %#x", got, want)
	}
}

// records returns the data of all TFRecords of a file and checks every checksum.
func records(t *testing.T, path string) [][]byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, data []byte, masked uint32) {
		crc := masked - 0xa282ead8
		if crc = crc<<15 | crc>>17; crc != crc32c(data) {
			t.Fatalf("wrong checksum of the %s", what)
		}
	}
	var all [][]byte
	for len(data) > 0 {
		check("length", data[:8], binary.LittleEndian.Uint32(data[8:]))
		n := binary.LittleEndian.Uint64(data)
		record := data[12 : 12+n]
		check("data", record, binary.LittleEndian.Uint32(data[12+n:]))
		all = append(all, record)
		data = data[16+n:]
	}
	return all
}

// fields splits a message into its fields: uint64 for numbers of any size, []byte for the rest.
func fields(t *testing.T, m []byte) map[int]any {
	t.Helper()
	all := map[int]any{}
	for len(m) > 0 {
		key, n := binary.Uvarint(m)
		m = m[n:]
		switch key & 7 {
		case 0:
			v, n := binary.Uvarint(m)
			all[int(key>>3)], m = v, m[n:]
		case 1:
			all[int(key>>3)], m = binary.LittleEndian.Uint64(m), m[8:]
		case 5:
			all[int(key>>3)], m = uint64(binary.LittleEndian.Uint32(m)), m[4:]
		case 2:
			v, n := binary.Uvarint(m)
			all[int(key>>3)], m = m[n:n+int(v)], m[n+int(v):]
		default:
			t.Fatalf("wire type %d", key&7)
		}
	}
	return all
}

// event is a decoded event: its step and what it says.
func event(t *testing.T, record []byte) string {
	t.Helper()
	f := fields(t, record)
	if seconds := math.Float64frombits(f[1].(uint64)); seconds < 1e9 {
		t.Errorf("wall time %g is not in seconds since 1970", seconds)
	}
	step := f[2].(uint64)
	switch {
	case f[3] != nil:
		return fmt.Sprintf("%d version %s", step, f[3])
	case f[7] != nil:
		return fmt.Sprintf("%d session %d", step, fields(t, f[7].([]byte))[1])
	}
	v := fields(t, fields(t, f[5].([]byte))[1].([]byte))
	tag := v[1].([]byte)
	switch {
	case v[2] != nil:
		return fmt.Sprintf("%d %s = %g", step, tag, math.Float32frombits(uint32(v[2].(uint64))))
	case v[4] != nil:
		im := fields(t, v[4].([]byte))
		decoded, err := png.Decode(bytes.NewReader(im[4].([]byte)))
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%d %s = image %dx%d space %d, %v", step, tag, im[2], im[1], im[3], decoded.At(1, 0))
	}
	tensor := fields(t, v[8].([]byte))
	plugin := fields(t, fields(t, v[9].([]byte))[1].([]byte))
	return fmt.Sprintf("%d %s = %s %q", step, tag, plugin[1], tensor[8])
}

func picture() image.Image {
	im := image.NewRGBA(image.Rect(0, 0, 3, 2))
	for i := range im.Pix {
		im.Pix[i] = 255
	}
	im.Set(1, 0, color.RGBA{10, 20, 30, 255})
	return im
}

func TestReadBack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "events")
	w, err := Create(dir, -1)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		w.Scalar(1, "loss/total", 0.5),
		w.Scalar(2, "loss/total", math.NaN()),
		w.Scalar(1<<40, "bad \xff tag", -1e-3),
		w.Image(3, "sample", picture()),
		w.Text(4, "recipe", "| a | b |"),
		w.Close(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, r := range records(t, w.Path()) {
		got = append(got, event(t, r))
	}
	want := []string{
		"0 version brain.Event:2",
		"0 session 1",
		"1 loss/total = 0.5",
		"2 loss/total = NaN",
		"1099511627776 bad \uFFFD tag = -0.001",
		"3 sample = image 3x2 space 3, {10 20 30 255}",
		`4 recipe = text "| a | b |"`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestFilesSortInOrderOfStarts(t *testing.T) {
	dir := t.TempDir()
	future := filepath.Join(dir, "events.out.tfevents.9000000000.elsewhere.1.v2")
	other := filepath.Join(dir, "9999999999.events.txt")
	for _, path := range []string{future, other} {
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	names := []string{future}
	for range 3 {
		w, err := Create(dir, 7)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		names = append(names, w.Path())
	}
	if !slices.IsSorted(names) {
		t.Errorf("names do not sort in the order of starts: %q", names)
	}
	if got := event(t, records(t, names[3])[1]); got != "8 session 1" {
		t.Errorf("a run that goes on after step 7 begins with %q, want the start of a session at step 8", got)
	}
}

func TestConcurrentUse(t *testing.T) {
	w, err := Create(t.TempDir(), -1)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for step := range 50 {
				if err := w.Scalar(step, "loss", 1); err != nil {
					t.Error(err)
				}
				if err := w.Flush(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got := len(records(t, w.Path())); got != 2+8*50 {
		t.Errorf("%d records, want %d", got, 2+8*50)
	}
}

func TestErrorsNameThePath(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(filepath.Join(file, "sub"), -1); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("error = %v, want one that names %s", err, file)
	}
	w, err := Create(dir, -1)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err == nil || !strings.Contains(err.Error(), w.Path()) {
		t.Errorf("error = %v, want one that names %s", err, w.Path())
	}
}

// readWithTensorBoard is what TensorBoard itself makes of a folder. Its classic reader drops repeated
// steps of scalars and images only; text is read as the web page reads it, by the plugins' reader.
const readWithTensorBoard = `
import json, sys
from tensorboard.backend.event_processing import event_accumulator, plugin_event_accumulator
everything = {"scalars": 0, "images": 0, "tensors": 0}
a = event_accumulator.EventAccumulator(sys.argv[1], size_guidance=everything)
a.Reload()
p = plugin_event_accumulator.EventAccumulator(sys.argv[1], size_guidance=everything)
p.Reload()
json.dump({
    "scalars": {tag: [[e.step, e.value] for e in a.Scalars(tag)] for tag in a.Tags()["scalars"]},
    "images": {tag: [[e.step, e.width, e.height] for e in a.Images(tag)] for tag in a.Tags()["images"]},
    "text": {tag: [[e.step, e.tensor_proto.string_val[0].decode()] for e in p.Tensors(tag)]
             for tag in p.PluginTagToContent("text")},
}, sys.stdout)
`

// python returns a Python with TensorBoard, or skips the test.
func python(t *testing.T) string {
	t.Helper()
	path := os.Getenv("GODCPT_PYTHON")
	if path == "" {
		path = filepath.Join(paritytest.Root(), ".venv", "bin", "python")
	}
	if err := exec.Command(path, "-c", "import tensorboard").Run(); err != nil {
		t.Skipf("no TensorBoard to compare with: %s cannot import it (%v); scripts/test installs it, or set GODCPT_PYTHON to a Python that has the package tensorboard", path, err)
	}
	return path
}

func TestTensorBoardReadsIt(t *testing.T) {
	interpreter := python(t)
	dir := t.TempDir()
	record := func(last int, steps ...int) *Writer {
		w, err := Create(dir, last)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range steps {
			for _, err := range []error{
				w.Scalar(s, "loss/total", float64(s)/4),
				w.Image(s, "sample", picture()),
				w.Text(s, "note", fmt.Sprintf("step %d", s)),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		return w
	}
	// A run that is killed at step 5 in the middle of a record, while its last checkpoint is of step
	// 3, then goes on to step 6.
	killed := record(-1, 1, 2, 3, 4, 5)
	if err := killed.Close(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(killed.Path())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(killed.Path(), info.Size()-5); err != nil {
		t.Fatal(err)
	}
	if err := record(3, 4, 6).Close(); err != nil {
		t.Fatal(err)
	}

	out, err := exec.Command(interpreter, "-c", readWithTensorBoard, dir).Output()
	if err != nil {
		t.Fatalf("TensorBoard: %v\n%s", err, err.(*exec.ExitError).Stderr)
	}
	var got, want any
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(`{
		"scalars": {"loss/total": [[1, 0.25], [2, 0.5], [3, 0.75], [4, 1], [6, 1.5]]},
		"images": {"sample": [[1, 3, 2], [2, 3, 2], [3, 3, 2], [4, 3, 2], [6, 3, 2]]},
		"text": {"note": [[1, "step 1"], [2, "step 2"], [3, "step 3"], [4, "step 4"], [6, "step 6"]]}
	}`), &want); err != nil {
		t.Fatal(err)
	}
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		t.Errorf("TensorBoard reads\n%s\nwant\n%s", g, w)
	}
}
