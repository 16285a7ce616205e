package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/godcpt/godcpt/datasets/imageio"
	"github.com/godcpt/godcpt/dcpt"
	"github.com/godcpt/godcpt/internal/runreport"
)

// Environment variables that make the test's binary do something else, for tests of signals.
const (
	asProgram = "GODCPT_TEST_AS_PROGRAM" // be the program itself
	asSleeper = "GODCPT_TEST_AS_SLEEPER" // listen to signals and never end
)

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	if os.Getenv(asSleeper) != "" {
		_, stop := untilInterrupted(context.Background(), os.Stdout)
		defer stop()
		fmt.Println("ready")
		select {}
	}
	os.Setenv("GOMLX_BACKEND", "go") // compiles at once; the networks here have a few weights
	silenceLibraries()
	status := m.Run()
	if fixtureDir != "" {
		os.RemoveAll(fixtureDir)
	}
	os.Exit(status)
}

// result is what a command line has done.
type result struct {
	status         int
	stdout, stderr string
}

// call runs a command line in this process.
func call(t *testing.T, args ...string) result {
	t.Helper()
	return callContext(t.Context(), args...)
}

func callContext(ctx context.Context, args ...string) result {
	var stdout, stderr bytes.Buffer
	status := run(ctx, append([]string{"godcpt"}, args...), &stdout, &stderr)
	return result{status, stdout.String(), stderr.String()}
}

// check fails the test unless the command line ended with a status and said what is wanted.
func (r result) check(t *testing.T, status int, stdout, stderr string) {
	t.Helper()
	if r.status != status || !strings.Contains(r.stdout, stdout) || !strings.Contains(r.stderr, stderr) {
		t.Errorf("status %d, want %d\nstdout: %s\nwant: %s\nstderr: %s\nwant: %s", r.status, status, r.stdout, stdout, r.stderr, stderr)
	}
	if stderr == "" && r.stderr != "" {
		t.Errorf("unexpected on stderr: %s", r.stderr)
	}
	for _, noise := range []string{"goroutine ", ".go:", "panic"} {
		if strings.Contains(r.stderr, noise) {
			t.Errorf("stderr holds %q: %s", noise, r.stderr)
		}
	}
}

// image is a picture with structure, w x h.
func testImage(w, h int) *imageio.Image {
	im := imageio.New(w, h)
	for i := range im.Pix {
		x, y := i/3%w, i/3/w
		im.Pix[i] = float32(0.5 + 0.4*math.Sin(float64(x*(i%3+1)+y)/3))
	}
	return im
}

func write(t testing.TB, path string, im *imageio.Image) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := imageio.Write(path, im); err != nil {
		t.Fatal(err)
	}
	return path
}

// tinySettings make of the quickstart's recipe one of small pictures, a network of a few weights and
// some iterations.
func tinySettings(pictures string, steps int) []string {
	var args []string
	set := func(format string, values ...any) { args = append(args, "-s", fmt.Sprintf(format, values...)) }
	set("network={arch: nafnet, width: 4, enc_blocks: [1], dec_blocks: [1]}")
	for i := range 5 {
		set("data.train.%d.images=%s", i, pictures)
		set("data.test.%d.images=%s", i, pictures)
	}
	for _, stage := range []string{"pretrain", "finetune"} {
		set("%s.steps=%d", stage, steps)
		set("%s.batch=2", stage)
		set("%s.patch=16", stage)
		set("%s.schedule={}", stage)
	}
	return args
}

var fixtureDir string // removed in the end

// fixture returns a folder with clean pictures, and one with a run that was trained on them.
var fixture = sync.OnceValues(func() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "godcpt-test-"); err != nil {
		return "", err
	}
	fixtureDir = dir
	for i := range 2 {
		path := filepath.Join(dir, "pictures", fmt.Sprintf("p%d.png", i))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return "", err
		}
		if err := imageio.Write(path, testImage(40+i, 32)); err != nil {
			return "", err
		}
	}
	args := append(tinySettings(filepath.Join(dir, "pictures"), 3), "-o", filepath.Join(dir, "run"))
	for _, verb := range []string{"pretrain", "finetune"} {
		if r := callContext(context.Background(), append([]string{verb, "quickstart"}, args...)...); r.status != exitOK {
			return "", fmt.Errorf("%s: status %d\n%s%s", verb, r.status, r.stdout, r.stderr)
		}
	}
	return dir, nil
})

