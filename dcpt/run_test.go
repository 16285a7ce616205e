package dcpt

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/godcpt/godcpt/datasets/imageio"
	"github.com/godcpt/godcpt/internal/backend/backendtest"
	"github.com/godcpt/godcpt/internal/metricslog"
)

// cancelAfter is a context that is cancelled from its n-th check on: before an iteration, or in the
// middle of a validation.
func cancelAfter(n int) context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	return &trap{Context: ctx, at: n, spring: cancel}
}

// interruptTiny trains until the n-th check and returns the folder of the stage.
func interruptTiny(t *testing.T, run *Run, n int) string {
	t.Helper()
	if _, err := run.Train(cancelAfter(n), backendtest.Go(t)); !errors.Is(err, ErrInterrupted) {
		t.Fatalf("error %v, want ErrInterrupted", err)
	}
	return run.stageDir()
}

// A run that is interrupted again and again, every few checks of the context, ends as one that is not.
func TestInterrupt(t *testing.T) {
	root := tinyData(t)
	recipe := tinyRecipe(t, root)
	for _, stage := range []string{StagePretrain, StageFinetune} {
		t.Run(stage, func(t *testing.T) {
			want := trainTiny(t, backendtest.Go(t), &Run{Recipe: recipe, Stage: stage, Dir: t.TempDir()})
			run := &Run{Recipe: recipe, Stage: stage, Dir: t.TempDir()}
			times, inValidation, last := 0, 0, -1
			for {
				_, err := run.Train(cancelAfter(4), backendtest.Go(t))
				if err == nil {
					break
				}
				if !errors.Is(err, ErrInterrupted) {
					t.Fatal(err)
				}
				c, err := latestCheckpoint(filepath.Join(run.stageDir(), checkpointDir), func(text string) { t.Error(text) })
				must(t, err)
				if c.Info.Iteration < last || c.Info.Iteration == last && c.Info.Unrecorded != nil {
					t.Fatalf("interrupted at iteration %d after iteration %d: no progress", c.Info.Iteration, last)
				}
				last = c.Info.Iteration
				times++
				if c.Info.Unrecorded != nil {
					inValidation++
				}
			}
			if times < 4 || inValidation == 0 {
				t.Errorf("interrupted %d times, %d of them in a validation: too few to tell", times, inValidation)
			}
			// Every interruption leaves a checkpoint; which old ones are still there differs.
			for _, dir := range []string{want, run.stageDir()} {
				files := checkpoints(filepath.Join(dir, checkpointDir))
				for _, file := range files[1:] {
					must(t, os.Remove(file))
				}
			}
			compareStages(t, run.stageDir(), want)
			checkComplete(t, want, stage)
		})
	}
}

// A stage that is finished is not trained again, and needs no data.
func TestFinishedStage(t *testing.T) {
	root := tinyData(t)
	run := &Run{Recipe: tinyRecipe(t, root), Stage: StageFinetune, Dir: t.TempDir()}
	dir := trainTiny(t, backendtest.Go(t), run)
	before, err := os.ReadFile(filepath.Join(dir, metricsFile))
	must(t, err)
	trainTiny(t, backendtest.Go(t), run)
	after, err := os.ReadFile(filepath.Join(dir, metricsFile))
	must(t, err)
	if !bytes.Equal(before, after) {
		t.Error("metrics.csv changed")
	}

	// The weights to use are made again from the checkpoint if they are gone.
	weights, err := os.ReadFile(filepath.Join(dir, WeightsFile))
	must(t, err)
	must(t, os.Remove(filepath.Join(dir, WeightsFile)))
	trainTiny(t, backendtest.Go(t), run)
	again, err := os.ReadFile(filepath.Join(dir, WeightsFile))
	must(t, err)
	if !bytes.Equal(weights, again) {
		t.Error("the weights differ")
	}

	// Old weights do not survive a run that starts anew.
	must(t, os.RemoveAll(filepath.Join(dir, checkpointDir)))
	must(t, os.WriteFile(filepath.Join(dir, WeightsFile), []byte("stale"), 0o644))
	trainTiny(t, backendtest.Go(t), run)
	if again, err = os.ReadFile(filepath.Join(dir, WeightsFile)); err != nil || !bytes.Equal(weights, again) {
		t.Errorf("the weights of the new run differ (%v)", err)
	}
}

