package torch

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/godcpt/godcpt/internal/paritytest"
)

// parityFiles returns the folder of a parity case of files and the names in its case.json.
func parityFiles(t *testing.T, name string) (dir string, files []string) {
	t.Helper()
	dir = filepath.Join(paritytest.Dir(t), name)
	text, err := os.ReadFile(filepath.Join(dir, "case.json"))
	if errors.Is(err, fs.ErrNotExist) {
		paritytest.NoCases(t, name)
	}
	if err != nil {
		t.Fatal(err)
	}
	var content struct{ Files map[string]any }
	if err := json.Unmarshal(text, &content); err != nil {
		t.Fatal(err)
	}
	if len(content.Files) == 0 {
		t.Fatalf("%s/case.json names no files", dir)
	}
	return dir, slices.Sorted(maps.Keys(content.Files))
}

// TestParityPTH reads every file that torch.save wrote and compares it with the weights that it
// was given.
func TestParityPTH(t *testing.T) {
	dir, files := parityFiles(t, "pth")
	want, _, err := ReadSafetensors(filepath.Join(filepath.Dir(dir), "nafnet_w8_multi_dec", "weights.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		t.Run(name, func(t *testing.T) {
			f, err := Open(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			got, key, err := f.Weights("")
			if strings.HasSuffix(name, ".state") {
				if err == nil || !strings.Contains(err.Error(), `holds the state of an optimizer (keys "epoch", "iter", "optimizers", "schedulers"), not weights`) {
					t.Errorf("a training state gave %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%s, key %q", f.Format, key)
			// Half precision keeps 11 bits, bfloat16 8: rounding to the nearest is within half a
			// unit of the last. Below the normal range of half (2^-14) units are 2^-24.
			relative, absolute := 0.0, 0.0
			switch {
			case strings.Contains(name, "bfloat16"):
				relative = 0x1p-8
			case strings.Contains(name, "half"):
				relative, absolute = 0x1p-11, 0x1p-25
			}
			compareWeights(t, got, want, relative, absolute)
			if strings.Contains(name, "both") {
				compareOther(t, f, want)
			}
		})
	}
}

func compareWeights(t *testing.T, got, want map[string]Tensor, relative, absolute float64) {
	t.Helper()
	if !slices.Equal(slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want))) {
		t.Fatalf("%d names, want the %d of the safetensors file", len(got), len(want))
	}
	for name, w := range want {
		g := got[name]
		if !slices.Equal(g.Shape, w.Shape) {
			t.Errorf("%s has shape %v, want %v", name, g.Shape, w.Shape)
			continue
		}
		if relative == 0 {
			if g.DType != w.DType || !bytes.Equal(g.Data, w.Data) {
				t.Errorf("%s differs", name)
			}
			continue
		}
		a, err := g.Float32()
		if err != nil {
			t.Fatal(err)
		}
		b, err := w.Float32()
		if err != nil {
			t.Fatal(err)
		}
		for i := range a {
			if math.Abs(float64(a[i]-b[i])) > relative*math.Abs(float64(b[i]))+absolute {
				t.Errorf("%s[%d] is %g, want %g rounded", name, i, a[i], b[i])
				break
			}
		}
	}
}

// compareOther checks the second group of the file that has two: 0.5*w + 0.01.
func compareOther(t *testing.T, f *File, want map[string]Tensor) {
	t.Helper()
	got, key, err := f.Weights("params")
	if err != nil || key != "params" {
		t.Fatalf("group params: %q, %v", key, err)
	}
	for name, w := range want {
		a, err := got[name].Float32()
		if err != nil {
			t.Fatal(err)
		}
		b, _ := w.Float32()
		for i := range b {
			// Two operations in float32, each within half a unit: 2^-24 of at most |w| + 0.01.
			if e := math.Abs(float64(a[i]) - (0.5*float64(b[i]) + 0.01)); e > 0x1p-23*(math.Abs(float64(b[i]))+0.01) {
				t.Fatalf("params: %s[%d] is %g, the other weight %g", name, i, a[i], b[i])
			}
		}
	}
}