// trained returns the folders of the fixture.
func trained(t *testing.T) (pictures, runDir string) {
	t.Helper()
	dir, err := fixture()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "pictures"), filepath.Join(dir, "run")
}

func TestHelp(t *testing.T) {
	call(t).check(t, exitOK, "Exit status: 0 done", "")
	call(t, "--version").check(t, exitOK, "godcpt ", "")
	for _, verb := range []string{"quickstart", "pretrain", "finetune", "eval", "restore", "doctor"} {
		r := call(t, verb, "--help")
		r.check(t, exitOK, "godcpt "+verb, "")
		if !strings.Contains(r.stdout, "Examples:\n  godcpt "+verb) {
			t.Errorf("%s has no example:\n%s", verb, r.stdout)
		}
		for _, line := range strings.Split(r.stdout, "\n") {
			if len([]rune(line)) > 120 {
				t.Errorf("%s: a line of %d columns: %s", verb, len(line), line)
			}
		}
	}
}

func TestUsageErrors(t *testing.T) {
	_, run := trained(t)
	for _, test := range []struct {
		args string
		want string
	}{
		{"restroe", `unknown command "restroe" for "godcpt"`},
		{"pretrain", "the recipe is missing"},
		{"pretrain a b", `"b" is one argument too many`},
		{"pretrain --fast", "unknown flag: --fast"},
		{"pretrain quick", `unknown recipe "quick"`},
		{"pretrain quikstart", `did you mean "quickstart"?`},
		{"pretrain none.yaml", "cannot read the recipe"},
		{"finetune quickstart -s finetune.optimizr.lr=1", `finetune: unknown key "optimizr" (did you mean "optimizer"?)`},
		{"finetune quickstart -s network.preset=nafnet-tinny", `unknown network preset "nafnet-tinny" (did you mean "nafnet-tiny"?)`},
		{"finetune quickstart -s finetune.patch=1", "patch is 1; the network needs a multiple of"},
		{"finetune quickstart -s finetune=null", "recipe quickstart has no stage finetune"},
		{"quickstart -s nonsense", "must have the form key=value"},
		{"restore x.png", "say where the restored photos go"},
		{"restore -o out", "the photo or folder to restore is missing"},
		{"eval", "the run or weights to score is missing"},
		{"eval x --lq a", "--lq and --gt belong together"},
		{"eval x --lq a --gt b --recipe c", "leave --recipe, --set and --benchmark out"},
		{"eval x --benchmark Set12 --recipe c", "leave --recipe and --set out"},
		{"eval " + run + " --benchmark Set13", `no data set "Set13" (did you mean Set12?)`},
		{"eval " + run + " --benchmark SOTS", "SOTS/indoor"},
		{"eval x --pair rain", "--pair belongs to --lq and --gt"},
		{"eval " + run + " --recipe none", `unknown recipe "none"`},
		{"doctor now", `"now" is one argument too many`},
	} {
		r := call(t, strings.Fields(test.args)...)
		r.check(t, exitUsage, "", test.want)
		if strings.Count(r.stderr, "godcpt: ") != 1 || !strings.Contains(r.stderr, "--help") {
			t.Errorf("%s: %s", test.args, r.stderr)
		}
	}
}

