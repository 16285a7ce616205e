package dcpt

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/godcpt/godcpt/datasets"
	"github.com/godcpt/godcpt/datasets/imageio"
	"github.com/godcpt/godcpt/internal/backend/backendtest"
)

// labelsOf counts the labels and the sizes of the samples of some batches.
func labelsOf(t *testing.T, r *Recipe, batch, batches int) (labels map[int32]int, sizes map[int]int) {
	t.Helper()
	train, err := r.TrainingSet(16)
	must(t, err)
	l := datasets.NewLoader(train, datasets.LoaderConfig{BatchSize: batch})
	defer l.Close()
	labels, sizes = map[int32]int{}, map[int]int{}
	for range batches {
		b, err := l.Next()
		must(t, err)
		sizes[b.H] += b.N
		for _, label := range b.Labels {
			labels[label]++
		}
	}
	return labels, sizes
}

func TestSampling(t *testing.T) {
	root := tinyData(t)
	for _, test := range []struct {
		settings []string
		samples  int
		labels   map[int32]int // in two epochs
		sizes    map[int]int
	}{
		{[]string{"data.train.1.enlarge=3"}, 12, map[int32]int{0: 6, 1: 18}, map[int]int{16: 24}},
		{[]string{"data.train.1.enlarge=3", "data.sampling=balanced"}, 12, map[int32]int{0: 12, 1: 12}, map[int]int{16: 24}},
		{[]string{"data.sampling=balanced", "data.epoch=20"}, 20, map[int32]int{0: 20, 1: 20}, map[int]int{16: 40}},
		{[]string{"data.sampling=weighted", "data.epoch=20", "data.train.0.weight=0.3", "data.train.1.weight=0.1"}, 20, map[int32]int{0: 30, 1: 10}, map[int]int{16: 40}},
		{[]string{"data.sampling=balanced", "data.epoch=20", "data.train.1.patch=32"}, 20, map[int32]int{0: 20, 1: 20}, map[int]int{16: 20, 32: 20}},
	} {
		r := tinyRecipe(t, root, test.settings...)
		train, err := r.TrainingSet(16)
		must(t, err)
		labels, sizes := labelsOf(t, r, 2, test.samples)
		if train.Len() != test.samples || fmt.Sprint(labels) != fmt.Sprint(test.labels) || fmt.Sprint(sizes) != fmt.Sprint(test.sizes) {
			t.Errorf("%q: %d samples, labels %v, sizes %v; want %d, %v, %v", test.settings, train.Len(), labels, sizes, test.samples, test.labels, test.sizes)
		}
	}
	_, err := tinyRecipe(t, root, "data.sampling=balanced", "data.epoch=1").TrainingSet(16)
	wantError(t, err, "an epoch of 1 samples has none of data set")
	_, err = tinyRecipe(t, root, "data.train.0.patch=32").Baseline()
	wantError(t, err, "a patch of their own", "leave patch out of data.train")
}

func TestCacheBytes(t *testing.T) {
	if n := (Data{Cache: "3MB"}).cacheBytes(); n != 3e6 {
		t.Errorf("cache of %d bytes", n)
	}
	if n := (Data{}).cacheBytes(); n < 1<<20 {
		t.Errorf("by default a cache of %d bytes", n)
	}
}

// A share of the files of each set, but of few at least one.
func TestMaxBroken(t *testing.T) {
	share := func(v float64) Data { return Data{MaxBroken: &v} }
	for _, c := range []struct {
		data    Data
		n, want int
	}{{Data{}, 100, 5}, {Data{}, 7, 1}, {share(0.5), 9, 4}, {share(1e-9), 1000, 1}, {share(1), 10, 10}, {share(0), 1000, 0}} {
		if got := c.data.maxBroken(c.n); got != c.want {
			t.Errorf("%d of %d files may be damaged, want %d", got, c.n, c.want)
		}
	}
}

// All sets of a recipe, and its validation, keep one bound together.
func TestOneCache(t *testing.T) {
	root := tinyData(t)
	const bytes = (20*24 + 33*18 + 16*16) * 3 // of the clean pictures; as many again as pairs
	settings := []string{
		"data.train.0={name: noise, lq: clean, gt: clean}",
		"data.test.0={name: noise, lq: unseen, gt: unseen}", // 3600 bytes each
	}
	for limit, want := range map[string]int64{"1MiB": 3*bytes + 3*3600, "4000B": 0, "0": 0} {
		p := tinyRecipe(t, root, append(settings, "data.cache="+limit)...).pictures()
		train, err := p.train(16)
		must(t, err)
		test, err := p.test(0)
		must(t, err)
		for _, set := range []datasets.Dataset{train, test} {
			for i := range set.Len() {
				_, err := set.Sample(0, i)
				must(t, err)
			}
		}
		used := p.cache.Used()
		if limit == "4000B" {
			if used == 0 || used > 4000 {
				t.Errorf("%d bytes used of 4000", used)
			}
			continue
		}
		if used != want {
			t.Errorf("limit %s: %d bytes used, want %d", limit, used, want)
		}
	}
}

