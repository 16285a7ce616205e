package netbench

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godcpt/godcpt/dcpt"
	"github.com/godcpt/godcpt/internal/backend"
	"github.com/godcpt/godcpt/internal/backend/backendtest"
)

func openGo(t *testing.T) func() (*backend.Backend, error) {
	return func() (*backend.Backend, error) {
		return &backend.Backend{Backend: backendtest.Go(t), Kind: "go"}, nil
	}
}

var tinyWorks = []Work{
	{Verb: Step, Net: "nafnet-tiny", Method: dcpt.MethodRestore, Batch: 2, Width: 8, Height: 8},
	{Verb: Step, Net: "nafnet-tiny", Method: dcpt.MethodDCPT, Batch: 1, Width: 16, Height: 16},
	{Verb: Infer, Net: "nafnet-tiny", Batch: 2, Width: 16, Height: 8},
}

func TestServe(t *testing.T) {
	for _, w := range tinyWorks {
		var out bytes.Buffer
		if err := Serve(t.Context(), w, strings.NewReader("run\nrun\n"), &out, openGo(t)); err != nil {
			t.Fatal(err)
		}
		answers := json.NewDecoder(&out)
		var ready Ready
		if err := answers.Decode(&ready); err != nil {
			t.Fatal(err)
		}
		if !ready.Ready || !(ready.CompileSeconds > 0) || !(ready.BuildSeconds > 0) || ready.Operations < 100 ||
			!(ready.FirstSeconds > 0) || !(ready.StartSeconds >= ready.FirstSeconds) || ready.Threads < 1 || ready.Backend != "go" {
			t.Errorf("%+v: %+v", w, ready)
		}
		for _, name := range versionNames() {
			if _, ok := ready.Versions[name]; !ok {
				t.Errorf("no version of %s in %v", name, ready.Versions)
			}
		}
		for range 2 {
			var run Run
			if err := answers.Decode(&run); err != nil || !(run.Seconds > 0) || run.CPUSeconds < 0 || run.PeakBytes < 0 {
				t.Errorf("%+v: %+v, %v", w, run, err)
			}
		}
		if err := answers.Decode(&Run{}); !errors.Is(err, io.EOF) {
			t.Errorf("%+v: after the answers: %v", w, err)
		}
	}
}

func TestServeReportsErrors(t *testing.T) {
	w := tinyWorks[2]
	err := Serve(t.Context(), w, strings.NewReader("runs\n"), io.Discard, openGo(t))
	if err == nil || !strings.Contains(err.Error(), `unknown request "runs"`) {
		t.Errorf("a wrong request: %v", err)
	}
	broken := errors.New("no such plugin")
	err = Serve(t.Context(), w, strings.NewReader(""), io.Discard, func() (*backend.Backend, error) { return nil, broken })
	if !errors.Is(err, broken) {
		t.Errorf("no backend: %v", err)
	}
}

func TestValidate(t *testing.T) {
	good := tinyWorks[0]
	for _, test := range []struct {
		change func(w *Work)
		want   string // "" for none
	}{
		{func(*Work) {}, ""},
		{func(w *Work) { w.Net = "nafnet-tinny" }, `did you mean "nafnet-tiny"?`},
		{func(w *Work) { w.Method = "dcp" }, `did you mean "dcpt"?`},
		{func(w *Work) { w.Method = dcpt.MethodGuided }, "known: restore, dcpt"},
		{func(w *Work) { w.Batch = 0 }, "batch of 0"},
		{func(w *Work) { w.Batch = maxBatch + 1 }, "it takes 1 to 1024"},
		{func(w *Work) { w.Width = -8 }, "side of -8 pixels"},
		{func(w *Work) { w.Height = 1 << 20 }, "side of 1048576 pixels"},
		{func(w *Work) { w.Height = 12 }, "nafnet-tiny takes multiples of 8"},
	} {
		w := good
		test.change(&w)
		err := w.Validate()
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%+v: %v, want %q", w, err, test.want)
		}
	}
}