// The screen and the report say which files training did without, also when the report is written again.
func TestTrainNamesDamagedFiles(t *testing.T) {
	pictures, _ := trained(t)
	mixed := t.TempDir()
	if err := os.CopyFS(mixed, os.DirFS(pictures)); err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(mixed, "broken.png")
	if err := os.WriteFile(broken, []byte("<html>404"), 0o644); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "run")
	args := append([]string{"pretrain", "quickstart", "-o", out}, tinySettings(pictures, 6)...)
	for i := range 5 {
		args = append(args, "-s", fmt.Sprintf("data.train.%d.images=%s", i, mixed))
	}
	page := filepath.Join(out, "pretrain", "report.html")
	for _, screen := range []string{"skipped: " + broken, "report   " + page} {
		call(t, args...).check(t, exitOK, screen, "")
		text, err := os.ReadFile(page)
		if err != nil || !strings.Contains(string(text), "Damaged files skipped") || !strings.Contains(string(text), broken) {
			t.Errorf("the report does not name %s (%v)", broken, err)
		}
		if err := os.Remove(page); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTrainWritesAReportAndSaysWhatIsNext(t *testing.T) {
	pictures, run := trained(t)
	for _, stage := range []string{"pretrain", "finetune"} {
		page, err := os.ReadFile(filepath.Join(run, stage, "report.html"))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"quickstart", "3, batch 2, patches of 16 px", "go on ", "losses", "learning rate", "lowlight"} {
			if !strings.Contains(string(page), want) {
				t.Errorf("the report of %s lacks %q", stage, want)
			}
		}
		if _, err := runreport.ReadCost(filepath.Join(run, stage)); err != nil {
			t.Error(err)
		}
	}
	args := append(tinySettings(pictures, 3), "-o", run)
	call(t, append([]string{"pretrain", "quickstart"}, args...)...).check(t, exitOK, "This stage is finished: nothing to do.", "")
	// Other settings in the same folder would give weights that no recipe describes.
	call(t, append([]string{"pretrain", "quickstart", "-s", "seed=9"}, args...)...).check(t, exitFailure, "", "another seed: 1 there, 9 now")
	call(t, append([]string{"finetune", "quickstart", "--from", filepath.Join(run, "nowhere")}, args...)...).check(t, exitFailure, "", "no weights at")
}

