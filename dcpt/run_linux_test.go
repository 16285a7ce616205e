package dcpt

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/godcpt/godcpt/internal/backend/backendtest"
)

// mountTmpfs makes a small file system in memory, which takes root's rights, and returns its folder.
func mountTmpfs(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("a full disk needs a file system of its own, which cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// A full disk stops the run with the name of the file, and leaves the checkpoints there are, from
// which the run goes on when there is room again.
func TestDiskFull(t *testing.T) {
	recipe := tinyRecipe(t, tinyData(t), deep)
	want := trainTiny(t, backendtest.Go(t), &Run{Recipe: recipe, Stage: StageFinetune, Dir: t.TempDir()})

	disk := mountTmpfs(t, "64m")
	run := &Run{Recipe: recipe, Stage: StageFinetune, Dir: filepath.Join(disk, "run")}
	dir := interruptTiny(t, run, 3)
	saved := checkpoints(filepath.Join(dir, checkpointDir))
	if len(saved) != 1 {
		t.Fatalf("checkpoints %q, want one", saved)
	}
	before, err := os.ReadFile(saved[0])
	must(t, err)

	// Fill the disk but for what the small files need.
	var room syscall.Statfs_t
	must(t, syscall.Statfs(disk, &room))
	filler := filepath.Join(disk, "filler")
	must(t, os.WriteFile(filler, make([]byte, int(room.Bavail)*int(room.Bsize)-len(before)/2), 0o644))

	_, err = run.Train(context.Background(), backendtest.Go(t))
	wantError(t, err, "cannot save the checkpoint", "earlier ones are kept", filepath.Join(dir, checkpointDir, checkpointName(4)), "no space left on device")
	after, err := os.ReadFile(saved[0])
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the checkpoint changed (%v)", err)
	}
	if left := unfinishedCheckpoints(dir); len(left) > 0 {
		t.Errorf("unfinished files take the room that is left: %q", left)
	}

	must(t, os.Remove(filler))
	compareStages(t, trainTiny(t, backendtest.Go(t), run), want)
}

// A disk without a byte left is an error with the name of a file, too.
func TestDiskFullAtStart(t *testing.T) {
	recipe := tinyRecipe(t, tinyData(t))
	disk := mountTmpfs(t, "64k")
	var room syscall.Statfs_t
	must(t, syscall.Statfs(disk, &room))
	must(t, os.WriteFile(filepath.Join(disk, "filler"), make([]byte, int(room.Bavail)*int(room.Bsize)), 0o644))
	_, err := (&Run{Recipe: recipe, Stage: StageFinetune, Dir: filepath.Join(disk, "run")}).Train(context.Background(), backendtest.Go(t))
	wantError(t, err, filepath.Join(disk, "run"), "no space left on device")
}

// Without the right to write, the run stops before it has computed anything.
func TestNoWritePermission(t *testing.T) {
	root := tinyData(t)
	recipe := tinyRecipe(t, root)
	lock := func(dir string) { must(t, os.Chmod(dir, 0o555)) }
	dir, reason := t.TempDir(), "permission denied"
	if os.Geteuid() == 0 { // root may write everywhere but on a file system without writing
		dir, reason = mountTmpfs(t, "1m"), "read-only file system"
		lock = func(string) { must(t, syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, "")) }
	}
	run := &Run{Recipe: recipe, Stage: StageFinetune, Dir: filepath.Join(dir, "run")}
	stageDir := interruptTiny(t, run, 3)
	lock(stageDir)
	t.Cleanup(func() { os.Chmod(stageDir, 0o755) })
	_, err := run.Train(context.Background(), backendtest.Go(t))
	wantError(t, err, stageDir, reason)
	if os.Geteuid() != 0 {
		lock(filepath.Dir(run.Dir))
		t.Cleanup(func() { os.Chmod(dir, 0o755) })
	}
	_, err = (&Run{Recipe: recipe, Stage: StageFinetune, Dir: filepath.Join(dir, "other")}).Train(context.Background(), backendtest.Go(t))
	wantError(t, err, "cannot make the run's folder", filepath.Join(dir, "other"), reason)
}
