package dcpt

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/godcpt/godcpt/datasets/imageio"
	"github.com/godcpt/godcpt/internal/backend/backendtest"
)

// testModel is a network of two levels with random weights, and a classifier of three kinds, on the
// pure Go backend.
func testModel(t testing.TB) *Model { return testModelOn(t, backendtest.Go(t)) }

func testModelOn(t testing.TB, backend compute.Backend) *Model {
	t.Helper()
	network, err := NewNetwork(smallNetworks["nafnet"][0])
	must(t, err)
	store := networkStore(t, backend, network)
	classifier := Classifier{Blocks: 1}.Complete(network, 3)
	must(t, InitClassifier(backend, store, ClassifierScope, classifier))
	randomise(t, store, ClassifierScope)
	m := newModel(backend, store, NetworkScope, network, &classifier, CheckpointInfo{Classes: []string{"noise", "rain", "haze"}})
	t.Cleanup(m.Close)
	return m
}

// setWeight replaces a weight of a model, by its path.
func setWeight(t testing.TB, m *Model, path string, values func(i int) float32) {
	t.Helper()
	v := m.store.GetVariable(path)
	if v == nil {
		t.Fatalf("no weight %s", path)
	}
	flat := make([]float32, v.Shape().Size())
	for i := range flat {
		flat[i] = values(i)
	}
	must(t, v.SetValue(tensors.FromFlatDataAndDimensions(flat, v.Shape().Dimensions...)))
}

func zero(int) float32 { return 0 }

// makeIdentity makes the model return its input: nothing is added to it.
func makeIdentity(t testing.TB, m *Model) {
	t.Helper()
	setWeight(t, m, NetworkScope+"/ending/weight", zero)
	setWeight(t, m, NetworkScope+"/ending/bias", zero)
}

// restoreByHand is Restore written out: reflected borders, the network, the part inside, clamped.
func restoreByHand(t *testing.T, m *Model, im *imageio.Image) []float32 {
	t.Helper()
	multiple := m.Network.SizeMultiple()
	up := func(n int) int { return (n + multiple - 1) / multiple * multiple }
	w, h := up(im.W), up(im.H)
	// The position that a mirror at the first and the last pixel, neither repeated, shows.
	mirror := func(i, n int) int {
		for n > 1 && i >= n {
			if i = 2*(n-1) - i; i < 0 {
				i = -i
			}
		}
		return min(i, n-1)
	}
	padded := make([]float32, 0, w*h*3)
	for y := range h {
		for x := range w {
			at := (mirror(y, im.H)*im.W + mirror(x, im.W)) * 3
			padded = append(padded, im.Pix[at:at+3]...)
		}
	}
	output := flat(t, forward(t, m.backend, m.store, m.Network, false, tensors.FromFlatDataAndDimensions(padded, 1, h, w, 3))[0])
	var inside []float32
	for y := range im.H {
		for _, v := range output[y*w*3 : (y*w+im.W)*3] {
			inside = append(inside, min(max(v, 0), 1))
		}
	}
	return inside
}

func TestRestoreSizes(t *testing.T) {
	m := testModel(t)
	for _, size := range [][2]int{{8, 12}, {7, 5}, {9, 8}, {8, 9}, {1, 1}, {2, 1}, {1, 3}, {5000, 1}, {1, 5000}} {
		t.Run(fmt.Sprintf("%dx%d", size[0], size[1]), func(t *testing.T) {
			im := waves(size[0], size[1], 1)
			before := slices.Clone(im.Pix)
			got, err := m.Restore(im)
			must(t, err)
			if got.W != im.W || got.H != im.H {
				t.Fatalf("%dx%d pixels, want %dx%d", got.W, got.H, im.W, im.H)
			}
			if !slices.Equal(got.Pix, restoreByHand(t, m, im)) {
				t.Error("not what the network gives for the padded image")
			}
			if !slices.Equal(im.Pix, before) {
				t.Error("the input was changed")
			}
			if slices.Equal(got.Pix, before) {
				t.Error("the output is the input: the weights do nothing")
			}
			if p, err := m.Classify(im); err != nil || len(p) != 3 || math.Abs(float64(p[0]+p[1]+p[2])-1) > 1e-5 {
				t.Errorf("probabilities %v (%v)", p, err)
			}
		})
	}
}