func TestEval(t *testing.T) {
	pictures, run := trained(t)
	table := call(t, "eval", run)
	if table.status != exitOK {
		t.Fatal(table)
	}
	for _, want := range []string{
		"finetune of recipe quickstart, iteration 3", "PSNR restored", "noise", "Mean",
		"channel   RGB", "crop      none", "rounding  clamped", "decoder   8-bit RGB as OpenCV", "padding   reflection at the bottom and right to a multiple of 2",
	} {
		if !strings.Contains(table.stdout, want) {
			t.Errorf("the table lacks %q:\n%s", want, table.stdout)
		}
	}
	if strings.Contains(table.stdout, "told rightly") {
		t.Errorf("the classifier of a fine-tuned network was scored:\n%s", table.stdout)
	}
	if r := call(t, "eval", filepath.Join(run, "pretrain")); !strings.Contains(r.stdout, "% told rightly") {
		t.Errorf("a pre-trained network's classifier was not scored: %+v", r)
	}

	file := filepath.Join(t.TempDir(), "scores.csv")
	r := call(t, "eval", filepath.Join(run, "finetune"), "--lq", pictures, "--gt", pictures, "--y", "--crop", "3", "--csv", file, "--json")
	var got struct {
		Protocol map[string]string
		Sets     []struct {
			Name         string
			Images       int
			PSNRDegraded *float64 `json:"psnr_degraded"`
			PSNRRestored *float64 `json:"psnr_restored"`
		}
	}
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil {
		t.Fatalf("%v in %s", err, r.stdout)
	}
	// The degraded pictures are the clean ones: infinite PSNR, which JSON calls null.
	if len(got.Sets) != 1 || got.Sets[0].Name != "pictures" || got.Sets[0].Images != 2 || got.Sets[0].PSNRDegraded != nil || got.Sets[0].PSNRRestored == nil {
		t.Errorf("sets %s", r.stdout)
	}
	if !strings.HasPrefix(got.Protocol["channel"], "Y ") || got.Protocol["crop"] != "3 pixels at each side" {
		t.Errorf("protocol %v", got.Protocol)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if rows, err := csv.NewReader(f).ReadAll(); err != nil || len(rows) != 3 || rows[0][3] != "psnr_restored" {
		t.Errorf("rows %v, %v", rows, err)
	}
}

func TestEvalOfBenchmarks(t *testing.T) {
	pictures, run := trained(t)
	pairs := t.TempDir()
	write(t, filepath.Join(pairs, "rainy", "rain-1.png"), testImage(40, 32))
	write(t, filepath.Join(pairs, "norain", "norain-1.png"), testImage(40, 32))
	r := call(t, "eval", filepath.Join(run, "finetune"), "--benchmark", "Set12="+pictures, "--benchmark", "rain100l="+pairs, "--json")
	var got struct {
		Sets []struct {
			Name   string
			Images int
		}
	}
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil {
		t.Fatalf("%v in %+v", err, r)
	}
	if want := "[{Set12 2} {rain100l 1}]"; fmt.Sprint(got.Sets) != want {
		t.Errorf("sets %v, want %v", got.Sets, want)
	}
	t.Chdir(t.TempDir())
	call(t, "eval", run, "--benchmark", "Set12").check(t, exitFailure, "", "--benchmark Set12=DIR of eval); godcpt data get Set12")
	call(t, "eval", run, "--benchmark", "Set12=none").check(t, exitFailure, "", "none")
}

func TestEvalBadInput(t *testing.T) {
	pictures, run := trained(t)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "lq", "p0.png"), testImage(40, 32))
	write(t, filepath.Join(dir, "small", "p0.png"), testImage(8, 8))
	call(t, "eval", run, "--lq", filepath.Join(dir, "lq"), "--gt", pictures).check(t, exitFailure, "", "p1.png has no degraded partner")
	call(t, "eval", run, "--lq", pictures, "--gt", filepath.Join(dir, "lq")).check(t, exitFailure, "", "p1.png has no clean partner")
	call(t, "eval", run, "--lq", filepath.Join(dir, "lq"), "--gt", filepath.Join(dir, "small")).check(t, exitFailure, "", "differ in size")
	call(t, "eval", run, "--lq", filepath.Join(dir, "none"), "--gt", pictures).check(t, exitFailure, "", "cannot read the folder of pictures")
	call(t, "eval", run, "--lq", pictures, "--gt", pictures, "--pair", "sane").check(t, exitFailure, "", `unknown pairing rule "sane"`)
	call(t, "eval", run, "--crop", "30").check(t, exitFailure, "", "leaves nothing")
	call(t, "eval", filepath.Join(dir, "lq")).check(t, exitFailure, "", "holds no weights")

	weights := filepath.Join(dir, "alone.safetensors")
	data, err := os.ReadFile(filepath.Join(run, "finetune", "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(weights, data, 0o644); err != nil {
		t.Fatal(err)
	}
	call(t, "eval", weights).check(t, exitUsage, "", "lies in no run's folder")
}

func TestRestore(t *testing.T) {
	_, run := trained(t)
	dir := t.TempDir()
	in := filepath.Join(dir, "in")
	write(t, filepath.Join(in, "a.png"), testImage(21, 13))
	write(t, filepath.Join(in, "deep", "b.jpg"), testImage(30, 50))
	write(t, filepath.Join(in, "one.png"), testImage(1, 1))
	out := filepath.Join(dir, "out")
	call(t, "restore", in, "-o", out, "-w", run).check(t, exitOK, "3 pictures restored in "+out, "")
	im, err := imageio.Read(filepath.Join(out, "deep", "b.jpg"))
	if err != nil || im.W != 30 || im.H != 50 {
		t.Errorf("%+v, %v", im, err)
	}
	call(t, "restore", in, "-o", out, "-w", run).check(t, exitFailure, "", "exists already: choose another output")
	call(t, "restore", in, "-o", out, "-w", run, "--overwrite").check(t, exitOK, "3 pictures restored", "")

	single := filepath.Join(dir, "single.tif")
	call(t, "restore", filepath.Join(in, "a.png"), "-o", single, "-w", filepath.Join(run, "finetune")).check(t, exitOK, "1 picture restored in "+single, "")
	call(t, "restore", single, "-o", single, "-w", run).check(t, exitFailure, "", "is the original itself")
	call(t, "restore", filepath.Join(in, "a.png"), "-o", out+"2", "-w", filepath.Join(run, "pretrain")).
		check(t, exitOK, "1 picture", "pre-trained only")
}

