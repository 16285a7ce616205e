package dcpt

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/godcpt/godcpt/dcpt/torch"
	"github.com/godcpt/godcpt/internal/backend/backendtest"
	"github.com/godcpt/godcpt/internal/paritytest"
)

// Every preset is found by the names and shapes of its own weights, or one with the same names and
// shapes is and it is named beside it; a weight more, fewer or of another shape is told by its name.
func TestDetect(t *testing.T) {
	for _, preset := range Presets() {
		network, err := NewNetwork(NetworkConfig{"preset": preset})
		must(t, err)
		d, err := Describe(network, network.SizeMultiple(), network.SizeMultiple())
		must(t, err)
		found, err := Detect(d.Weights)
		if err != nil {
			t.Errorf("%s: %v", preset, err)
			continue
		}
		if found.Preset != preset && !slices.Contains(found.Same, preset) {
			t.Errorf("%s is taken for %s (same: %v)", preset, found.Preset, found.Same)
		}
	}
	network, err := NewNetwork(smallNetworks["nafnet"][0])
	must(t, err)
	d, err := Describe(network, 16, 16)
	must(t, err)
	found, err := Detect(d.Weights)
	must(t, err)
	if found.Preset != "" || found.Network.(*NAFNet).Width != 4 {
		t.Errorf("a small NAFNet is taken for %+v", found)
	}
	d.Weights["foo.bar"] = []int{1}
	d.Weights["intro.bias"] = []int{9}
	delete(d.Weights, "ending.bias")
	_, err = Detect(d.Weights)
	wantError(t, err, "of no known network", "ending.bias is missing; foo.bar is unknown; intro.bias is [9], not [4]")
}

// What is described is what is built.
func TestDescribe(t *testing.T) {
	backend := backendtest.Go(t)
	for _, arch := range Architectures() {
		network, err := NewNetwork(smallNetworks[arch][0])
		must(t, err)
		want, err := ExportWeights(networkStore(t, backend, network), NetworkScope)
		must(t, err)
		d, err := Describe(network, 2*network.SizeMultiple(), 2*network.SizeMultiple())
		must(t, err)
		parameters := 0
		for name, tensor := range want {
			parameters += tensor.Size()
			if !slices.Equal(d.Weights[name], tensor.Shape) {
				t.Errorf("%s: %s is described as %v, it is %v", arch, name, d.Weights[name], tensor.Shape)
			}
		}
		if len(d.Weights) != len(want) || d.Parameters != parameters || d.MACs <= 0 {
			t.Errorf("%s: %d weights, %d parameters, %d MACs; want %d and %d", arch, len(d.Weights), d.Parameters, d.MACs, len(want), parameters)
		}
	}
	// 16.0 and 63.1 billion are the figures that the authors of NAFNet give for these.
	for preset, want := range map[string]float64{"nafnet-5d-w32": 16.0, "nafnet-5d": 63.1} {
		network, err := NewNetwork(NetworkConfig{"preset": preset})
		must(t, err)
		d, err := Describe(network, 256, 256)
		must(t, err)
		if got := float64(d.MACs) / 1e9; math.Abs(got-want) > 0.1 {
			t.Errorf("%s: %.2f billion multiply-accumulates, want %v", preset, got, want)
		}
	}
}