// What is not colour is kept, grey stays grey, and values stay in 0 to 1.
func TestRestoreKeeps(t *testing.T) {
	m := testModel(t)
	im := waves(9, 7, 2)
	im.Depth, im.EXIF, im.ICC = 16, []byte("exif"), []byte("icc")
	im.Alpha = make([]float32, 9*7)
	for i := range im.Alpha {
		im.Alpha[i] = float32(i) / 62
	}
	got, err := m.Restore(im)
	must(t, err)
	if got.Depth != 16 || !slices.Equal(got.Alpha, im.Alpha) || string(got.EXIF) != "exif" || string(got.ICC) != "icc" || got.Gray {
		t.Errorf("depth %d, %d alpha values, exif %q, icc %q, gray %v", got.Depth, len(got.Alpha), got.EXIF, got.ICC, got.Gray)
	}
	for _, v := range got.Pix {
		if !(v >= 0 && v <= 1) {
			t.Fatalf("value %v", v)
		}
	}

	gray := imageio.New(9, 7)
	gray.Gray = true
	for i := range gray.Pix {
		gray.Pix[i] = float32(i/3%9) / 9
	}
	if got, err = m.Restore(gray); err != nil || !got.Gray {
		t.Fatalf("gray %v (%v)", got.Gray, err)
	}
	colour := restoreByHand(t, m, gray)
	for i := 0; i < len(got.Pix); i += 3 {
		mean := (colour[i] + colour[i+1] + colour[i+2]) / 3
		if got.Pix[i] != mean || got.Pix[i+1] != mean || got.Pix[i+2] != mean {
			t.Fatalf("pixel %d is %v, want three times the mean of %v", i/3, got.Pix[i:i+3], colour[i:i+3])
		}
	}
}

// Files of every kind come back as what they were: with the network that changes nothing, to the bit.
func TestRestoreFileKinds(t *testing.T) {
	m := testModel(t)
	makeIdentity(t, m)
	for _, test := range []struct {
		name        string
		depth       int
		gray, alpha bool
	}{{"8.png", 8, false, false}, {"16.png", 16, false, false}, {"gray.png", 8, true, false}, {"gray16.png", 16, true, false},
		{"alpha.png", 8, false, true}, {"alpha16.png", 16, false, true}, {"16.tif", 16, false, false}} {
		im := waves(13, 6, 1)
		im.Depth, im.Gray = test.depth, test.gray
		if test.gray {
			averageChannels(im.Pix)
		}
		if test.alpha {
			im.Alpha = make([]float32, 13*6)
			for i := range im.Alpha {
				im.Alpha[i] = float32(i) / 77
			}
		}
		path := filepath.Join(t.TempDir(), test.name)
		must(t, imageio.Write(path, im))
		want, err := imageio.Read(path)
		must(t, err)
		restored, err := m.Restore(want)
		must(t, err)
		must(t, imageio.Write(path, restored))
		got, err := imageio.Read(path)
		must(t, err)
		if !slices.Equal(got.Pix, want.Pix) || !slices.Equal(got.Alpha, want.Alpha) || got.Depth != test.depth || got.Gray != test.gray || (got.Alpha != nil) != test.alpha {
			t.Errorf("%s: depth %d, gray %v, alpha %v came back, or other pixels", test.name, got.Depth, got.Gray, got.Alpha != nil)
		}
	}
}

// More sizes than programs are kept, twice over.
func TestRestoreManySizes(t *testing.T) {
	m := testModel(t)
	var first [][]float32
	for round := range 2 {
		for i := range maxPrograms + 3 {
			got, err := m.Restore(waves(4*(i+1), 4, 0))
			must(t, err)
			if round == 0 {
				first = append(first, got.Pix)
			} else if !slices.Equal(got.Pix, first[i]) {
				t.Errorf("width %d differs the second time", 4*(i+1))
			}
			if n := len(m.restorer.sizes); n > maxPrograms {
				t.Fatalf("%d programs are kept", n)
			}
		}
	}
}

