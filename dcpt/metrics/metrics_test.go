package metrics

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/godcpt/godcpt/datasets/imageio"
	"github.com/godcpt/godcpt/dcpt/torch"
	"github.com/godcpt/godcpt/internal/backend/backendtest"
	"github.com/godcpt/godcpt/internal/paritytest"
)

// number decodes a JSON number or the text "inf".
type number float64

func (n *number) UnmarshalJSON(data []byte) error {
	if string(data) == `"inf"` {
		*n = number(math.Inf(1))
		return nil
	}
	return json.Unmarshal(data, (*float64)(n))
}

// score is what the official code says of a pair with one set of options.
type score struct {
	PSNR     number  `json:"psnr"`
	SSIM     number  `json:"ssim"`
	PSNRNode *number `json:"psnr_pt_no_rounding_range1"`
	SSIMNode *number `json:"ssim_pt_range1"`
}

// parityFile is a metrics.json.
type parityFile struct {
	Rows []struct {
		Pair     int              `json:"pair"`
		GT       string           `json:"gt"`
		LQ       string           `json:"lq"`
		Official map[string]score `json:"official"`
	} `json:"rows"`
	FloatRows []map[string]json.RawMessage `json:"float_rows"`
	Tolerance struct {
		PSNR float64 `json:"official_psnr_abs_db"`
		SSIM float64 `json:"official_ssim_abs"`
	} `json:"tolerance"`
}

// Both sides compute in float64 and round to float32 at the same places: only the order of
// additions differs, which costs about 1e-12.
const exact = 1e-9

// The differentiable SSIM in float32 subtracts squares near 1/4, each off by some 1e-8, and divides
// by sums not much larger than C2 = 9e-4 where an image is flat: 1e-5 at a pixel, less on average.
const ssimFloat32 = 5e-6

// optionsOf translates a name as rgb_crop0, y_crop4.
func optionsOf(t *testing.T, name string) (o Options) {
	t.Helper()
	var colour string
	if _, err := fmt.Sscanf(strings.ReplaceAll(name, "_crop", " "), "%s %d", &colour, &o.CropBorder); err != nil {
		t.Fatalf("options %q: %v", name, err)
	}
	o.Y = colour == "y"
	return o
}

// TestParityMetrics compares with the official scores of PNG pairs and of float images (clamping,
// rounding of ties, a batch), and with the scores of the differentiable forms.
func TestParityMetrics(t *testing.T) {
	found := 0
	for _, root := range paritytest.Dirs(t) {
		files, err := filepath.Glob(filepath.Join(root, "metrics*", "metrics.json"))
		if err != nil {
			t.Fatal(err)
		}
		found += len(files)
		for _, file := range files {
			t.Run(filepath.Base(filepath.Dir(file)), func(t *testing.T) {
				data, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				var p parityFile
				if err := json.Unmarshal(data, &p); err != nil {
					t.Fatal(err)
				}
				if len(p.Rows) == 0 || p.Tolerance.PSNR == 0 || p.Tolerance.SSIM == 0 {
					t.Fatal("no rows or no tolerance in metrics.json")
				}
				p.checkPairs(t, filepath.Dir(file))
				p.checkFloats(t, filepath.Dir(file))
			})
		}
	}
	if found == 0 {
		paritytest.NoCases(t, "metrics")
	}
}

// checkPairs checks the PNG pairs.
func (p *parityFile) checkPairs(t *testing.T, dir string) {
	for _, row := range p.Rows {
		for name, want := range row.Official {
			t.Run(fmt.Sprintf("pair%d/%s", row.Pair, name), func(t *testing.T) {
				lq, gt := read(t, filepath.Join(dir, row.LQ)), read(t, filepath.Join(dir, row.GT))
				o := optionsOf(t, name)
				p.check(t, []*imageio.Image{lq}, []*imageio.Image{gt}, o, want)
				p.checkNodes(t, lq, gt, o, want)
			})
		}
	}
}

