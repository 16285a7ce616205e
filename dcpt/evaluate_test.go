package dcpt

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/godcpt/godcpt/datasets"
	"github.com/godcpt/godcpt/datasets/imageio"
	"github.com/godcpt/godcpt/dcpt/metrics"
)

// listed is a data set of given samples.
type listed struct {
	classes []string
	samples []datasets.Sample
}

func (l listed) Len() int                                     { return len(l.samples) }
func (l listed) Classes() []string                            { return l.classes }
func (l listed) Sample(_, index int) (datasets.Sample, error) { return l.samples[index], nil }

// even is a picture of one value.
func even(side int, level float32) *imageio.Image {
	im := imageio.New(side, side)
	for i := range im.Pix {
		im.Pix[i] = level / 255
	}
	return im
}

// Scores of pictures of one value can be computed by hand. The network adds 2/255.
func TestEvaluate(t *testing.T) {
	m := testModel(t)
	makeIdentity(t, m)
	setWeight(t, m, NetworkScope+"/ending/bias", func(int) float32 { return 2.0 / 255 })
	sample := func(label int, lq, gt float32) datasets.Sample {
		return datasets.Sample{LQ: even(12, lq), GT: even(12, gt), Label: label, Name: "picture"}
	}
	ds := listed{[]string{"rain", "noise", "nothing"}, []datasets.Sample{
		sample(1, 90, 100), sample(0, 50, 60), sample(1, 98, 103), sample(1, 10, 30),
	}}
	// The classifier says haze whatever it sees, which is wrong, then noise.
	setWeight(t, m, ClassifierScope+"/fc/weight", zero)
	psnr := func(difference float64) float64 { return 20 * math.Log10(255/difference) }
	ssim := func(a, b float64) float64 { // without variance only the luminance term is left
		const c1 = (0.01 * 255) * (0.01 * 255)
		return (2*a*b + c1) / (a*a + b*b + c1)
	}
	want := []SetScore{
		{"rain", 1, psnr(10), psnr(8), ssim(50, 60), ssim(52, 60), 0},
		{"noise", 3, (psnr(10) + psnr(5) + psnr(20)) / 3, (psnr(8) + psnr(3) + psnr(18)) / 3,
			(ssim(90, 100) + ssim(98, 103) + ssim(10, 30)) / 3, (ssim(92, 100) + ssim(100, 103) + ssim(12, 30)) / 3, 0},
	}
	for _, test := range []struct {
		said      int
		accuracy  []float64
		all       float64
		confusion [][]int
	}{
		{2, []float64{0, 0}, 0, [][]int{{0, 0, 3}, {0, 0, 1}, {0, 0, 0}}},
		{0, []float64{0, 1}, 0.75, [][]int{{3, 0, 0}, {1, 0, 0}, {0, 0, 0}}},
	} {
		setWeight(t, m, ClassifierScope+"/fc/bias", func(i int) float32 {
			if i == test.said {
				return 1
			}
			return 0
		})
		observed := 0
		e, err := Evaluator{Restorer: m, Classifier: m, Observe: func(score ImageScore, s datasets.Sample, restored *imageio.Image) {
			if score.Set != ds.classes[s.Label] || restored == nil || score.Predicted != m.Info.Classes[test.said] {
				t.Errorf("told of %+v", score)
			}
			observed++
		}}.Evaluate(context.Background(), ds)
		must(t, err)
		if observed != 4 || len(e.Images) != 4 || len(e.Sets) != 2 {
			t.Fatalf("%d observed, %d images, %d sets", observed, len(e.Images), len(e.Sets))
		}
		for i, set := range e.Sets {
			w := want[i]
			w.Accuracy = test.accuracy[i]
			closeScore(t, set, w)
		}
		if e.Accuracy != test.all {
			t.Errorf("accuracy %v, want %v", e.Accuracy, test.all)
		}
		if !slices.Equal(e.Classes, []string{"noise", "rain", "haze"}) || !slices.EqualFunc(e.Confusion, test.confusion, slices.Equal[[]int]) {
			t.Errorf("confusion of %v: %v, want %v", e.Classes, e.Confusion, test.confusion)
		}
		mean := SetScore{Name: "mean", Images: 4, Accuracy: test.all}
		for _, w := range want { // each set counts the same, however many images it has
			mean.PSNRDegraded += w.PSNRDegraded / 2
			mean.PSNRRestored += w.PSNRRestored / 2
			mean.SSIMDegraded += w.SSIMDegraded / 2
			mean.SSIMRestored += w.SSIMRestored / 2
		}
		closeScore(t, e.Mean(), mean)
	}
}

