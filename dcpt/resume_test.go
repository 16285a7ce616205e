package dcpt

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gomlx/compute"

	"github.com/godcpt/godcpt/internal/backend"
	"github.com/godcpt/godcpt/internal/backend/backendtest"
)

// childEnv holds a childJob for a test binary that is to train instead of testing.
const childEnv = "GODCPT_TEST_TRAIN"

// childJob is a stage to train in a process that kills itself with SIGKILL, as kill -9 does.
type childJob struct {
	Recipe           string // file
	Stage, Dir, From string

	// KillAt is the check of the context (there is one before every iteration and every validation
	// image, counted from 1) that arms the kill; 0: none.
	KillAt int
	// Delay is from then to the kill, which falls anywhere in an iteration.
	Delay time.Duration
	// InSave waits for the temporary file of a checkpoint to appear instead.
	InSave bool
}

// What a child prints when it comes to its end, and how it exits.
const (
	childFinished = "finished"
	childFailed   = 3
)

// trainAsChild does a childJob and returns the exit status.
func trainAsChild(text string) int {
	var job childJob
	err := json.Unmarshal([]byte(text), &job)
	if err == nil {
		err = job.train()
	}
	if err != nil {
		fmt.Println("failed:", err)
		return childFailed
	}
	fmt.Println(childFinished)
	return 0
}

func (j childJob) train() error {
	b, err := backend.Open(backend.Options{})
	if err != nil {
		return err
	}
	recipe, err := LoadRecipe(j.Recipe)
	if err != nil {
		return err
	}
	run := &Run{Recipe: recipe, Stage: j.Stage, Dir: j.Dir, From: j.From}
	ctx := &trap{Context: context.Background(), at: j.KillAt, spring: func() { j.kill(run) }}
	_, err = run.Train(ctx, b.Backend)
	return err
}

// kill ends this process when the job says, without waiting for that.
func (j childJob) kill(run *Run) {
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		panic(err)
	}
	if !j.InSave {
		time.AfterFunc(j.Delay, func() { self.Kill() })
		return
	}
	go func() {
		for {
			if len(unfinishedCheckpoints(run.stageDir())) > 0 {
				self.Kill()
			}
		}
	}()
}

// unfinishedCheckpoints lists the temporary files of checkpoints that are being written.
func unfinishedCheckpoints(stageDir string) []string {
	entries, _ := os.ReadDir(filepath.Join(stageDir, checkpointDir)) // none yet
	var names []string
	for _, e := range entries {
		if ok, _ := path.Match("."+checkpointGlob+".tmp-*", e.Name()); ok {
			names = append(names, e.Name())
		}
	}
	return names
}

// trap is a context that does something when it is checked for the at-th time.
type trap struct {
	context.Context
	checks, at int
	spring     func()
}

func (c *trap) Err() error {
	if c.checks++; c.checks == c.at {
		c.spring()
	}
	return c.Context.Err()
}

// childCommand is the process that does a job on the backend that kind names.
func childCommand(t *testing.T, kind string, job childJob) *exec.Cmd {
	t.Helper()
	text, err := json.Marshal(job)
	must(t, err)
	self, err := os.Executable()
	must(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childEnv+"="+string(text), compute.ConfigEnvVar+"="+kind)
	return cmd
}

// runChild does a job in a process of its own and tells whether it was killed.
func runChild(t *testing.T, kind string, job childJob) (killed bool) {
	t.Helper()
	output, err := childCommand(t, kind, job).CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil && bytes.Contains(output, []byte(childFinished)):
		return false
	case errors.As(err, &exit) && exit.ExitCode() != childFailed:
		return true
	}
	t.Fatalf("the training process failed: %v\n%s", err, output)
	return false
}

// TestResumeAfterKill kills processes that train at random moments and while they save a checkpoint,
// and goes on until the stage is finished: weights, averages, moments, best score and figures must be
// bit for bit those of a run that was never interrupted.
func TestResumeAfterKill(t *testing.T) {
	root := tinyData(t)
	start := startWeights(t, root)
	for _, backend := range resumeBackends(t) {
		for _, stage := range []string{StagePretrain, StageFinetune} {
			t.Run(backend.kind+"/"+stage, func(t *testing.T) {
				t.Parallel()
				testResumeAfterKill(t, backend, root, stage, start)
			})
		}
	}
}

// resumeBackend is a backend to resume on: as an object, and as GOMLX_BACKEND names it to a child.
type resumeBackend struct {
	kind    string
	backend compute.Backend
	kills   int // at random moments
}