func TestCorruptCheckpoint(t *testing.T) {
	recipe := tinyRecipe(t, tinyData(t))
	want := trainTiny(t, backendtest.Go(t), &Run{Recipe: recipe, Stage: StageFinetune, Dir: t.TempDir()})
	damage := map[string]func(data []byte) []byte{
		"bit flipped": func(data []byte) []byte { data[len(data)-100] ^= 4; return data },
		"truncated":   func(data []byte) []byte { return data[:len(data)/2] },
		"empty":       func([]byte) []byte { return nil },
	}
	for _, name := range sortedKeys(damage) {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			// A folder whose name is a pattern must not hide its checkpoints.
			run := &Run{Recipe: recipe, Stage: StageFinetune, Dir: filepath.Join(t.TempDir(), "run [1"), Out: &out}
			dir := interruptTiny(t, run, 7)
			files := checkpoints(filepath.Join(dir, checkpointDir))
			if len(files) != 2 {
				t.Fatalf("checkpoints %q, want two", files)
			}
			data, err := os.ReadFile(files[0])
			must(t, err)
			must(t, os.WriteFile(files[0], damage[name](data), 0o644))
			out.Reset()
			compareStages(t, trainTiny(t, backendtest.Go(t), run), want)
			if !strings.Contains(out.String(), "checkpoint passed over: "+files[0]) {
				t.Errorf("nothing was said about the file:\n%s", out.String())
			}
			if log, _ := os.ReadFile(filepath.Join(dir, logFile)); !bytes.Contains(log, []byte("passed over")) {
				t.Error("nothing about the file in the log")
			}
		})
	}
	t.Run("all", func(t *testing.T) {
		run := &Run{Recipe: recipe, Stage: StageFinetune, Dir: t.TempDir()}
		for _, file := range checkpoints(filepath.Join(interruptTiny(t, run, 7), checkpointDir)) {
			must(t, os.WriteFile(file, []byte("damaged"), 0o644))
		}
		_, err := run.Train(context.Background(), backendtest.Go(t))
		wantError(t, err, "no checkpoint in", "can be read", "move the folder away", "step-00000004.safetensors", "step-00000002.safetensors")
	})
	t.Run("newer ones do not push out good ones", func(t *testing.T) {
		dir := t.TempDir()
		for _, i := range []int{2, 4, 6, 9} { // 9 was passed over, 6 is just saved
			must(t, os.WriteFile(filepath.Join(dir, checkpointName(i)), nil, 0o644))
		}
		must(t, pruneCheckpoints(dir, 6, 1))
		if got := baseNames(checkpoints(dir)); !slices.Equal(got, []string{"step-00000009", "step-00000006"}) {
			t.Errorf("left: %q", got)
		}
	})
}

func TestRetention(t *testing.T) {
	recipe := tinyRecipe(t, tinyData(t), "finetune.keep=3")
	dir := trainTiny(t, backendtest.Go(t), &Run{Recipe: recipe, Stage: StageFinetune, Dir: t.TempDir()})
	if got, want := baseNames(checkpoints(filepath.Join(dir, checkpointDir))), []string{"step-00000012", "step-00000010", "step-00000008"}; !slices.Equal(got, want) {
		t.Errorf("checkpoints %q, want %q", got, want)
	}
	table, err := metricslog.Read(filepath.Join(dir, metricsFile))
	must(t, err)
	steps, scores := table.Series(columnValPSNR)
	if !slices.Equal(steps, []float64{3, 6, 9, 12}) {
		t.Fatalf("validated after %v", steps)
	}
	top := slices.Index(scores, slices.Max(scores))
	best, err := ReadCheckpoint(filepath.Join(dir, checkpointDir, bestFile))
	must(t, err)
	if best.Info.Best.Value != scores[top] || float64(best.Info.Best.Iteration) != steps[top] || float64(best.Info.Iteration) != steps[top] {
		t.Errorf("best %+v of iteration %d, the scores are %v", best.Info.Best, best.Info.Iteration, scores)
	}
	if len(best.Weights(EMAScope)) == 0 || len(best.Weights(NetworkScope)) != 0 {
		t.Error("the best weights are not the moving average only")
	}
	samples, err := os.ReadDir(filepath.Join(dir, samplesDir))
	if err != nil || len(samples) != len(steps)*2 {
		t.Errorf("%d sample pictures of %d validations of two sets (%v)", len(samples), len(steps), err)
	}
}