// brokenData is tinyData with many clean pictures of which three in a hundred are damaged.
func brokenData(t *testing.T) (root string, broken []string) {
	t.Helper()
	root = tinyData(t)
	for i := range 100 {
		path := filepath.Join(root, "many", fmt.Sprintf("%02d.png", i))
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, imageio.Write(path, waves(16, 16, i)))
		if i%33 == 5 {
			data, err := os.ReadFile(path)
			must(t, err)
			must(t, os.WriteFile(path, data[:len(data)/2], 0o644))
			broken = append(broken, path)
		}
	}
	return root, broken
}

// A folder with three damaged files in a hundred trains, and says so on the screen and in the log; so
// it does when it is interrupted in between, and with the same result.
func TestTrainingSkipsDamagedFiles(t *testing.T) {
	root, broken := brokenData(t)
	recipe := tinyRecipe(t, root, "data.train.0.images=many", "data.train.1={name: lowlight, lq: many, gt: many}",
		"finetune.steps=60", "finetune.accumulate=1", "finetune.batch=4", "finetune.validate_every=30", "finetune.save_every=20")
	var out bytes.Buffer
	run := &Run{Recipe: recipe, Stage: StageFinetune, Dir: t.TempDir(), Out: &out}
	dir := trainTiny(t, backendtest.Go(t), run)
	log, err := os.ReadFile(filepath.Join(dir, logFile))
	must(t, err)
	// 240 samples are an epoch of 200 and some more: each damaged file is found, in both sets.
	summary := "damaged files that were skipped: 3 (noise 3, lowlight 3); log.txt names them"
	for name, text := range map[string]string{"screen": out.String(), "log": string(log)} {
		for _, file := range broken {
			if n := strings.Count(text, "skipped: "+file+" is a truncated or damaged PNG picture"); n != 1 {
				t.Errorf("%s: %s is named %d times, want once", name, file, n)
			}
		}
		if strings.Count(text, summary) != 1 {
			t.Errorf("%s: no summary in\n%s", name, text)
		}
	}
	if got := slices.Sorted(slices.Values(run.Skipped)); !slices.Equal(got, broken) {
		t.Errorf("the run has skipped %v", got)
	}
	for _, file := range []string{WeightsFile, filepath.Join(checkpointDir, bestFile)} {
		c, err := ReadCheckpoint(filepath.Join(dir, file))
		must(t, err)
		if len(c.Info.Skipped) != 0 {
			t.Errorf("%s names files of the training set", file)
		}
	}

	again := &Run{Recipe: recipe, Stage: StageFinetune, Dir: t.TempDir()}
	interruptTiny(t, again, 26)
	compareStages(t, trainTiny(t, backendtest.Go(t), again), dir)
	if !slices.Equal(again.Skipped, run.Skipped) {
		t.Errorf("interrupted, the run has skipped %v, want %v", again.Skipped, run.Skipped)
	}
	if log, err = os.ReadFile(filepath.Join(again.stageDir(), logFile)); err != nil || strings.Count(string(log), "skipped: "+broken[0]) != 1 {
		t.Errorf("the log of both parts (%v):\n%s", err, log)
	}
}

// More damaged files than allowed stop the run with what to do; it goes on once more are allowed.
func TestTooManyDamagedFiles(t *testing.T) {
	root, broken := brokenData(t)
	settings := []string{"data.train.0.images=many", "finetune.steps=60", "finetune.accumulate=1", "finetune.batch=8", "finetune.validate_every=0", "finetune.save_every=0"}
	run := &Run{Recipe: tinyRecipe(t, root, append(settings, "data.max_broken=0.02")...), Stage: StageFinetune, Dir: t.TempDir()}
	_, err := run.Train(context.Background(), backendtest.Go(t))
	wantError(t, err, "data set noise has 100 samples", "at most 2 may be damaged", broken[0], broken[1], broken[2],
		"Copy or download them again", `"godcpt data check `+filepath.Join(root, "many")+`"`, "data.max_broken")
	must(t, func() error {
		_, err := latestCheckpoint(filepath.Join(run.stageDir(), checkpointDir), func(text string) { t.Error(text) })
		return err
	}())

	run.Recipe = tinyRecipe(t, root, append(settings, "data.max_broken=0.03", "data.cache=1MB")...)
	want := trainTiny(t, backendtest.Go(t), &Run{Recipe: run.Recipe, Stage: StageFinetune, Dir: t.TempDir()})
	trainTiny(t, backendtest.Go(t), run)
	got, err := os.ReadFile(filepath.Join(run.stageDir(), metricsFile))
	must(t, err)
	whole, err := os.ReadFile(filepath.Join(want, metricsFile))
	must(t, err)
	if !bytes.Equal(got, whole) {
		t.Error("the run that stopped in between has other figures")
	}

	// Test images are not skipped: scores would be of other images than they say.
	must(t, os.WriteFile(filepath.Join(root, "unseen", "3.png"), []byte("x"), 0o644))
	test, err := run.Recipe.TestSet()
	must(t, err)
	_, err = test.Sample(0, 0)
	wantError(t, err, "3.png")
	_, err = tinyRecipe(t, root, "data.test.0={name: noise, lq: unseen, gt: unseen}").TestSet()
	wantError(t, err, "data set noise", "3.png")
	_, err = tinyRecipe(t, root, "data.train.0={name: noise, lq: unseen, gt: unseen}", "data.max_broken=0").TrainingSet(16)
	wantError(t, err, "data set noise", "3.png")
}