func TestRestoreBadInput(t *testing.T) {
	_, run := trained(t)
	dir := t.TempDir()
	good := write(t, filepath.Join(dir, "in", "good.png"), testImage(16, 16))
	data, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	bad := map[string]struct {
		data []byte
		want string
	}{
		"truncated.png": {data[:len(data)/2], "truncated or damaged PNG"},
		"empty.png":     {nil, "is empty (0 bytes)"},
		"text.png":      {[]byte("not a picture"), "not a picture that can be read (found plain text)"},
	}
	for name, b := range bad {
		path := filepath.Join(dir, "in", name)
		if err := os.WriteFile(path, b.data, 0o644); err != nil {
			t.Fatal(err)
		}
		r := call(t, "restore", path, "-o", filepath.Join(dir, "single"), "-w", run)
		r.check(t, exitFailure, "", b.want)
		if n := strings.Count(r.stdout+r.stderr, b.want); n != 1 {
			t.Errorf("%s: said %d times", name, n)
		}
	}
	r := call(t, "restore", filepath.Join(dir, "in"), filepath.Join(dir, "missing.png"), "-o", filepath.Join(dir, "out"), "-w", run)
	r.check(t, exitSomeFailed, "failed: ", "4 of 5 could not be restored: empty.png, text.png, truncated.png, missing.png")
	if _, err := imageio.Read(filepath.Join(dir, "out", "good.png")); err != nil {
		t.Errorf("the good one was not restored: %v", err)
	}
	call(t, "restore", filepath.Join(dir, "missing.png"), filepath.Join(dir, "in", "text.png"), "-o", filepath.Join(dir, "none"), "-w", run).
		check(t, exitFailure, "", "2 of 2 could not be restored")
	call(t, "restore", good, "-o", "/proc/self/x/", "-w", run).check(t, exitFailure, "", "output folder")
	call(t, "restore", t.TempDir(), "-o", filepath.Join(dir, "out"), "-w", run).check(t, exitFailure, "", "no pictures in")
	t.Chdir(dir)
	call(t, "restore", good, "-o", "out2").check(t, exitFailure, "", "run godcpt quickstart first")
}

func TestBadNetworks(t *testing.T) {
	pictures, run := trained(t)
	dir := t.TempDir()
	picture := filepath.Join(pictures, "p0.png")
	data, err := os.ReadFile(filepath.Join(run, "finetune", "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	restore := func(name string, data []byte) result {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		return call(t, "restore", picture, "-o", filepath.Join(dir, "out.png"), "-w", path)
	}
	flipped := bytes.Clone(data)
	flipped[len(flipped)-5] ^= 0x40
	restore("flipped.safetensors", flipped).check(t, exitFailure, "", "is corrupt")
	restore("half.safetensors", data[:len(data)/2]).check(t, exitFailure, "", "half.safetensors")
	restore("empty.safetensors", nil).check(t, exitFailure, "", "empty.safetensors")
	restore("text.safetensors", []byte("hello, this is no tensor")).check(t, exitFailure, "", "text.safetensors")

	// Panics of graph building are errors that say what does not fit.
	bad := append([]string{"pretrain", "quickstart", "-o", filepath.Join(dir, "bad")}, tinySettings(pictures, 3)...)
	call(t, append(bad, "-s", "classifier.image_input=true")...).
		check(t, exitFailure, "", "godcpt: cannot build the network's graph: classifier: feature 0 is of [16 16], but [8 8] is needed")

	// A run that starts from weights of another network names the first tensor that differs.
	other := append([]string{"finetune", "quickstart", "-o", filepath.Join(dir, "run"), "--from", run}, tinySettings(pictures, 3)...)
	call(t, append(other, "-s", "network.width=6")...).check(t, exitFailure, "", "weights of another network: tensor")
}

func TestInterrupted(t *testing.T) {
	pictures, _ := trained(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	out := filepath.Join(t.TempDir(), "a run")
	args := append([]string{"pretrain", "quickstart", "-o", out}, tinySettings(pictures, 3)...)
	r := callContext(ctx, args...)
	r.check(t, exitInterrupted, "", "interrupted. To go on:\n  godcpt pretrain quickstart -o '"+out+"' -s ")
	call(t, args...).check(t, exitOK, "next ", "")
}

// A real SIGINT while it trains: everything is saved, the status is 130, and the same command goes on.
func TestSignal(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows cannot send an interrupt to another process")
	}
	pictures, _ := trained(t)
	args := append([]string{"finetune", "quickstart", "-o", filepath.Join(t.TempDir(), "run")}, tinySettings(pictures, 1_000_000)...)
	for _, begun := range []string{"compiled in", "resuming at iteration"} {
		cmd := exec.Command(os.Args[0], args...)
		cmd.Env = append(os.Environ(), asProgram+"=1")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var said bytes.Buffer
		buffer := make([]byte, 1024)
		for signalled := false; ; {
			n, err := out.Read(buffer)
			said.Write(buffer[:n])
			if !signalled && strings.Contains(said.String(), begun) {
				signalled = true
				if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
					t.Fatal(err)
				}
			}
			if err != nil {
				break
			}
		}
		cmd.Wait()
		if status := cmd.ProcessState.ExitCode(); status != exitInterrupted {
			t.Fatalf("status %d\n%s%s", status, said.String(), stderr.String())
		}
		if !strings.Contains(said.String(), "interrupted and saved at iteration") || !strings.Contains(stderr.String(), "To go on:\n  "+os.Args[0]) && !strings.Contains(stderr.String(), "To go on:\n  go run") {
			t.Errorf("said %s\n%s", said.String(), stderr.String())
		}
	}
}