func TestFolderInUse(t *testing.T) {
	root := tinyData(t)
	recipe := tinyRecipe(t, root)
	run := &Run{Recipe: recipe, Stage: StageFinetune, Dir: t.TempDir()}
	unlock, err := run.prepareDir()
	must(t, err)
	_, err = run.Train(context.Background(), backendtest.Go(t))
	wantError(t, err, run.stageDir(), "in use by another process")

	// From a process of its own.
	text, err := recipe.YAML()
	must(t, err)
	job := childJob{Recipe: filepath.Join(t.TempDir(), "recipe.yaml"), Stage: StageFinetune, Dir: run.Dir}
	must(t, os.WriteFile(job.Recipe, text, 0o644))
	if output, err := childCommand(t, "go", job).CombinedOutput(); err == nil || !strings.Contains(string(output), "in use by another process") {
		t.Errorf("the other process: %v\n%s", err, output)
	}

	// The other stage is another folder.
	trainTiny(t, backendtest.Go(t), &Run{Recipe: tinyRecipe(t, root, "pretrain.steps=1"), Stage: StagePretrain, Dir: run.Dir})
	unlock()
	interruptTiny(t, run, 2)
}

func TestChangedRecipe(t *testing.T) {
	root := tinyData(t)
	run := &Run{Recipe: tinyRecipe(t, root), Stage: StageFinetune, Dir: t.TempDir()}
	dir := interruptTiny(t, run, 3)
	for _, test := range []struct {
		settings []string
		want     string
	}{
		{[]string{"finetune.optimizer.lr=0.5"}, "another finetune.optimizer.lr: 0.001 there, 0.5 now"},
		{[]string{"data.train.1.enlarge=2"}, "another data.train.1.enlarge: nothing there, 2 now"},
		{[]string{"data.train.0.degrade.sigma=[1, 50]"}, "another data.train.0.degrade.sigma.0: 15 there, 1 now"},
		{[]string{"network.width=8"}, "another network.width: 4 there, 8 now"},
		{[]string{"seed=6"}, "another seed: 5 there, 6 now"},
	} {
		changed := &Run{Recipe: tinyRecipe(t, root, test.settings...), Stage: StageFinetune, Dir: run.Dir}
		_, err := changed.Train(context.Background(), backendtest.Go(t))
		wantError(t, err, dir, test.want, "choose another folder")
	}

	// The same recipe in other words is the same recipe.
	path := filepath.Join(dir, recipeFile)
	data, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, append([]byte("# mine\n"), data...), 0o644))
	interruptTiny(t, run, 3)
}

// Fine-tuning goes on from the network of the run's own pre-training, and keeps its classifier.
func TestFineTuneFromPretraining(t *testing.T) {
	root := tinyData(t)
	recipe := tinyRecipe(t, root, "finetune.steps=1", "finetune.optimizer.lr=1e-30", "finetune.optimizer.weight_decay=0", "finetune.schedule={}", "finetune.ema_decay=0")
	pretrain := &Run{Recipe: recipe, Stage: StagePretrain, Dir: t.TempDir()}
	finetune := &Run{Recipe: recipe, Stage: StageFinetune, Dir: pretrain.Dir}

	interruptTiny(t, pretrain, 3)
	_, err := finetune.Train(context.Background(), backendtest.Go(t))
	wantError(t, err, pretrain.stageDir(), "is not finished", "finish it first")

	trainTiny(t, backendtest.Go(t), pretrain)
	trainTiny(t, backendtest.Go(t), finetune)
	from, err := ReadCheckpoint(filepath.Join(pretrain.stageDir(), WeightsFile))
	must(t, err)
	tuned, err := ReadCheckpoint(filepath.Join(finetune.stageDir(), WeightsFile))
	must(t, err)
	if tuned.Info.Classifier == nil || !slices.Equal(tuned.Info.Classes, []string{"noise", "lowlight"}) {
		t.Errorf("the description lost the classifier: %+v", tuned.Info)
	}
	// The one step was too small to change a number.
	for _, scope := range []string{NetworkScope, ClassifierScope} {
		got, want := tuned.Weights(scope), from.Weights(scope)
		if len(want) == 0 {
			t.Fatalf("no weights below %s", scope)
		}
		for name, tensor := range want {
			if !bytes.Equal(got[name].Data, tensor.Data) {
				t.Errorf("%s: %s is not that of the pre-training", scope, name)
			}
		}
	}

	t.Run("another network", func(t *testing.T) {
		other := &Run{Recipe: tinyRecipe(t, root, "network.width=6"), Stage: StageFinetune, Dir: t.TempDir(), From: pretrain.Dir}
		_, err := other.Train(context.Background(), backendtest.Go(t))
		wantError(t, err, "cannot start from", WeightsFile, "weights of another network", `tensor "decoder0.0.beta" is [1 4 1 1], the network needs [1 6 1 1]`)
	})
	t.Run("nothing there", func(t *testing.T) {
		other := &Run{Recipe: recipe, Stage: StageFinetune, Dir: t.TempDir(), From: filepath.Join(root, "clean")}
		_, err := other.Train(context.Background(), backendtest.Go(t))
		wantError(t, err, filepath.Join(root, "clean"), "holds no weights")
	})
}

