package dcpt

import (
	"encoding/json"
	"math"
	"path/filepath"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/godcpt/godcpt/datasets/imageio"
	"github.com/godcpt/godcpt/dcpt/torch"
	"github.com/godcpt/godcpt/internal/backend/backendtest"
	"github.com/godcpt/godcpt/internal/paritytest"
)

// Tiles and self-ensemble as the official protocol has them, around its test's convolution (parity case
// data_protocol).
func TestParityTestTime(t *testing.T) {
	for _, folder := range paritytest.Cases(t, "data_protocol") {
		data := readVectors(t, filepath.Join(folder, "data.safetensors"))
		if _, ok := data["tile.output"]; !ok {
			t.Skipf("%s has no tiles", folder)
		}
		var c struct {
			Tile struct {
				Size json.Number `json:"infer_size"`
				Pad  json.Number `json:"tile_pad"`
			}
		}
		paritytest.Case(t, folder, &c)
		size, err := c.Tile.Size.Int64()
		must(t, err)
		pad, err := c.Tile.Pad.Int64()
		must(t, err)
		network := convolution(t, data)
		input := imageOf(t, data["tile.input"])
		for name, settings := range map[string]TestTime{
			"tile.output": {Tile: int(size), TilePad: int(pad)}, "ensemble.output": {SelfEnsemble: true},
		} {
			must(t, settings.Validate())
			got, err := settings.apply(network, input)
			must(t, err)
			// The sums of 75 products in another order: float32 rounding.
			near(t, name, got.Pix, imageOf(t, data[name]).Pix, 1e-5)
		}
	}
}

// convolution is the case's network: 5x5, zero padding 2.
func convolution(t *testing.T, data map[string]torch.Tensor) imageFunc {
	kernel, err := data["tile.conv_weight"].Float32()
	must(t, err)
	kernel, dims, err := torch.FromTorch(kernel, data["tile.conv_weight"].Shape)
	must(t, err)
	bias, err := data["tile.conv_bias"].Float32()
	must(t, err)
	exec := model.MustNewExec(backendtest.Go(t), model.NewStore(), func(_ *model.Scope, x *Node) *Node {
		k := Const(x.Graph(), tensors.FromFlatDataAndDimensions(kernel, dims...))
		y := Convolve(x, k).PaddingPerDim([][2]int{{2, 2}, {2, 2}}).Done()
		return Add(y, Reshape(Const(x.Graph(), bias), 1, 1, 1, 3))
	})
	t.Cleanup(exec.Finalize)
	return func(im *imageio.Image) (*imageio.Image, error) {
		y, err := exec.Call1(tensors.FromFlatDataAndDimensions(im.Pix, 1, im.H, im.W, 3))
		if err != nil {
			return nil, err
		}
		out := imageio.New(im.W, im.H)
		out.Pix, err = tensors.CopyFlatData[float32](y)
		return out, err
	}
}

// imageOf makes an image of a tensor [1, 3, H, W].
func imageOf(t *testing.T, v torch.Tensor) *imageio.Image {
	t.Helper()
	im := imageio.New(v.Shape[3], v.Shape[2])
	im.Pix = flat(t, toNHWC(t, v))
	return im
}

func TestTestTimeErrors(t *testing.T) {
	for _, bad := range []TestTime{{Tile: -1}, {Tile: 8, TilePad: -1}, {TilePad: 4}} {
		if bad.Validate() == nil {
			t.Errorf("%+v is accepted", bad)
		}
	}
	// One tile that holds the image, and an ensemble around a function that does nothing, change nothing.
	im := waves(7, 5, 1)
	for _, settings := range []TestTime{{Tile: 16, TilePad: 2}, {Tile: 3, TilePad: 1}, {SelfEnsemble: true, Tile: 2}} {
		got, err := settings.apply(func(im *imageio.Image) (*imageio.Image, error) { return im, nil }, im)
		must(t, err)
		for i, v := range got.Pix {
			if math.Abs(float64(v-im.Pix[i])) > 1e-7 { // a mean of eight equal float32
				t.Fatalf("%+v: value %d is %v, want %v", settings, i, v, im.Pix[i])
			}
		}
	}
}