// checkFloats checks float_inputs.safetensors, where the folder has it.
func (p *parityFile) checkFloats(t *testing.T, dir string) {
	path := filepath.Join(dir, "float_inputs.safetensors")
	if len(p.FloatRows) == 0 {
		return
	}
	inputs, _, err := torch.ReadSafetensors(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range p.FloatRows {
		var id string
		if err := json.Unmarshal(row["id"], &id); err != nil {
			t.Fatal(err)
		}
		output, ok := inputs[id+".output"]
		if !ok {
			output = inputs[id+".output_before_clamp"]
		}
		for name, raw := range row {
			if !strings.Contains(name, "_crop") {
				continue // the row's name, or a remark
			}
			t.Run(id+"/"+name, func(t *testing.T) {
				var want score
				if err := json.Unmarshal(raw, &want); err != nil {
					t.Fatal(err)
				}
				p.check(t, images(t, output), images(t, inputs[id+".gt"]), optionsOf(t, name), want)
			})
		}
	}
	ties, ok := inputs["ties.input"]
	if !ok {
		return
	}
	t.Run("ties", func(t *testing.T) {
		values, err := ties.Float32()
		if err != nil {
			t.Fatal(err)
		}
		want, err := inputs["ties.rounded"].Int64()
		if err != nil {
			t.Fatal(err)
		}
		for i, got := range (&imageio.Image{W: len(values), H: 1, Pix: values}).Quantize() {
			if int64(got) != want[i] {
				t.Errorf("%v became %d, want %d", values[i], got, want[i])
			}
		}
	})
}

// check compares the mean score of pairs of images.
func (p *parityFile) check(t *testing.T, outputs, gts []*imageio.Image, o Options, want score) {
	t.Helper()
	var gotPSNR, gotSSIM float64
	for i := range outputs {
		a, err := PSNR(outputs[i], gts[i], o)
		if err != nil {
			t.Fatal(err)
		}
		b, err := SSIM(outputs[i], gts[i], o)
		if err != nil {
			t.Fatal(err)
		}
		gotPSNR += a / float64(len(outputs))
		gotSSIM += b / float64(len(outputs))
	}
	near(t, "PSNR", gotPSNR, float64(want.PSNR), min(exact, p.Tolerance.PSNR))
	near(t, "SSIM", gotSSIM, float64(want.SSIM), min(exact, p.Tolerance.SSIM))
}

// checkNodes compares the differentiable forms in float64, as the official code computes them, and
// in float32, as training does.
func (p *parityFile) checkNodes(t *testing.T, pred, gt *imageio.Image, o Options, want score) {
	t.Helper()
	if want.PSNRNode == nil || want.SSIMNode == nil {
		return
	}
	for name, backend := range backends(t) {
		for _, dtype := range []dtypes.DType{dtypes.Float64, dtypes.Float32} {
			got := run(t, backend, func(in []*Node) *Node {
				a, b := ConvertDType(in[0], dtype), ConvertDType(in[1], dtype)
				return ConvertDType(Concatenate([]*Node{PSNRNode(a, b, o), SSIMNode(a, b, o)}, 0), dtypes.Float64)
			}, batch(pred), batch(gt))
			what := fmt.Sprintf("in the graph (%s, %s)", name, dtype)
			near(t, "PSNR "+what, got[0], float64(*want.PSNRNode), p.Tolerance.PSNR)
			ssimTolerance := p.Tolerance.SSIM
			if dtype == dtypes.Float32 {
				ssimTolerance = max(ssimTolerance, ssimFloat32)
			}
			near(t, "SSIM "+what, got[1], float64(*want.SSIMNode), ssimTolerance)
		}
	}
}

// backends returns the tests' backend and the pure Go one.
func backends(t *testing.T) map[string]compute.Backend {
	t.Helper()
	main, pureGo := backendtest.ForTest(t), backendtest.Go(t)
	return map[string]compute.Backend{main.Name(): main, pureGo.Name(): pureGo}
}

// run computes a float64 graph.
func run(t *testing.T, backend compute.Backend, build func(in []*Node) *Node, inputs ...any) []float64 {
	t.Helper()
	out, err := CallOnce(backend, build, inputs...)
	if err != nil {
		t.Fatal(err)
	}
	return tensors.MustCopyFlatData[float64](out)
}

// batch is a batch of one image.
func batch(im *imageio.Image) *tensors.Tensor {
	return tensors.FromFlatDataAndDimensions(im.Pix, 1, im.H, im.W, 3)
}

// read reads an image.
func read(t *testing.T, path string) *imageio.Image {
	t.Helper()
	im, err := imageio.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	return im
}

// images splits a batch [N, 3, H, W].
func images(t *testing.T, x torch.Tensor) []*imageio.Image {
	t.Helper()
	values, err := x.Float32()
	if err != nil {
		t.Fatal(err)
	}
	n, h, w := x.Shape[0], x.Shape[2], x.Shape[3]
	var list []*imageio.Image
	for i := range n {
		im := imageio.New(w, h)
		for c := range 3 {
			for j := range h * w {
				im.Pix[j*3+c] = values[(i*3+c)*h*w+j]
			}
		}
		list = append(list, im)
	}
	return list
}

// near demands |got-want| <= tolerance, and equal infinities.
func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if got != want && !(math.Abs(got-want) <= tolerance) {
		t.Errorf("%s is %.12g, want %.12g within %g (off by %.3g)", what, got, want, tolerance, got-want)
	}
}