// A rate that blows up the weights stops the run at the step that would make them useless.
func TestNotFiniteRun(t *testing.T) {
	for _, stage := range []string{StagePretrain, StageFinetune} {
		t.Run(stage, func(t *testing.T) {
			root := tinyData(t)
			recipe := tinyRecipe(t, root, stage+".optimizer.lr=1e30", stage+".schedule={}", stage+".validate_every=0")
			run := &Run{Recipe: recipe, Stage: stage, Dir: t.TempDir()}
			for _, attempt := range []string{"first", "resumed"} {
				_, err := run.Train(context.Background(), backendtest.Go(t))
				var notFinite *NotFiniteError
				if !errors.As(err, &notFinite) {
					t.Fatalf("%s run: error %v, want a NotFiniteError", attempt, err)
				}
				if notFinite.Iteration != 2 || len(notFinite.Files) != 2 {
					t.Errorf("%s run: iteration %d, files %q; want iteration 2 and the two files of its batch", attempt, notFinite.Iteration, notFinite.Files)
				}
				wantError(t, err, "iteration 2:", "not a finite number", filepath.Join(root, "clean"), "The weights of iteration 1 are saved in", run.stageDir())
				c, err := ReadCheckpoint(filepath.Join(run.stageDir(), checkpointDir, checkpointName(1)))
				must(t, err)
				for name, tensor := range c.Tensors {
					values, err := tensor.Float32()
					must(t, err)
					for _, v := range values {
						if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
							t.Fatalf("%s run: %s holds %v", attempt, name, v)
						}
					}
				}
			}
		})
	}
}

// Where none may be skipped, a picture that cannot be read stops the run, is named, and costs no progress.
func TestBrokenPicture(t *testing.T) {
	root := tinyData(t)
	run := &Run{Recipe: tinyRecipe(t, root, "data.max_broken=0"), Stage: StageFinetune, Dir: t.TempDir()}
	broken := filepath.Join(root, "clean", "1.png")
	good, err := os.ReadFile(broken)
	must(t, err)
	must(t, os.WriteFile(broken, good[:len(good)/2], 0o644))
	_, err = run.Train(context.Background(), backendtest.Go(t))
	wantError(t, err, broken)
	if c, err := latestCheckpoint(filepath.Join(run.stageDir(), checkpointDir), func(string) {}); err != nil || c == nil {
		t.Errorf("nothing was saved (%v)", err)
	}

	must(t, os.WriteFile(broken, good, 0o644))
	whole := trainTiny(t, backendtest.Go(t), &Run{Recipe: run.Recipe, Stage: StageFinetune, Dir: t.TempDir()})
	compareStages(t, trainTiny(t, backendtest.Go(t), run), whole)
}

// What a test set lacks is reported before the first iteration.
func TestNoData(t *testing.T) {
	root := tinyData(t)
	must(t, os.RemoveAll(filepath.Join(root, "unseen")))
	_, err := (&Run{Recipe: tinyRecipe(t, root), Stage: StageFinetune, Dir: t.TempDir()}).Train(context.Background(), backendtest.Go(t))
	wantError(t, err, "data set noise", filepath.Join(root, "unseen"))
	must(t, imageio.Write(filepath.Join(root, "unseen.png"), waves(8, 8, 0)))
	_, err = (&Run{Recipe: tinyRecipe(t, root, "data.train.1.images=unseen.png"), Stage: StageFinetune, Dir: t.TempDir()}).Train(context.Background(), backendtest.Go(t))
	wantError(t, err, "data set lowlight", "unseen.png", "a folder of pictures is needed")
}
