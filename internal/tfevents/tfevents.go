// Package tfevents writes TensorBoard event files: scalars, images and text over training steps.
//
// An event file is a sequence of TFRecords (length, masked CRC-32C of the length, data, masked
// CRC-32C of the data), each an Event message of tensorflow/core/util/event.proto. TensorBoard reads
// all files of a folder in the order of their names as one run.
package tfevents

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/png"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Writer appends events to one file. Its methods may be called from several goroutines.
type Writer struct {
	mu   sync.Mutex
	path string
	file *os.File
	buf  *bufio.Writer
}

// Create starts a new event file in dir, which it makes if needed: every start of the process has a
// file of its own, as TensorBoard expects, and a record that a kill left unfinished at the end of an
// older file does no harm.
//
// The run goes on after step last; -1 means from the beginning. What older files of dir say about
// later steps is disowned: TensorBoard drops it, so that each step is shown once.
func Create(dir string, last int) (*Writer, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("cannot create the folder of TensorBoard events: %w", err)
	}
	f, err := createFile(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot create a TensorBoard event file: %w", err)
	}
	w := &Writer{path: f.Name(), file: f, buf: bufio.NewWriterSize(f, 1<<16)}
	err = errors.Join(
		w.write(0, fieldFileVersion, []byte("brain.Event:2")),
		w.write(last+1, fieldSessionLog, varint(nil, sessionStatus, sessionStart)),
		w.Flush())
	if err != nil {
		f.Close()
		return nil, err
	}
	return w, nil
}

// createFile creates events.out.tfevents.<second>.<host>.<process>. The second is that of the start,
// or the one after the newest file's, whichever is later: names must sort in the order of starts,
// also for two starts in one second and when the clock was set back.
func createFile(dir string) (*os.File, error) {
	const prefix = "events.out.tfevents."
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	second := time.Now().Unix()
	for _, e := range entries {
		digits, _, _ := strings.Cut(strings.TrimPrefix(e.Name(), prefix), ".")
		if s, err := strconv.ParseInt(digits, 10, 64); err == nil && strings.HasPrefix(e.Name(), prefix) {
			second = max(second, s+1)
		}
	}
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "localhost"
	}
	for {
		name := fmt.Sprintf("%s%010d.%s.%d", prefix, second, filepath.Base(host), os.Getpid())
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if !errors.Is(err, fs.ErrExist) {
			return f, err
		}
		second++
	}
}

// Path returns the path of the event file.
func (w *Writer) Path() string { return w.path }

// Scalar records the value of tag at step. Tags with a common beginning up to a slash
// ("loss/restore") are shown in one group. TensorBoard keeps 32 bits of the value.
func (w *Writer) Scalar(step int, tag string, value float64) error {
	v := text(nil, valueTag, tag)
	v = protowire.AppendTag(v, valueSimple, protowire.Fixed32Type)
	v = protowire.AppendFixed32(v, math.Float32bits(float32(value)))
	return w.summary(step, v)
}

// Image records a picture under tag at step, as PNG.
func (w *Writer) Image(step int, tag string, img image.Image) error {
	var data bytes.Buffer
	if err := png.Encode(&data, img); err != nil {
		return fmt.Errorf("cannot encode image %q of step %d for TensorBoard: %w", tag, step, err)
	}
	var m []byte
	m = varint(m, imageHeight, uint64(img.Bounds().Dy()))
	m = varint(m, imageWidth, uint64(img.Bounds().Dx()))
	m = varint(m, imageColorspace, colorspaceRGB)
	m = message(m, imageEncoded, data.Bytes())
	return w.summary(step, message(text(nil, valueTag, tag), valueImage, m))
}

// Text records Markdown under tag at step.
func (w *Writer) Text(step int, tag, markdown string) error {
	metadata := message(nil, metadataPlugin, text(nil, pluginName, "text"))
	metadata = varint(metadata, metadataClass, dataClassTensor)
	tensor := varint(nil, tensorType, typeString)
	tensor = message(tensor, tensorShape, nil) // a scalar
	tensor = text(tensor, tensorString, markdown)
	v := text(nil, valueTag, tag)
	v = message(v, valueTensor, tensor)
	v = message(v, valueMetadata, metadata)
	return w.summary(step, v)
}

// Flush hands everything recorded to the operating system, from where a kill of the process cannot
// take it. Call it before a checkpoint is saved: a resumed run does not repeat earlier steps.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failed(w.buf.Flush())
}

// Close flushes and closes the file.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failed(errors.Join(w.buf.Flush(), w.file.Close()))
}

func (w *Writer) failed(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("cannot write TensorBoard events to %s: %w", w.path, err)
}

// summary writes an event with the one encoded Summary.Value.
func (w *Writer) summary(step int, value []byte) error {
	return w.write(step, fieldSummary, message(nil, summaryValue, value))
}

// write writes an event at step whose content is the length-delimited field.
func (w *Writer) write(step int, field protowire.Number, content []byte) error {
	event := protowire.AppendTag(nil, fieldWallTime, protowire.Fixed64Type)
	event = protowire.AppendFixed64(event, math.Float64bits(float64(time.Now().UnixNano())/1e9))
	event = varint(event, fieldStep, uint64(step))
	event = message(event, field, content)

	header := binary.LittleEndian.AppendUint64(nil, uint64(len(event)))
	header = binary.LittleEndian.AppendUint32(header, maskedCRC(header))
	footer := binary.LittleEndian.AppendUint32(nil, maskedCRC(event))

	w.mu.Lock()
	defer w.mu.Unlock()
	for _, part := range [][]byte{header, event, footer} {
		if _, err := w.buf.Write(part); err != nil {
			return w.failed(err)
		}
	}
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// maskedCRC is the checksum of TFRecord: rotated and shifted so that data which contains checksums
// has no degenerate one.
func maskedCRC(data []byte) uint32 {
	crc := crc32.Checksum(data, castagnoli)
	return (crc>>15 | crc<<17) + 0xa282ead8
}

// Field numbers and values of the messages, by message.
const (
	// Event
	fieldWallTime    protowire.Number = 1
	fieldStep        protowire.Number = 2
	fieldFileVersion protowire.Number = 3
	fieldSummary     protowire.Number = 5
	fieldSessionLog  protowire.Number = 7
	// SessionLog
	sessionStatus protowire.Number = 1
	sessionStart  uint64           = 1
	// Summary
	summaryValue protowire.Number = 1
	// Summary.Value
	valueTag      protowire.Number = 1
	valueSimple   protowire.Number = 2
	valueImage    protowire.Number = 4
	valueTensor   protowire.Number = 8
	valueMetadata protowire.Number = 9
	// Summary.Image
	imageHeight     protowire.Number = 1
	imageWidth      protowire.Number = 2
	imageColorspace protowire.Number = 3
	imageEncoded    protowire.Number = 4
	colorspaceRGB                    = 3
	// SummaryMetadata and its PluginData
	metadataPlugin  protowire.Number = 1
	metadataClass   protowire.Number = 4
	dataClassTensor                  = 2
	pluginName      protowire.Number = 1
	// TensorProto
	tensorType   protowire.Number = 1
	tensorShape  protowire.Number = 2
	tensorString protowire.Number = 8
	typeString                    = 7
)

func varint(b []byte, field protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), v)
}

func message(b []byte, field protowire.Number, m []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), m)
}

// text appends a string, made valid UTF-8: readers reject a whole message over one bad byte.
func text(b []byte, field protowire.Number, s string) []byte {
	return message(b, field, []byte(strings.ToValidUTF8(s, "\uFFFD")))
}