// noise returns an image of uniform noise around grey, a pure function of the seed.
func noise(w, h int, seed uint64) *imageio.Image {
	rng := rand.New(rand.NewPCG(seed, 1))
	im := imageio.New(w, h)
	for i := range im.Pix {
		im.Pix[i] = 0.2 + 0.6*rng.Float32()
	}
	return im
}

// TestSSIMDefinition compares with the definition, written out: a window at each position, the
// weighted variances about the weighted means.
func TestSSIMDefinition(t *testing.T) {
	a, b := noise(17, 13, 1), noise(17, 13, 2)
	got, err := SSIM(a, b, Options{})
	if err != nil {
		t.Fatal(err)
	}
	p, q := a.Quantize(), b.Quantize()
	var sum float64
	var count int
	for c := range 3 {
		for y := range a.H - 10 {
			for x := range a.W - 10 {
				var mu, nu, sxx, syy, sxy float64
				each := func(f func(k, u, v float64)) {
					for j := range 11 {
						for i := range 11 {
							at := ((y+j)*a.W+x+i)*3 + c
							f(gaussian[i]*gaussian[j], float64(p[at]), float64(q[at]))
						}
					}
				}
				each(func(k, u, v float64) { mu, nu = mu+k*u, nu+k*v })
				each(func(k, u, v float64) {
					sxx, syy, sxy = sxx+k*(u-mu)*(u-mu), syy+k*(v-nu)*(v-nu), sxy+k*(u-mu)*(v-nu)
				})
				sum += (2*mu*nu + 6.5025) * (2*sxy + 58.5225) / ((mu*mu + nu*nu + 6.5025) * (sxx + syy + 58.5225))
				count++
			}
		}
	}
	near(t, "SSIM", got, sum/float64(count), 1e-12) // float64, some cancellation in the variances
}

func TestPSNRValues(t *testing.T) {
	grey, off := imageio.New(4, 3), imageio.New(4, 3)
	for i := range grey.Pix {
		grey.Pix[i], off.Pix[i] = 100.0/255, 101.0/255
	}
	outside := off.Clone()
	for _, c := range []struct {
		name string
		a, b *imageio.Image
		o    Options
		want float64
	}{
		{"equal", grey, grey, Options{}, math.Inf(1)},
		{"one level", grey, off, Options{}, 20 * math.Log10(255)},
		{"one level of luma", grey, off, Options{Y: true}, 20 * math.Log10(255*255/219.0)},
		{"black and white, clamped", fill(outside, -3), fill(outside, 7), Options{}, 0},
	} {
		got, err := PSNR(c.a, c.b, c.o)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		near(t, c.name, got, c.want, 1e-4) // the luma's float32 rounding; the others are exact
	}
}

// fill returns a copy with all values v.
func fill(im *imageio.Image, v float32) *imageio.Image {
	out := im.Clone()
	for i := range out.Pix {
		out.Pix[i] = v
	}
	return out
}

func TestMetricErrors(t *testing.T) {
	for _, c := range []struct {
		name   string
		metric func(a, b *imageio.Image, o Options) (float64, error)
		a, b   *imageio.Image
		o      Options
		want   string // "" for no error
	}{
		{"smallest SSIM", SSIM, noise(11, 11, 1), noise(11, 11, 2), Options{}, ""},
		{"smallest PSNR", PSNR, noise(1, 1, 1), noise(1, 1, 2), Options{}, ""},
		{"sizes", PSNR, noise(4, 5, 1), noise(5, 4, 1), Options{}, "4x5 pixels, the true one 5x4"},
		{"narrow", SSIM, noise(10, 30, 1), noise(10, 30, 1), Options{}, "at least 11x11"},
		{"narrow after cropping", SSIM, noise(18, 30, 1), noise(18, 30, 1), Options{CropBorder: 4}, "has 10x22"},
		{"all cropped", PSNR, noise(8, 8, 1), noise(8, 8, 1), Options{CropBorder: 4}, "leaves nothing"},
		{"negative crop", PSNR, noise(8, 8, 1), noise(8, 8, 1), Options{CropBorder: -1}, "not possible"},
	} {
		_, err := c.metric(c.a, c.b, c.o)
		if c.want == "" && err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want a message with %q", c.name, err, c.want)
		}
	}
}