// Weights of every architecture survive PyTorch's format and safetensors, and the network is known
// from the file alone.
func TestExportImport(t *testing.T) {
	backend := backendtest.Go(t)
	for _, arch := range Architectures() {
		for _, config := range smallNetworks[arch] {
			network, err := NewNetwork(config)
			must(t, err)
			full, err := ConfigOf(network)
			must(t, err)
			store := networkStore(t, backend, network)
			dir := t.TempDir()
			own := filepath.Join(dir, "own.safetensors")
			must(t, saveCheckpoint(own, store, []string{NetworkScope}, CheckpointInfo{Network: full}))
			c, err := ReadWeights(own)
			must(t, err)
			for _, name := range []string{"out.pth", "out.safetensors"} {
				path := filepath.Join(dir, name)
				must(t, ExportFile(path, c))
				imported, err := ImportFile(path, ImportOptions{Network: full})
				must(t, err)
				if !equalWeights(imported.Checkpoint.Tensors, c.Tensors) {
					t.Errorf("%s %s: the weights changed", arch, name)
				}
			}
			m, err := Load(backend, filepath.Join(dir, "out.safetensors")) // says which network it is
			must(t, err)
			if got, err := ConfigOf(m.Network); err != nil || len(got) != len(full) {
				t.Errorf("%s: network %v (%v)", arch, got, err)
			}
			m.Close()
		}
	}
	store := networkStore(t, backend, nafnetPresets["nafnet-tiny"])
	config, err := ConfigOf(nafnetPresets["nafnet-tiny"])
	must(t, err)
	own := filepath.Join(t.TempDir(), "own.safetensors")
	must(t, saveCheckpoint(own, store, []string{NetworkScope}, CheckpointInfo{Network: config}))
	c, err := ReadWeights(own)
	must(t, err)
	path := filepath.Join(t.TempDir(), "tiny.pth")
	must(t, ExportFile(path, c))
	imported, err := ImportFile(path, ImportOptions{})
	must(t, err)
	if imported.Detection.Preset != "nafnet-tiny" || imported.Key != "params" || imported.Format != torch.FormatZip {
		t.Errorf("found %+v under %q", imported.Detection, imported.Key)
	}
	_, err = ImportFile(path, ImportOptions{Network: NetworkConfig{"preset": "nafnet-5d"}})
	wantError(t, err, "holds weights of another network")
	before, err := os.ReadFile(path)
	must(t, err)
	for name, want := range map[string]string{"weights": "no extension", "weights.onnx": "cannot be written as .onnx"} {
		wantError(t, ExportFile(filepath.Join(t.TempDir(), name), c), want)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, before) {
		t.Errorf("the file changed (%v)", err)
	}
}

// Files of the real PyTorch give the network whose weights they hold (parity README, section 8).
func TestParityPTH(t *testing.T) {
	dir := paritytest.Dir(t)
	for _, folder := range []string{"pth", "bad_pth", "nafnet_w8_multi_dec"} {
		if _, err := os.Stat(filepath.Join(dir, folder)); err != nil {
			t.Skipf("there is no parity case %s: the reader's own tests cover the formats", folder)
		}
	}
	want := readVectors(t, filepath.Join(dir, "nafnet_w8_multi_dec", "weights.safetensors"))
	files, err := filepath.Glob(filepath.Join(dir, "pth", "*.pth"))
	must(t, err)
	if len(files) == 0 {
		t.Fatal("no .pth files")
	}
	for _, file := range files {
		imported, err := ImportFile(file, ImportOptions{})
		if err != nil {
			t.Errorf("%s: %v", filepath.Base(file), err)
			continue
		}
		// Half and bfloat16 files keep 11 and 8 bits: rounding of half a unit in the last place.
		tolerance := map[string]float64{"nafnet_w8_half.pth": 0x1p-11, "nafnet_w8_bfloat16.pth": 0x1p-8}[filepath.Base(file)]
		for name, tensor := range imported.Checkpoint.Weights(NetworkScope) {
			got, err := tensor.Float32()
			must(t, err)
			values, err := want[name].Float32()
			must(t, err)
			for i := range values {
				if d := math.Abs(float64(got[i] - values[i])); d > tolerance*math.Abs(float64(values[i]))+tolerance*1e-4 {
					t.Errorf("%s: %s[%d] is %v, want %v", filepath.Base(file), name, i, got[i], values[i])
					break
				}
			}
		}
	}
	for name, text := range map[string]string{
		"extra_tensor.pth": "foo.bar is unknown", "missing_tensor.pth": "ending.bias is missing", "wrong_shape.pth": "intro.bias is [9], not [8]",
	} {
		_, err := ImportFile(filepath.Join(dir, "bad_pth", name), ImportOptions{})
		wantError(t, err, text)
	}
	imported, err := ImportFile(filepath.Join(dir, "bad_pth", "nan_weight.pth"), ImportOptions{})
	if err != nil || !slices.Equal(imported.NotFinite, []string{"intro.bias"}) {
		t.Errorf("weights that are not finite: %+v (%v)", imported, err)
	}
}
