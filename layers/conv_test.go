package layers

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
)

// referenceConv convolves x [N, H, W, C] with weight [k, k, C, out], padding with zeros; the zero
// array is no bias.
func referenceConv(x, weight, bias array, stride, padding int) array {
	k, channels, out := weight.dims[0], weight.dims[2], weight.dims[3]
	h, w := x.dims[1], x.dims[2]
	dims := []int{x.dims[0], (h+2*padding-k)/stride + 1, (w+2*padding-k)/stride + 1, out}
	return generate(dims, func(i []int) float64 {
		sum := 0.0
		if bias.dims != nil {
			sum = bias.at(i[3])
		}
		for dy := range k {
			for dx := range k {
				row, column := i[1]*stride+dy-padding, i[2]*stride+dx-padding
				if row < 0 || row >= h || column < 0 || column >= w {
					continue
				}
				for c := range channels {
					sum += x.at(i[0], row, column, c) * weight.at(dy, dx, c, i[3])
				}
			}
		}
		return sum
	})
}

// convCase is a Conv to out channels; its reference uses the stride and padding that zeros stand for.
func convCase(conv Conv, out int, dims ...int) layerCase {
	k, stride, padding := conv.Kernel, max(1, conv.Stride), conv.Padding
	if padding == 0 {
		padding = (k - 1) / 2
	}
	weights := map[string][]int{"weight": {k, k, dims[3], out}}
	if !conv.NoBias {
		weights["bias"] = []int{out}
	}
	return layerCase{
		name:   fmt.Sprintf("kernel %d stride %d padding %d of %v to %d bias %t", k, stride, padding, dims, out, !conv.NoBias),
		inputs: [][]int{dims}, weights: weights,
		build: one(func(scope *model.Scope, x *Node) *Node { return conv.Apply(scope, x, out) }),
		reference: func(in []array, w map[string]array) array {
			return referenceConv(in[0], w["weight"], w["bias"], stride, padding)
		},
	}
}

func TestConv(t *testing.T) {
	checkLayers(t, []layerCase{
		convCase(Conv{Kernel: 1}, 5, 2, 2, 3, 3),
		convCase(Conv{Kernel: 1, Stride: 2, NoBias: true}, 2, 1, 3, 4, 3),
		// As one matrix product, up to fewOutputs channels.
		convCase(Conv{Kernel: 3}, 3, 2, 4, 3, 2),
		convCase(Conv{Kernel: 3, NoBias: true}, fewOutputs, 1, 3, 4, 3),
		convCase(Conv{Kernel: 3, Stride: 1, Padding: 1}, 1, 1, 1, 5, 3),
		convCase(Conv{Kernel: 7}, 2, 1, 4, 3, 2), // the kernel exceeds the image
		// As XLA's convolution.
		convCase(Conv{Kernel: 3}, fewOutputs+1, 2, 4, 3, 2),
		convCase(Conv{Kernel: 3, NoBias: true}, 6, 1, 1, 1, 2),
		convCase(Conv{Kernel: 5}, 5, 1, 3, 4, 1),
		convCase(Conv{Kernel: 7}, 5, 1, 2, 4, 2),
		convCase(Conv{Kernel: 3, Padding: 2}, 2, 1, 3, 2, 2),
		convCase(Conv{Kernel: 3, Padding: 2, NoBias: true}, 5, 1, 2, 3, 2),
		// Strides that fit the padded size, and strides that leave a row or column over.
		convCase(Conv{Kernel: 3, Stride: 2}, 3, 2, 5, 6, 2),
		convCase(Conv{Kernel: 3, Stride: 2, NoBias: true}, 5, 1, 6, 5, 2),
		convCase(Conv{Kernel: 3, Stride: 3}, 2, 1, 6, 5, 2),
		convCase(Conv{Kernel: 7, Stride: 2, Padding: 3}, 2, 2, 6, 7, 2),
		convCase(Conv{Kernel: 7, Stride: 2, Padding: 3, NoBias: true}, 5, 1, 5, 4, 1),
	})
}