// The second signal ends the program at once, whatever it is doing.
func TestSecondSignal(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows cannot send an interrupt to another process")
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asSleeper+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for _, want := range []string{"ready", "Ctrl-C again ends at once"} {
		for lines.Scan() && !strings.Contains(lines.Text(), want) {
		}
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
	}
	for lines.Scan() {
	}
	cmd.Wait()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != syscall.SIGINT {
		t.Errorf("ended with %v, want by the signal", cmd.ProcessState)
	}
}

func TestDoctor(t *testing.T) {
	r := call(t, "doctor", "--json")
	var got struct {
		Checks []struct{ Name, Status string }
		Speeds []struct{ Name string }
	}
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil || r.status != exitOK || len(got.Checks) < 5 || len(got.Speeds) != 2 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestQuickstart(t *testing.T) {
	pictures, _ := trained(t)
	out := filepath.Join(t.TempDir(), "quick")
	args := append([]string{"quickstart", "--out", out}, tinySettings(pictures, 2)...)
	call(t, args...).check(t, exitOK, "report.html", "")
	call(t, args...).check(t, exitOK, "from an earlier run in this folder", "")
	call(t, append(args, "-s", "seed=4")...).check(t, exitFailure, "", "another seed")
}

func TestOnlyInterrupted(t *testing.T) {
	full := errors.New("no space left")
	for _, test := range []struct {
		err  error
		want bool
	}{
		{dcpt.ErrInterrupted, true},
		{errors.Join(dcpt.ErrInterrupted, nil), true},
		{fmt.Errorf("evaluating: %w", context.Canceled), true},
		{full, false},
		{errors.Join(dcpt.ErrInterrupted, full), false},
		{errors.Join(errors.Join(dcpt.ErrInterrupted, full), nil), false},
	} {
		if got := onlyInterrupted(test.err); got != test.want {
			t.Errorf("%v: %v", test.err, got)
		}
	}
}

func TestQuote(t *testing.T) {
	for word, want := range map[string]string{
		"runs/a-b.c": "runs/a-b.c", "": "''", "a b": "'a b'", "it's": `'it'\''s'`, "periods=[3]": "'periods=[3]'", "$HOME": "'$HOME'",
	} {
		if got := quote(word); got != want {
			t.Errorf("%q: %s, want %s", word, got, want)
		}
	}
}

func TestOneLineDropsStackTraces(t *testing.T) {
	err := fmt.Errorf("building the graph: shapes differ\ngoroutine 1 [running]:\nmain.main()\n\t/x.go:3")
	if got := oneLine(err); got != "building the graph: shapes differ" {
		t.Errorf("%q", got)
	}
}