// Sets with a patch of their own train, from an interruption on, too, and are said to be compiled.
func TestTrainingWithTwoPatches(t *testing.T) {
	recipe := tinyRecipe(t, tinyData(t), "data.train.0.patch=8", "data.sampling=balanced", "data.epoch=12", "finetune.batch=3")
	for _, stage := range []string{StagePretrain, StageFinetune} {
		var out bytes.Buffer
		want := trainTiny(t, backendtest.Go(t), &Run{Recipe: recipe, Stage: stage, Dir: t.TempDir(), Out: &out})
		// The first iteration's compilation is the bar's own message. Fine-tuning accumulates two passes,
		// whose sizes may both be in it.
		least := map[string]int{StagePretrain: 1}[stage]
		if n := strings.Count(out.String(), "compiled for another size of patches"); n < least || n > 1 {
			t.Errorf("%s: %d compilations are mentioned:\n%s", stage, n, out.String())
		}
		run := &Run{Recipe: recipe, Stage: stage, Dir: t.TempDir()}
		interruptTiny(t, run, 5)
		compareStages(t, trainTiny(t, backendtest.Go(t), run), want)
	}
}

// A recipe with all kinds of sets at once (shards of photos and of pairs, folders with damaged files, pairs, a
// composition, patches of their own) gives the same batches for any number of workers, without memory for
// decoded pictures, and from any step on; and names each damaged file in the same batch.
func TestBatchesOfAnyMixture(t *testing.T) {
	root, _ := brokenData(t)
	packed := shardFolder(t)
	for _, folder := range []string{"photos", "pairs"} {
		must(t, os.Rename(filepath.Join(packed, folder), filepath.Join(root, folder)))
	}
	const sets = `data.train=[
		{name: noise, images: many, degrade: {kind: noise}, enlarge: 2},
		{name: lowlight, lq: many, gt: many, patch: 8},
		{name: rain, images: photos, degrade: {kind: rain}, enlarge: 9},
		{name: pairs, shards: pairs, patch: 8, enlarge: 9},
		{name: mist, images: clean, degrade: {kind: haze+blur+jpeg}},
		{name: noise, images: clean, degrade: {kind: camera}}]`
	const batches, batch = 80, 3
	for _, sampling := range []string{SamplingConcat, SamplingBalanced} {
		load := func(start, workers int, cache string, known []datasets.Skipped) (out []*datasets.Batch) {
			train, err := tinyRecipe(t, root, sets, "data.sampling="+sampling, "data.cache="+cache).TrainingSet(16)
			must(t, err)
			l := datasets.NewLoader(train, datasets.LoaderConfig{BatchSize: batch, Seed: 4, Start: start, Workers: workers, Skipped: known})
			defer l.Close()
			for range batches - start {
				b, err := l.Next()
				must(t, err)
				out = append(out, b)
			}
			return out
		}
		want := load(0, 1, "1GB", nil)
		var skipped []datasets.Skipped
		sizes, labels, known := map[int]int{}, map[int32]int{}, 0
		const start = 37
		for i, b := range want {
			sizes[b.W]++
			for _, label := range b.Labels {
				labels[label]++
			}
			if i == start {
				known = len(skipped)
			}
			skipped = append(skipped, b.Skipped...)
		}
		if len(sizes) != 2 || len(labels) != 5 || known == 0 || len(skipped) == known {
			t.Fatalf("%s: sizes %v, labels %v, %d of %d damaged files by batch %d: not the mixture that is to be tested", sampling, sizes, labels, known, len(skipped), start)
		}
		for name, got := range map[string][]*datasets.Batch{
			"many workers": load(0, 5, "1GB", nil), "no cache": load(0, 2, "0", nil), "a full cache": load(0, 3, "9KB", nil),
			"resumed": load(start, 2, "1GB", skipped[:known]),
		} {
			for i, b := range got {
				w := want[batches-len(got)+i]
				if !slices.Equal(b.LQ, w.LQ) || !slices.Equal(b.GT, w.GT) || !slices.Equal(b.Labels, w.Labels) || !slices.Equal(b.Names, w.Names) || fmt.Sprint(b.Skipped) != fmt.Sprint(w.Skipped) {
					t.Fatalf("%s, %s: batch %d is another", sampling, name, batches-len(got)+i)
				}
			}
		}
	}
}