// resumeBackends are the tests' backend, on which every process has to compile anew, and the pure Go
// one, on which more kills cost little.
func resumeBackends(t *testing.T) []resumeBackend {
	pureGo := resumeBackend{"go", backendtest.Go(t), 3}
	main := backendtest.ForTest(t)
	if testing.Short() || main.Name() == pureGo.backend.Name() {
		return []resumeBackend{pureGo}
	}
	kind := os.Getenv(compute.ConfigEnvVar)
	if kind == "" {
		kind = "xla"
	}
	return []resumeBackend{pureGo, {kind, main, 1}}
}

// deep gives the network weights, at resolutions where they cost no time, so that a checkpoint takes
// some time to write and a kill falls into that.
const deep = "network={arch: nafnet, width: 16, enc_blocks: [0, 0, 0, 0], middle_blocks: 0, dec_blocks: [0, 0, 0, 1]}"

// startWeights are those of a pre-trained network to fine-tune.
func startWeights(t *testing.T, root string) string {
	t.Helper()
	recipe := tinyRecipe(t, root, deep, "seed=8", "pretrain.steps=1")
	return trainTiny(t, backendtest.Go(t), &Run{Recipe: recipe, Stage: StagePretrain, Dir: t.TempDir()})
}

func testResumeAfterKill(t *testing.T, backend resumeBackend, root, stage, start string) {
	recipe := tinyRecipe(t, root, deep, "pretrain.schedule.periods=[24]",
		stage+".steps=24", stage+".validate_every=6")
	if stage == StagePretrain {
		start = ""
	}
	want := trainTiny(t, backend.backend, &Run{Recipe: recipe, Stage: stage, Dir: t.TempDir(), From: start})

	job := childJob{Recipe: filepath.Join(t.TempDir(), "recipe.yaml"), Stage: stage, Dir: t.TempDir(), From: start}
	text, err := recipe.YAML()
	must(t, err)
	must(t, os.WriteFile(job.Recipe, text, 0o644))
	stageDir := filepath.Join(job.Dir, stage)
	killed := 0
	for range backend.kills {
		job.KillAt = 1 + rand.IntN(5)
		job.Delay = time.Duration(rand.Int64N(int64(20 * time.Millisecond)))
		if runChild(t, backend.kind, job) {
			killed++
			t.Logf("killed %v after check %d, checkpoints then: %q", job.Delay, job.KillAt, baseNames(checkpoints(filepath.Join(stageDir, checkpointDir))))
		}
	}
	if killed == 0 {
		t.Fatal("no process was killed while it trained")
	}

	// A save may win the race against the kill: then the next one. The fourth check is after the
	// first save, so that there is a checkpoint to lose.
	job.KillAt, job.InSave = 4, true
	for len(unfinishedCheckpoints(stageDir)) == 0 {
		if !runChild(t, backend.kind, job) {
			t.Fatal("the stage ended before a kill fell into a save")
		}
	}
	t.Logf("killed while writing %q", unfinishedCheckpoints(stageDir))
	newest, err := latestCheckpoint(filepath.Join(stageDir, checkpointDir), func(text string) { t.Error(text) })
	must(t, err)
	if newest == nil {
		t.Error("the kill in the middle of a save left no checkpoint")
	}

	run := &Run{Recipe: recipe, Stage: stage, Dir: job.Dir, From: start}
	compareStages(t, trainTiny(t, backend.backend, run), want)
	if left := unfinishedCheckpoints(stageDir); len(left) > 0 {
		t.Errorf("unfinished files were left: %q", left)
	}
	checkComplete(t, want, stage)
}

// checkComplete checks that what was compared is all there is: a state of every kind, and figures of
// every iteration once.
func checkComplete(t *testing.T, stageDir, stage string) {
	t.Helper()
	c, err := ReadCheckpoint(checkpoints(filepath.Join(stageDir, checkpointDir))[0])
	must(t, err)
	scopes := []string{NetworkScope, firstMomentScope + NetworkScope, secondMomentScope + NetworkScope}
	if stage == StagePretrain {
		scopes = append(scopes, ClassifierScope, firstMomentScope+ClassifierScope, secondMomentScope+ClassifierScope)
	} else {
		scopes = append(scopes, EMAScope)
	}
	for _, scope := range scopes {
		if len(c.Weights(scope)) == 0 {
			t.Errorf("the checkpoint holds nothing below %s", scope)
		}
	}
	if c.Info.Best == nil {
		t.Error("the checkpoint holds no best score")
	}
	var want []string
	for i := range c.Info.Iteration {
		want = append(want, strconv.Itoa(i+1))
	}
	if got := stepsOf(t, stageDir); !slices.Equal(got, want) {
		t.Errorf("figures of the iterations %v, want %v", got, want)
	}
}

func baseNames(paths []string) []string {
	var names []string
	for _, p := range paths {
		names = append(names, strings.TrimSuffix(filepath.Base(p), filepath.Ext(p)))
	}
	return names
}