// TestNodeGradients compares gradients with central differences in float64, step 1e-5: the error
// of the differences is of the order 1e-10 of curvature and 1e-11 of rounding.
func TestNodeGradients(t *testing.T) {
	im := noise(13, 12, 3)
	pred, target := float64s(im), float64s(noise(13, 12, 4))
	shape := func(v []float64) *tensors.Tensor { return tensors.FromFlatDataAndDimensions(v, 1, im.H, im.W, 3) }
	for name, backend := range backends(t) {
		for metric, node := range map[string]func(a, b *Node, o Options) *Node{"PSNR": PSNRNode, "SSIM": SSIMNode} {
			for _, o := range []Options{{}, {Y: true}} {
				t.Run(fmt.Sprintf("%s/%s/y_%v", name, metric, o.Y), func(t *testing.T) {
					value := func(in []*Node) *Node { return ReduceAllSum(node(in[0], in[1], o)) }
					gradient := run(t, backend, func(in []*Node) *Node { return Gradient(value(in), in[0])[0] }, shape(pred), shape(target))
					size := slices.Max(gradient)
					for _, i := range []int{0, 100, 233, len(pred) - 1} {
						const step = 1e-5
						var ends [2]float64
						for j, d := range []float64{step, -step} {
							moved := slices.Clone(pred)
							moved[i] += d
							ends[j] = run(t, backend, value, shape(moved), shape(target))[0]
						}
						near(t, fmt.Sprintf("gradient of element %d", i), gradient[i], (ends[0]-ends[1])/(2*step), 1e-6*size)
					}
				})
			}
		}
	}
}

// float64s widens an image's values.
func float64s(im *imageio.Image) []float64 {
	out := make([]float64, len(im.Pix))
	for i, v := range im.Pix {
		out[i] = float64(v)
	}
	return out
}

// TestNodesPerImage: each image of a batch has its own score.
func TestNodesPerImage(t *testing.T) {
	a, b := noise(12, 16, 5), noise(12, 16, 6)
	both := tensors.FromFlatDataAndDimensions(slices.Concat(a.Pix, b.Pix), 2, 16, 12, 3)
	first := tensors.FromFlatDataAndDimensions(slices.Concat(a.Pix, a.Pix), 2, 16, 12, 3)
	got := run(t, backendtest.Go(t), func(in []*Node) *Node {
		x, y := ConvertDType(in[0], dtypes.Float64), ConvertDType(in[1], dtypes.Float64)
		return Concatenate([]*Node{PSNRNode(x, y, Options{}), SSIMNode(x, y, Options{})}, 0)
	}, both, first)
	near(t, "PSNR of an equal pair", got[0], 120, 1e-9)
	near(t, "SSIM of an equal pair", got[2], 1, 1e-12)
	if got[1] > 20 || got[3] > 0.5 {
		t.Errorf("unrelated images have PSNR %v, SSIM %v", got[1], got[3])
	}
}

func TestNodePanics(t *testing.T) {
	small := tensors.FromFlatDataAndDimensions(make([]float32, 10*12*3), 1, 10, 12, 3)
	grey := tensors.FromFlatDataAndDimensions(make([]float32, 120), 1, 10, 12, 1)
	for name, c := range map[string]struct {
		node func(a, b *Node, o Options) *Node
		in   *tensors.Tensor
		o    Options
		want string
	}{
		"too small":    {SSIMNode, small, Options{}, "at least 11x11"},
		"grey":         {PSNRNode, grey, Options{}, "RGB"},
		"all cropped":  {PSNRNode, small, Options{CropBorder: 5}, "leaves nothing"},
		"crop to 10px": {SSIMNode, small, Options{CropBorder: 1}, "at least 11x11"},
	} {
		_, err := CallOnce(backendtest.Go(t), func(x *Node) *Node { return c.node(x, x, c.o) }, c.in)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want a message with %q", name, err, c.want)
		}
	}
}

func BenchmarkSSIM500(b *testing.B) {
	x, y := noise(500, 500, 1), noise(500, 500, 2)
	for b.Loop() {
		if _, err := SSIM(x, y, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