// closeScore compares scores of float64 formulas on whole levels.
func closeScore(t *testing.T, got, want SetScore) {
	t.Helper()
	if got.Name != want.Name || got.Images != want.Images || got.Accuracy != want.Accuracy {
		t.Errorf("%+v, want %+v", got, want)
	}
	for _, pair := range [][2]float64{
		{got.PSNRDegraded, want.PSNRDegraded}, {got.PSNRRestored, want.PSNRRestored},
		{got.SSIMDegraded, want.SSIMDegraded}, {got.SSIMRestored, want.SSIMRestored},
	} {
		if !(math.Abs(pair[0]-pair[1]) <= 1e-9) {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
}

// The confusion matrix counts what Classify says of each image.
func TestEvaluateClassifier(t *testing.T) {
	m := testModel(t)
	// Undecided on one image, it says different things of others.
	p, err := m.Classify(waves(8, 8, 3))
	must(t, err)
	bias := flat(t, m.store.GetVariable(ClassifierScope+"/fc/bias").MustValue())
	setWeight(t, m, ClassifierScope+"/fc/bias", func(i int) float32 { return bias[i] - float32(math.Log(float64(p[i]))) })

	ds := listed{classes: []string{"haze", "noise", "snow"}}
	want := [][]int{{0, 0, 0}, {0, 0, 0}, {0, 0, 0}}
	rows := []int{2, 0, -1} // of the classes of the data in those of the classifier
	hits, counted := 0, 0
	said := map[int]bool{}
	for i := range 24 {
		im := waves(8+i%3, 8, i%7)
		for k := range im.Pix {
			im.Pix[k] *= float32(i%5) / 4
		}
		ds.samples = append(ds.samples, datasets.Sample{LQ: im, GT: im, Label: i % 3})
		p, err := m.Classify(im)
		must(t, err)
		predicted := slices.Index(p, slices.Max(p))
		said[predicted] = true
		if row := rows[i%3]; row >= 0 {
			want[row][predicted]++
			counted++
			if row == predicted {
				hits++
			}
		}
	}
	if len(said) < 2 {
		t.Fatal("the classifier says the same of every image")
	}
	e, err := Evaluator{Classifier: m}.Evaluate(context.Background(), ds)
	must(t, err)
	if !slices.EqualFunc(e.Confusion, want, slices.Equal[[]int]) {
		t.Errorf("confusion %v, want %v", e.Confusion, want)
	}
	if e.Accuracy != float64(hits)/float64(counted) {
		t.Errorf("accuracy %v, want %d of %d", e.Accuracy, hits, counted)
	}
	if len(e.Images) != 24 || e.Images[0].PSNRRestored != 0 {
		t.Errorf("images %+v", e.Images)
	}
}

// The protocol is that of the metrics.
func TestEvaluateProtocol(t *testing.T) {
	m := testModel(t)
	ds := listed{[]string{"noise"}, []datasets.Sample{{LQ: waves(20, 24, 0), GT: waves(20, 24, 1)}}}
	o := metrics.Options{Y: true, CropBorder: 4}
	e, err := Evaluator{Restorer: m, Protocol: o}.Evaluate(context.Background(), ds)
	must(t, err)
	want, err := metrics.PSNR(ds.samples[0].LQ, ds.samples[0].GT, o)
	must(t, err)
	if e.Protocol != o || e.Images[0].PSNRDegraded != want || e.Confusion != nil {
		t.Errorf("%+v, want PSNR %v", e, want)
	}
}

func TestEvaluateErrors(t *testing.T) {
	m := testModel(t)
	small := listed{[]string{"noise"}, []datasets.Sample{{LQ: waves(8, 8, 0), GT: waves(8, 8, 0), Name: "small.png"}}}
	_, err := Evaluator{Restorer: m}.Evaluate(context.Background(), small)
	wantError(t, err, "small.png", "SSIM", "8x8")
	m.Classifier = nil
	_, err = Evaluator{Classifier: m}.Evaluate(context.Background(), small)
	wantError(t, err, "small.png", "no degradation classifier")

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := (Evaluator{}).Evaluate(ctx, small); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the context", err)
	}
	broken := failing{small}
	if _, err := (Evaluator{}).Evaluate(context.Background(), broken); err == nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("error %v, want that of the data set", err)
	}
}

type failing struct{ listed }

func (failing) Sample(_, _ int) (datasets.Sample, error) {
	return datasets.Sample{}, errors.New("x.png cannot be read")
}
