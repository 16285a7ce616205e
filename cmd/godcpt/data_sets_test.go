package main

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/godcpt/godcpt/datasets/benchmark"
)

// gopro makes a part of GoPro and returns its folder.
func gopro(t *testing.T, parent string) string {
	t.Helper()
	dir := filepath.Join(parent, "GoPro")
	for _, name := range []string{"blur", "sharp"} {
		folder := filepath.Join(dir, "test", "GOPR0384_11_00", name)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(folder, "000001.png"), testImage(1280, 720))
	}
	return dir
}

func TestDataList(t *testing.T) {
	t.Setenv(benchmark.MirrorEnv, "")
	t.Setenv(benchmark.DirEnv, "")
	list := call(t, "data", "list")
	list.check(t, exitOK, "Rain100L", "")
	sets := map[string]bool{}
	for _, line := range strings.Split(strings.TrimSpace(list.stdout), "\n") {
		if len(line) > 80 {
			t.Errorf("does not fit a terminal: %s", line)
		}
		if name, _, _ := strings.Cut(line, " "); name != "" { // else the line before goes on
			sets[name] = true
		}
	}
	for _, s := range benchmark.All() {
		if !sets[s.Name] {
			t.Errorf("%s is not listed", s.Name)
		}
	}
	one := call(t, "data", "list", "lolv2")
	for _, want := range []string{"LOL-v2: ", "licence  none stated", "real-test: 100 pairs, benchmark: LOL-v2/real-test", "  Real_captured/Test/Low and Real_captured/Test/Normal; pair: low*=normal*"} {
		one.check(t, exitOK, want, "")
	}
	call(t, "data", "list", "nosuchset").check(t, exitUsage, "", "no data set")
	call(t, "data", "list", "GoPro", "--task", "rain").check(t, exitUsage, "", "NAME or --task")
	rain := call(t, "data", "list", "--task", "rain")
	rain.check(t, exitOK, "Rain100L  ", "")
	if strings.Contains(rain.stdout, "GoPro") {
		t.Error("a set of another task is listed")
	}
	var facts []map[string]any
	asJSON := call(t, "data", "list", "--task", "blur", "--json")
	if err := json.Unmarshal([]byte(asJSON.stdout), &facts); err != nil || len(facts) == 0 || facts[0]["task"] != "blur" || facts[0]["how"] == "" {
		t.Errorf("%v, %v", facts, err)
	}
	t.Setenv(benchmark.MirrorEnv, "https://mirror.example.org")
	call(t, "data", "list").check(t, exitOK, "mirror", "")
}

func TestDataCheck(t *testing.T) {
	parent := t.TempDir()
	dir := gopro(t, parent)
	// Both pictures are equal.
	bad := call(t, "data", "check", dir)
	bad.check(t, exitFailure, "undegraded: 1 degraded picture equal to the clean one", dir+" is not sound")
	bad.check(t, exitFailure, "to do: ", "is not sound")
	write(t, filepath.Join(dir, "test/GOPR0384_11_00/blur/000001.png"), testImage(720, 1280).Crop(0, 0, 720, 720))
	call(t, "data", "check", dir).check(t, exitFailure, "unequal", "not sound")

	blurred := testImage(1280, 720)
	for i := range blurred.Pix {
		blurred.Pix[i] /= 2
	}
	write(t, filepath.Join(dir, "test/GOPR0384_11_00/blur/000001.png"), blurred)
	good := call(t, "data", "check", dir)
	for _, want := range []string{"GoPro, test\n", "a part: 1 of 1111 pairs", "in a recipe: {name: blur, benchmark: GoPro/test, dir: ", "cannot be compared with published ones"} {
		good.check(t, exitOK, want, "checking")
	}
	call(t, "data", "check", parent).check(t, exitOK, "GoPro, test\n", "checking")
	call(t, "data", "check", dir, "--as", "GoPro/test").check(t, exitOK, "a part: 1 of 1111", "checking")
	call(t, "data", "check", dir, "--as", "Rain100L").check(t, exitFailure, "", "does not hold Rain100L")
	var report benchmark.Report
	if err := json.Unmarshal([]byte(call(t, "data", "check", dir, "--json").stdout), &report); err != nil || len(report.Parts) != 1 || report.Parts[0].Set != "GoPro" {
		t.Errorf("%+v, %v", report, err)
	}

	photos := t.TempDir() // no set at all
	for i := range 8 {
		write(t, filepath.Join(photos, fmt.Sprintf("%d.png", i)), testImage(10+i/7, 8))
	}
	call(t, "data", "check", photos).check(t, exitFailure, "duplicated: 1 picture more than once", "is not sound")
	call(t, "data", "check", photos).check(t, exitFailure, "degrade: {kind: noise}}", "is not sound")

	for i := range 3 {
		write(t, filepath.Join(photos, fmt.Sprintf("odd\x1b[2J\n%d.png", i)), testImage(20, 8))
	}
	odd := call(t, "data", "check", photos)
	odd.check(t, exitFailure, `odd\x1b[2J\n0.png = odd\x1b[2J\n1.png`, "is not sound")
	if strings.Contains(odd.stdout, "\x1b") {
		t.Errorf("a file's name reaches the terminal as it is: %q", odd.stdout)
	}

	pairs := filepath.Join(t.TempDir(), "mine")
	for i := range 2 {
		write(t, filepath.Join(pairs, fmt.Sprintf("%d_low.png", i)), testImage(10+i, 8))
		write(t, filepath.Join(pairs, fmt.Sprintf("%d_high.png", i)), testImage(10+i, 8).Crop(0, 0, 9+i, 8))
	}
	call(t, "data", "check", pairs).check(t, exitFailure, "in one folder, told apart by their names: *_low=*_high", "is not sound")
}

