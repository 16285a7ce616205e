package backend_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/godcpt/godcpt/datasets"
	"github.com/godcpt/godcpt/dcpt"
	"github.com/godcpt/godcpt/internal/backend"
	"github.com/godcpt/godcpt/internal/backend/backendtest"
)

// trainTiny takes three steps of DCPT pre-training, and returns all weights, moments and averages.
func trainTiny(t *testing.T, be compute.Backend) map[string][]float32 {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	network, err := dcpt.NewNetwork(dcpt.NetworkConfig{"arch": "nafnet", "width": 4, "enc_blocks": []int{1}, "middle_blocks": 0, "dec_blocks": []int{1}})
	check(err)
	store := model.NewStore()
	classifier := dcpt.Classifier{}.Complete(network, 2)
	check(dcpt.InitNetwork(be, store, dcpt.NetworkScope, network))
	check(dcpt.InitClassifier(be, store, dcpt.ClassifierScope, classifier))
	trainer, err := dcpt.NewTrainer(be, store, network, classifier, dcpt.StageConfig{
		Method: dcpt.MethodDCPT, Steps: 3, Batch: 1, Patch: 16, EMADecay: 0.9,
		PixelLoss: dcpt.PixelLoss{Kind: "L1Loss"}, ClassifyLoss: dcpt.ClassifyLoss{Kind: "CrossEntropyLoss"},
		Optimizer: dcpt.Optimizer{LR: 1e-3}, ClassifierOptimizer: dcpt.Optimizer{LR: 1e-3},
	})
	check(err)
	defer trainer.Close()
	batch := &datasets.Batch{N: 1, H: 16, W: 16, LQ: make([]float32, 16*16*3), GT: make([]float32, 16*16*3), Labels: []int32{1}}
	for i := range batch.LQ {
		batch.LQ[i], batch.GT[i] = float32(i%251)/251, float32(i%241)/241
	}
	for range 3 {
		_, err := trainer.Step(batch)
		check(err)
	}
	values := map[string][]float32{}
	for v := range store.IterVariables() {
		value, err := v.Value()
		check(err)
		if values[v.Path()], err = tensors.CopyFlatData[float32](value); err != nil {
			delete(values, v.Path()) // a counter
		}
	}
	return values
}

// Training with programs from the cache gives the same weights, bit by bit: that buffers are donated
// belongs to the program, too. Damaged files are compiled anew.
func TestTrainingFromCache(t *testing.T) {
	be := backendtest.ForTest(t)
	var log strings.Builder
	dir := backend.KeepPrograms(t, &log)

	start := backend.Programs()
	cold := trainTiny(t, be)
	compiled := backend.Programs()
	if n := compiled.Compiled - start.Compiled; n == 0 || compiled.Loaded != start.Loaded || compiled.CompileTime <= start.CompileTime {
		t.Fatalf("cold: from %+v to %+v", start, compiled)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != compiled.Compiled-start.Compiled {
		t.Fatalf("%d files, %v; %d programs were compiled", len(files), err, compiled.Compiled-start.Compiled)
	}

	same := func(name string, values map[string][]float32) {
		t.Helper()
		if len(values) == 0 || len(values) != len(cold) {
			t.Fatalf("%s: %d weights, %d before", name, len(values), len(cold))
		}
		for path, v := range values {
			if !slices.Equal(v, cold[path]) {
				t.Errorf("%s: %s differs", name, path)
			}
		}
	}
	same("warm", trainTiny(t, be))
	warm := backend.Programs()
	if warm.Compiled != compiled.Compiled || warm.Loaded-compiled.Loaded != len(files) || warm.LoadTime <= compiled.LoadTime {
		t.Errorf("warm: from %+v to %+v", compiled, warm)
	}
	if log.Len() > 0 {
		t.Errorf("log: %s", log.String())
	}

	for _, f := range files {
		if err := os.Truncate(filepath.Join(dir, f.Name()), 1000); err != nil {
			t.Fatal(err)
		}
	}
	same("damaged", trainTiny(t, be))
	if after := backend.Programs(); after.Compiled-warm.Compiled != len(files) || after.Loaded != warm.Loaded {
		t.Errorf("damaged: from %+v to %+v", warm, after)
	}
	if !strings.Contains(log.String(), "is damaged") {
		t.Errorf("log: %s", log.String())
	}
	same("replaced", trainTiny(t, be))
}

// A program that the plugin does not take is compiled instead.
func TestProgramsThatDoNotLoad(t *testing.T) {
	be := backendtest.ForTest(t)
	var log strings.Builder
	dir := backend.KeepPrograms(t, &log)
	double := func() {
		t.Helper()
		exec := graph.MustNewExec(be, func(x *graph.Node) *graph.Node { return graph.MulScalar(x, 2) })
		defer exec.Finalize()
		if got := tensors.ToScalar[float32](exec.MustCall1(float32(21))); got != 42 {
			t.Errorf("twice 21 is %v", got)
		}
	}
	double()
	if err := backend.FakePrograms(dir, []byte("whole, but no program of XLA's")); err != nil {
		t.Fatal(err)
	}
	before := backend.Programs()
	double()
	if after := backend.Programs(); after.Loaded != before.Loaded || after.Compiled != before.Compiled+1 {
		t.Errorf("from %+v to %+v", before, after)
	}
	if strings.Count(log.String(), "compiling instead") != 1 {
		t.Errorf("log: %s", log.String())
	}
	double()
	if after := backend.Programs(); after.Loaded != before.Loaded+1 {
		t.Errorf("the program was not replaced: from %+v to %+v", before, after)
	}
}
