package torch

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// torchPython returns a Python that has PyTorch: $GODCPT_TORCH_PYTHON, which must have it, else
// python3, which may. Without one the test is skipped: the project itself needs no Python.
func torchPython(t *testing.T) string {
	t.Helper()
	python := os.Getenv("GODCPT_TORCH_PYTHON")
	named := python != ""
	if !named {
		python = "python3"
	}
	if out, err := exec.Command(python, "-c", "import torch").CombinedOutput(); err != nil {
		if named {
			t.Fatalf("GODCPT_TORCH_PYTHON=%s cannot import torch: %v\n%s", python, err, out)
		}
		t.Skip("python3 cannot import torch, so that PyTorch's own reader and writer are not tried; GODCPT_TORCH_PYTHON names a Python that can")
	}
	return python
}

// loadWithTorch loads our files strictly into a module of these names and prints its values.
const loadWithTorch = `
import json, sys, torch
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.intro = torch.nn.Conv2d(1, 2, (1, 2))
        self.encoders = torch.nn.ModuleList([torch.nn.Sequential(torch.nn.Linear(2, 3, bias=False))])
        self.temperature = torch.nn.Parameter(torch.zeros(2, 1, 1))
        self.prompt = torch.nn.Parameter(torch.zeros(1, 2, 2, 1, 1))
        self.register_buffer("short", torch.zeros(2, dtype=torch.float16))
        self.register_buffer("brain", torch.zeros(1, dtype=torch.bfloat16))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))
for path, key in ((sys.argv[1], "params"), (sys.argv[2], None)):
    for mmap in (False, True):
        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
        state = loaded[key] if key else loaded
        net = Net()
        net.load_state_dict(state, strict=True)
print(json.dumps({k: {"type": str(v.dtype), "shape": list(v.shape), "values": v.double().flatten().tolist()} for k, v in net.state_dict().items()}))
`

func TestTorchLoadsWhatWeWrite(t *testing.T) {
	python := torchPython(t)
	tensors := map[string]Tensor{
		"intro.weight":        Float32Tensor([]float32{1, -2, 3.5, 1e-42}, 2, 1, 1, 2),
		"intro.bias":          Float32Tensor([]float32{0.25, -0.5}, 2),
		"encoders.0.0.weight": Float32Tensor([]float32{1, 2, 3, 4, 5, 6}, 3, 2),
		"temperature":         Float32Tensor([]float32{7, 8}, 2, 1, 1),
		"prompt":              Float32Tensor([]float32{1, 2, 3, 4}, 1, 2, 2, 1, 1),
		"short":               {Shape: []int{2}, DType: "F16", Data: []byte{0x00, 0x3c, 0x01, 0x00}},
		"brain":               {Shape: []int{1}, DType: "BF16", Data: []byte{0x49, 0xc0}},
		"count":               {Shape: nil, DType: "I64", Data: []byte{254, 255, 255, 255, 255, 255, 255, 255}},
	}
	types := map[string]string{"F32": "torch.float32", "F16": "torch.float16", "BF16": "torch.bfloat16", "I64": "torch.int64"}
	script := exec.Command(python, "-c", loadWithTorch, saveFile(t, writePTH(t, "params", tensors)), saveFile(t, writePTH(t, "", tensors)))
	script.Stderr = os.Stderr
	out, err := script.Output()
	if err != nil {
		t.Fatalf("torch.load: %v", err)
	}
	var got map[string]struct {
		Type   string
		Shape  []int
		Values []float64
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	if len(got) != len(tensors) {
		t.Errorf("PyTorch has %d tensors, want %d", len(got), len(tensors))
	}
	for name, w := range tensors {
		g := got[name]
		var want []float64
		if w.DType == "I64" {
			want = []float64{-2}
		} else {
			values, err := w.Float32()
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range values {
				want = append(want, float64(v))
			}
		}
		if g.Type != types[w.DType] || !slices.Equal(g.Shape, w.Shape) || !slices.Equal(g.Values, want) {
			t.Errorf("%s is %s %v %v in PyTorch, want %s %v %v", name, g.Type, g.Shape, g.Values, w.DType, w.Shape, want)
		}
	}
}

// saveWithTorch writes a training file in every format and pickle protocol.
const saveWithTorch = `
import argparse, collections, datetime, pathlib, random, sys, torch
torch.manual_seed(0)
net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
optimizer = torch.optim.AdamW(net.parameters())
net(torch.randn(2, 3, 8, 8)).sum().backward()
optimizer.step()
net[0].weight.data = torch.arange(108.0).reshape(4, 3, 3, 3).to(memory_format=torch.channels_last)
extras = dict(
    epoch=3, lr=1e-4, args=argparse.Namespace(a=1, b="x", c=None), optimizer=optimizer.state_dict(),
    rng=torch.get_rng_state(), python_rng=random.getstate(), path=pathlib.Path("/a"), time=datetime.datetime(2024, 1, 1),
    counts=collections.defaultdict(list, {"a": [1]}), sets=({1, 2}, frozenset([1])), device=torch.device("cpu"),
    dtype=torch.float32, size=torch.Size([1, 2]), huge=10**30, negative=-5, raw=b"abc", complex=1j,
    queue=collections.deque([1]), loss=torch.tensor(1.5))
try:
    import numpy
    extras.update(scalar=numpy.float64(3.2), array=numpy.arange(10.0), numpy_rng=numpy.random.get_state())
except ImportError:
    pass
for protocol in (2, 3, 4, 5):
    for new in (True, False):
        torch.save(dict(extras, state_dict=net.state_dict()), f"{sys.argv[1]}/{protocol}-{new}.ckpt",
                   pickle_protocol=protocol, _use_new_zipfile_serialization=new)
`

func TestWeReadWhatTorchSaves(t *testing.T) {
	python := torchPython(t)
	dir := t.TempDir()
	script := exec.Command(python, "-c", saveWithTorch, dir)
	script.Stderr = os.Stderr
	if err := script.Run(); err != nil {
		t.Fatalf("torch.save: %v", err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.ckpt"))
	if err != nil || len(files) != 8 {
		t.Fatalf("%d files, want 8 (%v)", len(files), err)
	}
	for _, file := range files {
		f, err := Open(file)
		if err != nil {
			t.Error(err)
			continue
		}
		weights, key, err := f.Weights("")
		if err != nil || key != "state_dict" || len(weights) != 7 {
			t.Errorf("%s: %d tensors under %q: %v", file, len(weights), key, err)
			continue
		}
		kernel, err := weights["0.weight"].Float32()
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range kernel {
			if v != float32(i) {
				t.Errorf("%s: element %d of a channels-last kernel is %g", file, i, v)
				break
			}
		}
		if n, err := weights["1.num_batches_tracked"].Int64(); err != nil || n[0] != 1 {
			t.Errorf("%s: num_batches_tracked is %v (%v), want 1", file, n, err)
		}
	}
}