// A data set is packed as the table says that it lies.
func TestDataPackSet(t *testing.T) {
	parent := t.TempDir()
	dir := gopro(t, parent)
	out := filepath.Join(parent, "shards")
	call(t, "data", "pack", dir, out, "--as", "gopro/test").check(t, exitOK, "1 pair, ", "")
	call(t, "data", "pack", dir, out, "--as", "gopro").check(t, exitUsage, "", "GoPro/test or GoPro/train")
	call(t, "data", "pack", dir, out, "--as", "GoPro/train").check(t, exitFailure, "", "expected there GOPRO_Large/train")
	call(t, "data", "pack", dir, out, "--as", "GoPro/test", "--gt", dir).check(t, exitUsage, "", "leave --gt out")
	call(t, "data", "pack", dir, out, "--as", "GoPro/test", "--pair", "rain").check(t, exitUsage, "", "--pair rain belongs to --gt")

	// Pairs that recipes trim are no equal pairs in shards.
	sots := filepath.Join(parent, "SOTS", "indoor")
	write(t, filepath.Join(sots, "hazy", "1400_1.png"), testImage(40, 30))
	write(t, filepath.Join(sots, "gt", "1400.png"), testImage(60, 50))
	call(t, "data", "pack", filepath.Dir(sots), out+"2", "--as", "SOTS/indoor").check(t, exitFailure, "", "larger by 10 pixels")
}

func TestDataGet(t *testing.T) {
	t.Setenv(benchmark.MirrorEnv, "")
	offline, out := t.TempDir(), filepath.Join(t.TempDir(), "sets", "Set12")
	t.Setenv(benchmark.DirEnv, offline)
	byHand := call(t, "data", "get", "RealBlur-J", "-o", out)
	byHand.check(t, exitFailure, "", "download the set")
	byHand.check(t, exitFailure, "", filepath.Join(offline, "RealBlur-J"))

	// What the table knows the checksum of is not replaced by something else.
	set, err := benchmark.Find("Set12")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(offline, "Set12"), 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range set.Files {
		write(t, filepath.Join(offline, "Set12", fmt.Sprintf("%02d.png", i+1)), testImage(256, 256))
	}
	call(t, "data", "get", "Set12", "-o", out).check(t, exitFailure, "", "not the expected one")
	if exists(out) {
		t.Error("there is a folder, as if it were the set")
	}
}

func TestDataGetOffline(t *testing.T) {
	parent := t.TempDir()
	t.Setenv(benchmark.MirrorEnv, "")
	t.Setenv(benchmark.DirEnv, parent)
	// A set that is fetched by hand, as an archive of its name.
	if err := os.MkdirAll(filepath.Join(parent, "RealBlur-J"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(parent, "RealBlur-J", "RealBlur-J.zip"), realBlurZip(t), 0o644); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "data", "RealBlur-J")
	got := call(t, "data", "get", "realblur_j", "-o", out)
	got.check(t, exitOK, "using "+filepath.Join(parent, "RealBlur-J", "RealBlur-J.zip"), "checking")
	got.check(t, exitOK, "a part: 1 of 980 pairs", "checking")
	got.check(t, exitOK, "RealBlur-J, licence: ", "checking")
	call(t, "data", "get", "RealBlur-J", "-o", out).check(t, exitFailure, "", "exists and is not replaced")
}

func TestDataUsage(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"data", "check"},
		{"data lst", `did you mean "list"?`},
		{"data list --task wind", `unknown task "wind"`},
		{"data check", "the folder to check is missing"},
		{"data check . --as Rain100M", "did you mean Rain100"},
		{"data get", "the name of the data set"},
		{"data get gopr", "did you mean GoPro?"},
	} {
		call(t, strings.Fields(test.args)...).check(t, exitUsage, "", test.want)
	}
}

// realBlurZip is an archive with one pair of RealBlur-J, in folders for test pictures only.
func realBlurZip(t *testing.T) []byte {
	t.Helper()
	var archive bytes.Buffer
	z := zip.NewWriter(&archive)
	for i, name := range []string{"test/input/scene1.png", "test/target/scene1.png"} {
		im := testImage(30, 20)
		im.Pix[0] = float32(i) // the pair is not twice the same
		data, err := os.ReadFile(write(t, filepath.Join(t.TempDir(), "a.png"), im))
		if err != nil {
			t.Fatal(err)
		}
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write(data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return archive.Bytes()
}