// A model can be closed and used again; it compiles anew.
func TestModelClose(t *testing.T) {
	m := testModel(t)
	m.Close()
	want, err := m.Restore(waves(8, 8, 0))
	must(t, err)
	m.Close()
	got, err := m.Restore(waves(8, 8, 0))
	must(t, err)
	if !slices.Equal(got.Pix, want.Pix) {
		t.Error("another result after closing")
	}
}

func TestClassifyWithoutClassifier(t *testing.T) {
	m := testModel(t)
	m.Classifier = nil
	_, err := m.Classify(waves(8, 8, 0))
	wantError(t, err, "no degradation classifier", "pre-trained run")
}

// Load takes the moving average where there is one, and the classifier.
func TestLoad(t *testing.T) {
	m := testModel(t)
	config, err := ConfigOf(m.Network)
	must(t, err)
	for _, v := range trainable(m.store, NetworkScope) {
		values := flat(t, v.MustValue())
		for i := range values {
			values[i] /= 2
		}
		_, err := m.store.CreateVariable(emaPrefix+v.Path(), tensors.FromFlatDataAndDimensions(values, v.Shape().Dimensions...))
		must(t, err)
	}
	path := filepath.Join(t.TempDir(), "both.safetensors")
	info := CheckpointInfo{Network: config, Classifier: m.Classifier, Classes: m.Info.Classes}
	must(t, saveCheckpoint(path, m.store, []string{NetworkScope, ClassifierScope, emaPrefix}, info))
	loaded, err := Load(m.backend, path)
	must(t, err)
	defer loaded.Close()

	im := waves(8, 8, 0)
	got, err := loaded.Restore(im)
	must(t, err)
	average := newModel(m.backend, m.store, EMAScope, m.Network, m.Classifier, info)
	defer average.Close()
	want, err := average.Restore(im)
	must(t, err)
	if !slices.Equal(got.Pix, want.Pix) {
		t.Error("the restored image is not that of the moving average")
	}
	p, err := loaded.Classify(im)
	must(t, err)
	q, err := average.Classify(im)
	must(t, err)
	if !slices.Equal(p, q) {
		t.Errorf("probabilities %v, want %v", p, q)
	}
}

// FindWeights prefers what is further: fine-tuned to pre-trained weights, finished ones to checkpoints.
func TestFindWeights(t *testing.T) {
	run := t.TempDir()
	put := func(path ...string) string {
		file := filepath.Join(append([]string{run}, path...)...)
		must(t, os.MkdirAll(filepath.Dir(file), 0o755))
		must(t, os.WriteFile(file, nil, 0o644))
		return file
	}
	_, err := FindWeights(run)
	wantError(t, err, run, "holds no weights")
	_, err = FindWeights(filepath.Join(run, "absent"))
	wantError(t, err, "no weights at", filepath.Join(run, "absent"))
	put(StagePretrain, checkpointDir, checkpointName(3))
	for _, path := range [][]string{
		{StagePretrain, checkpointDir, checkpointName(20)},
		{StagePretrain, WeightsFile},
		{StageFinetune, checkpointDir, checkpointName(1)},
		{StageFinetune, WeightsFile},
		{WeightsFile},
	} {
		file := put(path...)
		if got, err := FindWeights(run); err != nil || got != file {
			t.Errorf("%s (%v), want %s", got, err, file)
		}
		if got, err := FindWeights(file); err != nil || got != file {
			t.Errorf("%s (%v), want the file itself", got, err)
		}
	}
}

// The tests' backend and the pure Go one agree: float32 rounding over some ten layers.
func TestRestoreBackends(t *testing.T) {
	m := testModel(t)
	im := waves(13, 9, 1)
	want, err := m.Restore(im)
	must(t, err)
	probabilities, err := m.Classify(im)
	must(t, err)
	other := testModelOn(t, backendtest.ForTest(t))
	got, err := other.Restore(im)
	must(t, err)
	near(t, "restored image", got.Pix, want.Pix, 1e-5)
	p, err := other.Classify(im)
	must(t, err)
	near(t, "probabilities", p, probabilities, 1e-4)
}