// TestMACs compares with the figures of the networks' own description.
func TestMACs(t *testing.T) {
	infer := Work{Verb: Infer, Net: "nafnet-tiny", Batch: 3, Width: 32, Height: 16}
	network, err := infer.network()
	if err != nil {
		t.Fatal(err)
	}
	macs := func(w Work) int64 {
		t.Helper()
		n, err := w.MACs()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	d, err := dcpt.Describe(network, 16, 32)
	if err != nil {
		t.Fatal(err)
	}
	if got := macs(infer); got != 3*d.MACs {
		t.Errorf("inference of 3 images: %d, want 3 times %d", got, d.MACs)
	}
	if d, err = dcpt.Describe(network, 16, 16); err != nil {
		t.Fatal(err)
	}
	// The squeezed 1x1 convolutions of a block are counted once an image, so a batch is exactly as many.
	step := Work{Verb: Step, Net: "nafnet-tiny", Method: dcpt.MethodRestore, Batch: 2, Width: 16, Height: 16}
	if got := macs(step); got != 2*d.MACs {
		t.Errorf("a restoration step of 2 images: %d, want 2 times %d", got, d.MACs)
	}
	step.Method = dcpt.MethodDCPT
	if got := macs(step); got <= 4*d.MACs {
		t.Errorf("a pre-training step of 2 images: %d, want more than 4 times %d: two passes each, and the classifier", got, d.MACs)
	}
	narrow := infer
	narrow.Set = []string{"network.width=8"}
	if got := macs(narrow); got >= macs(infer)/2 {
		t.Errorf("half of the width: %d, want less than half of %d", got, macs(infer))
	}
	narrow.Set = []string{"network.wdth=8"}
	if err := narrow.Validate(); err == nil || !strings.Contains(err.Error(), "width") {
		t.Errorf("an unknown setting: %v", err)
	}
}

func TestFill(t *testing.T) {
	for _, test := range []struct {
		verb         string
		wall         []float64
		median, rate float64
		tflops       float64
	}{
		{Infer, []float64{3, 1, 2}, 2, 2, 1},         // 2 operations * 1e12 / 2 s
		{Step, []float64{4, 1, 3, 2}, 2.5, 1.6, 2.4}, // three passes: 6e12 / 2.5 s
		{Step, []float64{0.5}, 0.5, 8, 12},
	} {
		r := Row{Work: Work{Verb: test.verb, Batch: 4}, MACs: 1e12}
		r.fill(test.wall, test.wall, 4)
		want := []float64{slices.Min(test.wall), test.median, slices.Max(test.wall), test.median, test.rate, test.tflops, 4, test.tflops / 4}
		got := []float64{r.Minimum, r.Median, r.Maximum, r.CPU, r.Rate, r.TFLOPS, r.Peak, r.Share}
		for i := range want {
			if math.Abs(got[i]-want[i]) > 1e-12*want[i] { // rounding of float64
				t.Errorf("%v: figures %v, want %v", test.wall, got, want)
				break
			}
		}
	}
}

func TestProcessAge(t *testing.T) {
	stat := func(name, started string) string {
		return "7 (" + name + ") S 1" + strings.Repeat(" 0", 17) + " " + started + " 4096"
	}
	for _, test := range []struct {
		stat, uptime string
		age          time.Duration
		ok           bool
	}{
		{stat("godcpt", "250"), "10.50 3.00\n", 8 * time.Second, true},
		{stat("a) (b c", "1000"), "10.50 3.00\n", 500 * time.Millisecond, true},
		{stat("godcpt", "x"), "10.50 3.00\n", 0, false},
		{stat("godcpt", "250"), "", 0, false},
		{"7 (godcpt) S 1", "10.50 3.00\n", 0, false},
		{"", "10.50 3.00\n", 0, false},
	} {
		if age, ok := processAge(test.stat, test.uptime); age != test.age || ok != test.ok {
			t.Errorf("%q, %q: %v, %v", test.stat, test.uptime, age, ok)
		}
	}
	if age := sinceStart(); age < time.Since(loaded)-time.Second || age > time.Hour {
		t.Errorf("this process is %v old", age)
	}
}

// sampleRow has the longest name and wide figures.
func sampleRow() Row {
	return Row{
		Work: Work{Verb: Step, Net: "restormer-original-biasfree", Method: dcpt.MethodDCPT, Batch: 16, Width: 128, Height: 128},
		Runs: 10, Minimum: 1234.5, Median: 2345.6, Maximum: 34567, Rate: 12345.6, TFLOPS: 0.0123, Share: 1, PeakBytes: 123e9,
		Start: Start{Operations: 123456, Build: 12.3, Compile: 1234, Start: 2345, Machine: Machine{
			Backend: "xla:cpu", Model: "A processor, of two words", Cores: 2, Features: []string{"avx", "avx2"}, Versions: map[string]string{"go": "go1.26"},
		}},
	}
}

func TestTablesFitATerminal(t *testing.T) {
	row := sampleRow()
	text := strings.Join([]string{Heading(), row.String(), CompileHeading(), Compilation{row.Work, row.Start, 1.5, 2.5}.String()}, "\n")
	for _, line := range strings.Split(text, "\n") {
		if columns := len([]rune(line)); columns > 80 {
			t.Errorf("%d columns: %s", columns, line)
		}
	}
	if small := short(0.0123); small != "0.0123" {
		t.Errorf("0.0123 is written %s", small)
	}
}

func TestCSV(t *testing.T) {
	const work, start = "verb,net,set,method,batch,width,height",
		"operations,build_seconds,compile_seconds,programs_loaded,start_seconds,backend,processor,cores,cpu_features,godcpt,go,gomlx,go-xla,compute,pjrt"
	row := sampleRow()
	for _, test := range []struct {
		write   func(w io.Writer) error
		heading string
	}{
		{func(w io.Writer) error { return WriteCSV(w, []Row{row}) },
			work + ",runs,minimum_seconds,median_seconds,maximum_seconds,cpu_seconds,images_per_second,gmacs,tflops,peak_tflops,peak_share,peak_mb," + start},
		{func(w io.Writer) error { return WriteCompileCSV(w, []Compilation{{row.Work, row.Start, 1.5, 2.5}}) }, work + ",warm_compile_seconds,warm_start_seconds," + start},
	} {
		var out bytes.Buffer
		if err := test.write(&out); err != nil {
			t.Fatal(err)
		}
		records, err := csv.NewReader(&out).ReadAll() // checks that all lines have as many fields
		if err != nil || len(records) != 2 {
			t.Fatalf("%v, %v", records, err)
		}
		if got := strings.Join(records[0], ","); got != test.heading {
			t.Errorf("heading %s\nwant    %s", got, test.heading)
		}
		for column, want := range map[string]string{"net": row.Net, "compile_seconds": "1234", "cpu_features": "avx avx2", "go": "go1.26", "pjrt": ""} {
			if got := records[1][slices.Index(records[0], column)]; got != want {
				t.Errorf("%s is %q, want %q", column, got, want)
			}
		}
	}
}

func TestArgsNameTheWork(t *testing.T) {
	for _, test := range []struct {
		work Work
		want string
	}{
		{tinyWorks[1], "bench step --net nafnet-tiny --batch 1 --method dcpt --patch 16 --serve"},
		{tinyWorks[2], "bench infer --net nafnet-tiny --batch 2 --size 16x8 --serve"},
		{Work{Verb: Infer, Net: "nafnet-tiny", Set: []string{"network.width=8"}, Batch: 1, Width: 8, Height: 8},
			"bench infer --net nafnet-tiny --batch 1 --size 8x8 --set network.width=8 --serve"},
	} {
		if got := test.work.args(); !reflect.DeepEqual(got, strings.Fields(test.want)) {
			t.Errorf("%s, want %s", fmt.Sprint(got), test.want)
		}
	}
}