func TestConvRefusesEvenKernels(t *testing.T) {
	for _, kernel := range []int{2, 4} {
		panics(t, func(scope *model.Scope, x *Node) { Conv{Kernel: kernel, Stride: 2}.Apply(scope, x, 3) },
			[]int{1, 4, 4, 2}, "layers.Conv", fmt.Sprintf("kernel %d is even", kernel))
	}
}

func TestConvRefusesWidePadding(t *testing.T) {
	for _, conv := range []Conv{{Kernel: 1, Padding: 1}, {Kernel: 3, Padding: 3}} {
		panics(t, func(scope *model.Scope, x *Node) { conv.Apply(scope, x, 3) }, []int{1, 4, 4, 2},
			"layers.Conv", fmt.Sprintf("padding %d is not smaller than the kernel %d", conv.Padding, conv.Kernel))
	}
}

// referenceShuffle moves channel c*4 + 2*dy + dx of pixel (y, x) to channel c of (2y+dy, 2x+dx).
func referenceShuffle(x array) array {
	out := newArray(x.dims[0], 2*x.dims[1], 2*x.dims[2], x.dims[3]/4)
	for i := range x.indices() {
		c, dy, dx := i[3]/4, i[3]/2%2, i[3]%2
		out.values[out.offset([]int{i[0], 2*i[1] + dy, 2*i[2] + dx, c})] = x.at(i...)
	}
	return out
}

// referenceUnshuffle moves channel c of pixel (2y+dy, 2x+dx) to channel c*4 + 2*dy + dx of (y, x).
func referenceUnshuffle(x array) array {
	out := newArray(x.dims[0], x.dims[1]/2, x.dims[2]/2, 4*x.dims[3])
	for i := range x.indices() {
		channel := i[3]*4 + 2*(i[1]%2) + i[2]%2
		out.values[out.offset([]int{i[0], i[1] / 2, i[2] / 2, channel})] = x.at(i...)
	}
	return out
}

func downsampleCase(out int, dims ...int) layerCase {
	return layerCase{
		name: fmt.Sprintf("down, %v to %d", dims, out), inputs: [][]int{dims},
		weights: map[string][]int{"weight": {2, 2, dims[3], out}, "bias": {out}},
		build:   one(func(scope *model.Scope, x *Node) *Node { return Downsample2x2(scope, x, out) }),
		reference: func(in []array, w map[string]array) array {
			return referenceConv(in[0], w["weight"], w["bias"], 2, 0)
		},
	}
}

func upsampleCase(out int, dims ...int) layerCase {
	return layerCase{
		name: fmt.Sprintf("up, %v to %d", dims, out), inputs: [][]int{dims},
		weights: map[string][]int{"weight": {1, 1, dims[3], out}},
		build:   one(func(scope *model.Scope, x *Node) *Node { return Upsample2x2(scope, x, out) }),
		reference: func(in []array, w map[string]array) array {
			return referenceShuffle(referencePointwise(in[0], w["weight"], array{}))
		},
	}
}