// TestParityBadPTH opens every broken or hostile file, in a folder where nothing may appear. The
// four that are good files with the wrong weights for the network are read: the import compares
// names and shapes.
func TestParityBadPTH(t *testing.T) {
	wants := map[string]string{
		"bitflip_pickle.pth":      "data.pkl\" is damaged (its CRC-32 does not match)",
		"bitflip_storage.pth":     "data/0\" is damaged (its CRC-32 does not match)",
		"byteorder_big.pth":       "byteorder",
		"empty.pth":               "is empty",
		"evil_eval.pth":           `"builtins.eval" is refused: weights must not run code`,
		"evil_getcwd.pth":         `"posix.getcwd" is refused: weights must not run code`,
		"evil_in_key.pth":         `"posixpath.join" is refused: weights must not run code`,
		"extra_tensor.pth":        "",
		"html.pth":                "is a web page, not weights: the download did not return the file",
		"huge_shape.pth":          "lies outside of its storage of 8 elements",
		"huge_storage.pth":        "storage 0 has 32 bytes in the archive where 4398046511104 are described",
		"list_top.pth":            "it holds a list of 3, not a dict of tensors",
		"missing_storage.pth":     `tensor "intro.bias": storage 1 is missing`,
		"missing_tensor.pth":      "",
		"nan_weight.pth":          "",
		"negative_offset.pth":     "offset -4 lies outside",
		"negative_shape.pth":      "-8 is not a size",
		"no_pickle.pth":           "zip archive without data.pkl",
		"not_a_tensor.pth":        `the entry "intro.weight" is the text "hello" under "params", not a tensor`,
		"offset_out_of_range.pth": "offset 5 lies outside",
		"pickle_deep_nesting.pth": "nested more than 1000 deep",
		"pickle_garbage.pth":      "opcode 0x00 is not one that PyTorch writes",
		"pickle_memo_bomb.pth":    "it holds a list of 10, not a dict of tensors",
		"short_storage.pth":       "storage 0 has 432 bytes in the archive where 864 are described",
		"storage_key_path.pth":    `storage key "../../data.pkl" is refused`,
		"stride_out_of_range.pth": "lies outside of its storage of 8 elements",
		"text.pth":                "is a text file, not weights",
		"truncated_half.pth":      "cut short or damaged",
		"truncated_pickle.pth":    "pickle ends too early",
		"truncated_tail.pth":      "cut short or damaged",
		"wrong_key.pth":           `its keys are "weights"`,
		"wrong_shape.pth":         "",
		"zip_bomb.pth":            "storage 0 has 100663296 bytes in the archive where 864 are described",
		"zip_path_traversal.pth":  `"../evil.txt" leaves the archive's folder`,
	}
	dir, files := parityFiles(t, "bad_pth")
	for _, name := range files {
		t.Run(name, func(t *testing.T) {
			want, known := wants[name]
			if !known {
				t.Fatal("this file is not in the table of the test")
			}
			outer := t.TempDir()
			folder := filepath.Join(outer, "folder")
			raw, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(os.Mkdir(folder, 0o755), os.WriteFile(filepath.Join(folder, name), raw, 0o644)); err != nil {
				t.Fatal(err)
			}
			t.Chdir(folder)
			var tensors map[string]Tensor
			used := allocated(func() {
				var f *File
				if f, err = Open(name); err == nil {
					tensors, _, err = f.Weights("")
				}
			})
			switch {
			case want == "" && (err != nil || len(tensors) < 150):
				t.Errorf("read %d tensors: %v", len(tensors), err)
			case want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), name)):
				t.Errorf("got %v, want a message with the file's name and %q", err, want)
			}
			// The largest good file takes 1 MiB; the largest claims are of terabytes.
			if used > 4<<20 {
				t.Errorf("allocated %d bytes for a file of %d", used, len(raw))
			}
			if err := filepath.WalkDir(outer, func(path string, _ fs.DirEntry, err error) error {
				if err == nil && path != outer && path != folder && path != filepath.Join(folder, name) {
					t.Errorf("%s was written", path)
				}
				return err
			}); err != nil {
				t.Error(err)
			}
		})
	}
}
