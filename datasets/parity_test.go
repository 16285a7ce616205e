package datasets

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/godcpt/godcpt/datasets/degrade"
	"github.com/godcpt/godcpt/datasets/imageio"
	"github.com/godcpt/godcpt/internal/paritytest"
)

// protocolCase is the part of case.json of data_protocol that concerns data; tiles and
// self-ensemble belong to restoring.
type protocolCase struct {
	Noise []struct {
		ID    string  `json:"id"`
		Sigma float64 `json:"sigma"`
		Shape []int   `json:"shape_hwc"`
	} `json:"noise"`
	Concat []concatRow `json:"concat"`
	Pad    []struct {
		ID   string `json:"id"`
		H, W int
	} `json:"pad"`
	Tolerance struct {
		Noise float64 `json:"noise_abs"`
	} `json:"tolerance"`
}

// concatRow is a row of data sets with what each index becomes.
type concatRow struct {
	Sizes  []int    `json:"sizes"`
	Ratios []int    `json:"enlarge_ratios"`
	Length int      `json:"length"`
	Index  [][2]int `json:"-"` // label and sample of every index
}

// UnmarshalJSON reads Index too, whose key has a comma, which a struct tag cannot express.
func (r *concatRow) UnmarshalJSON(data []byte) error {
	type plain concatRow
	if err := json.Unmarshal(data, (*plain)(r)); err != nil {
		return err
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(data, &keys); err != nil {
		return err
	}
	return json.Unmarshal(keys["index_to_[dataset_idx,sample]"], &r.Index)
}

// tensor is one entry of a safetensors file, as float64.
type tensor struct {
	shape []int
	data  []float64
}

func readTensors(t *testing.T, path string) map[string]tensor {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	n := binary.LittleEndian.Uint64(raw)
	var header map[string]struct {
		Dtype   string `json:"dtype"`
		Shape   []int  `json:"shape"`
		Offsets [2]int `json:"data_offsets"`
	}
	if err := json.Unmarshal(raw[8:8+n], &header); err != nil {
		t.Fatal(err)
	}
	out := map[string]tensor{}
	for name, h := range header {
		body := raw[8+int(n)+h.Offsets[0] : 8+int(n)+h.Offsets[1]]
		e := tensor{shape: h.Shape}
		switch h.Dtype {
		case "F32":
			for ; len(body) > 0; body = body[4:] {
				e.data = append(e.data, float64(math.Float32frombits(binary.LittleEndian.Uint32(body))))
			}
		case "I64":
			for ; len(body) > 0; body = body[8:] {
				e.data = append(e.data, float64(int64(binary.LittleEndian.Uint64(body))))
			}
		}
		out[name] = e
	}
	return out
}

// hwc makes an image of a tensor in H, W, 3 order, its values times scale.
func (e tensor) hwc(scale float64) *imageio.Image {
	im := imageio.New(e.shape[1], e.shape[0])
	for i, v := range e.data {
		im.Pix[i] = float32(v * scale)
	}
	return im
}

func TestParity(t *testing.T) {
	for _, dir := range paritytest.Cases(t, "data_protocol") {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			var c protocolCase
			paritytest.Case(t, dir, &c)
			tensors := readTensors(t, filepath.Join(dir, "data.safetensors"))
			t.Run("noise", func(t *testing.T) { parityNoise(t, c, tensors) })
			t.Run("augment", func(t *testing.T) { parityAugment(t, tensors) })
			t.Run("concat", func(t *testing.T) { parityConcat(t, c) })
			t.Run("pad", func(t *testing.T) { parityPad(t, c, tensors) })
		})
	}
}

func parityNoise(t *testing.T, c protocolCase, tensors map[string]tensor) {
	for _, n := range c.Noise {
		gt := tensors[n.ID+".gt_uint8_hwc"].hwc(1)
		for i := range gt.Pix {
			gt.Pix[i] /= 255 // in float32, as images are read
		}
		got := degrade.ProtocolNoise(gt, n.Sigma, 0)
		want := tensors[n.ID+".lq_chw"].data
		var worst float64
		area := gt.W * gt.H
		for i, v := range got.Pix {
			worst = max(worst, math.Abs(float64(v)-want[i%3*area+i/3]))
		}
		if worst > c.Tolerance.Noise {
			t.Errorf("%s: differs by %g, tolerance %g", n.ID, worst, c.Tolerance.Noise)
		}
	}
}

func parityAugment(t *testing.T, tensors map[string]tensor) {
	in := tensors["augment.input_hwc"].hwc(1)
	for flip := range 3 {
		for rot := range 4 {
			name := fmt.Sprintf("augment.flip%d_rot%d", flip, rot)
			want := tensors[name].hwc(1)
			got := augmentation{flip, rot}.cut(in, 0, 0, in.W, in.H)
			if got.W != want.W || got.H != want.H || !slices.Equal(got.Pix, want.Pix) {
				t.Errorf("%s differs", name)
			}
		}
	}
}

func parityConcat(t *testing.T, c protocolCase) {
	for _, v := range c.Concat {
		var parts []Part
		for i, n := range v.Sizes {
			parts = append(parts, Part{Dataset: fixed{n: n, classes: []string{"x"}, fail: -1}, Enlarge: v.Ratios[i]})
		}
		d, err := NewConcat(parts...)
		if err != nil {
			t.Fatal(err)
		}
		if d.Len() != v.Length {
			t.Fatalf("sizes %v: length %d, want %d", v.Sizes, d.Len(), v.Length)
		}
		if len(v.Index) != v.Length {
			t.Fatalf("sizes %v: %d rows of indices, want %d", v.Sizes, len(v.Index), v.Length)
		}
		for i, want := range v.Index {
			s := mustSample(t, d, 0, i)
			if sample := int(s.LQ.Pix[0]) % 1000; s.Label != want[0] || sample != want[1] {
				t.Errorf("sizes %v, index %d: label %d sample %d, want %v", v.Sizes, i, s.Label, sample, want)
			}
		}
	}
}

// parityPad checks the rule of reflection that padding and small pictures share.
func parityPad(t *testing.T, c protocolCase, tensors map[string]tensor) {
	for _, p := range c.Pad {
		want := tensors[p.ID+".padded"]
		h, w := want.shape[2], want.shape[3]
		for i, v := range want.data {
			if got := imageio.Reflect(i/w, p.H)*p.W + imageio.Reflect(i%w, p.W); float64(got) != v {
				t.Errorf("%s: position %d,%d of %dx%d holds %v, want %d", p.ID, i/w, i%w, h, w, v, got)
				break
			}
		}
	}
}