func TestResample(t *testing.T) {
	shuffle := func(dims ...int) layerCase {
		return layerCase{
			name: fmt.Sprintf("shuffle %v", dims), inputs: [][]int{dims}, build: plain(PixelShuffle), exact: true,
			reference: func(in []array, _ map[string]array) array { return referenceShuffle(in[0]) },
		}
	}
	unshuffle := func(dims ...int) layerCase {
		return layerCase{
			name: fmt.Sprintf("unshuffle %v", dims), inputs: [][]int{dims}, build: plain(PixelUnshuffle), exact: true,
			reference: func(in []array, _ map[string]array) array { return referenceUnshuffle(in[0]) },
		}
	}
	checkLayers(t, []layerCase{
		downsampleCase(5, 2, 4, 6, 3),
		downsampleCase(1, 1, 2, 2, 1),
		upsampleCase(8, 2, 2, 3, 3),
		upsampleCase(4, 1, 1, 1, 2),
		upsampleCase(12, 1, 2, 1, 2),
		shuffle(2, 2, 3, 8),
		shuffle(1, 1, 1, 4),
		unshuffle(2, 4, 6, 3),
		unshuffle(1, 2, 2, 1),
		{
			name: "unshuffle undoes shuffle", inputs: [][]int{{2, 3, 2, 12}}, exact: true,
			build:     plain(func(x *Node) *Node { return PixelUnshuffle(PixelShuffle(x)) }),
			reference: func(in []array, _ map[string]array) array { return in[0] },
		},
	})
}

func TestDownsampleRefusesOddSizes(t *testing.T) {
	for _, dims := range [][]int{{1, 3, 4, 2}, {1, 4, 3, 2}} {
		panics(t, func(scope *model.Scope, x *Node) { Downsample2x2(scope, x, 2) }, dims,
			"layers.Downsample2x2", fmt.Sprintf("%dx%d is not even", dims[1], dims[2]))
	}
}

// TestStridedInputGradientByLinearity checks <gradient, d> = <layer(d) - layer(0), r>, where gradient
// is that of <layer(x), r> for x: GoMLX's own convolution breaks it, silently, for a kernel of 2.
func TestStridedInputGradientByLinearity(t *testing.T) {
	layersByName := map[string]func(scope *model.Scope, x *Node) *Node{
		"Downsample2x2": func(scope *model.Scope, x *Node) *Node { return Downsample2x2(scope, x, 4) },
		"Conv 3x3": func(scope *model.Scope, x *Node) *Node {
			return Conv{Kernel: 3, Stride: 2}.Apply(scope, x, 4)
		},
	}
	rng := rand.New(rand.NewPCG(3, 4))
	x, d, r := random(rng, 2, 4, 6, 3), random(rng, 2, 4, 6, 3), random(rng, 2, 2, 3, 4)
	for _, backend := range testBackends(t) {
		for name, layer := range layersByName {
			t.Run(backend.Name()+"/"+name, func(t *testing.T) {
				store := model.NewStore()
				out, err := model.CallOnceN(backend, store, func(scope *model.Scope, x, d, r *Node) []*Node {
					store.SetTraining(x.Graph(), true)
					change := Sub(layer(scope, d), layer(scope, ZerosLike(d)))
					return []*Node{Gradient(ReduceAllSum(Mul(layer(scope, x), r)), x)[0], change}
				}, x.tensor(), d.tensor(), r.tensor())
				if err != nil {
					t.Fatal(err)
				}
				left, right := inner(toArray(out[0]), d), inner(toArray(out[1]), r)
				// The two sums of float32 values differ by rounding only; both are of order 1.
				if !(math.Abs(left-right) <= 1e-5*max(1, math.Abs(right))) {
					t.Errorf("<gradient, d> = %g, <layer(d)-layer(0), r> = %g", left, right)
				}
			})
		}
	}
}

// TestConvInit checks that Init fills the kernel and leaves the bias alone.
func TestConvInit(t *testing.T) {
	store := model.NewStore()
	buildOnly(t, store, func(scope *model.Scope, x *Node) { Conv{Kernel: 3, Init: Constant(7)}.Apply(scope, x, 2) }, 1, 3, 3, 2)
	for _, v := range tensors.MustCopyFlatData[float32](store.GetVariable("/weight").MustValue()) {
		if v != 7 {
			t.Fatalf("the kernel holds %g, want Init's 7", v)
		}
	}
	for _, v := range tensors.MustCopyFlatData[float32](store.GetVariable("/bias").MustValue()) {
		if v == 7 {
			t.Fatal("the bias holds Init's value")
		}
	}
}
