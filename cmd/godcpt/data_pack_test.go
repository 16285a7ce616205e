package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestDataPack(t *testing.T) {
	dir := t.TempDir()
	src, gt, out := filepath.Join(dir, "src"), filepath.Join(dir, "gt"), filepath.Join(dir, "out")
	for i := range 21 {
		write(t, filepath.Join(src, fmt.Sprintf("rain-%d.png", i)), testImage(16, 12))
		write(t, filepath.Join(gt, fmt.Sprintf("norain-%d.png", i)), testImage(16, 12))
	}
	call(t, "data", "pack", src).check(t, exitUsage, "", "the folder to make, is missing")
	call(t, "data", "pack", src, out, "--shard-size", "big").check(t, exitUsage, "", `--shard-size: "big" is no size`)
	call(t, "data", "pack", src, out, "--pair", "rain").check(t, exitUsage, "", "--pair rain belongs to --gt")
	call(t, "data", "pack", filepath.Join(dir, "none"), out).check(t, exitFailure, "", "no such file")

	call(t, "data", "pack", src, out, "--shard-size", "20kB").check(t, exitOK, "21 images, ", "")
	if !exists(filepath.Join(out, "out-000001.tar")) {
		t.Error("not divided into shards")
	}
	call(t, "data", "pack", src, out).check(t, exitFailure, "", "is not empty")
	pairs := filepath.Join(dir, "pairs")
	call(t, "data", "pack", src, pairs, "--gt", gt, "--pair", "rain").check(t, exitOK, "21 pairs, 0.1 MB in 1 shard: "+pairs, "")

	if err := os.WriteFile(filepath.Join(src, "rain-3.png"), []byte("no picture"), 0o644); err != nil {
		t.Fatal(err)
	}
	damaged := filepath.Join(dir, "damaged")
	r := call(t, "data", "pack", src, damaged)
	r.check(t, exitSomeFailed, "20 images", "left out: "+filepath.Join(src, "rain-3.png"))
	r.check(t, exitSomeFailed, "", "1 of 21 images were left out")
	if !exists(damaged) {
		t.Error("nothing was written")
	}
}
