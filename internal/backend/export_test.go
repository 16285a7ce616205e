package backend

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// KeepPrograms makes the compilations of this process use an empty cache, which keeps everything, until
// the end of the test; it returns its folder. It skips the test where no programs are kept.
func KeepPrograms(t *testing.T, log io.Writer) string {
	t.Helper()
	if info := ProgramCacheInfo(); info.Off != "" {
		t.Skipf("no compiled programs are kept: %s", info.Off)
	}
	dir := filepath.Join(t.TempDir(), "programs")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	programs.mu.Lock()
	defer programs.mu.Unlock()
	oldDir, oldLeast, oldLog := programs.dir, programs.least, programs.log
	programs.dir, programs.least, programs.log, programs.noted = dir, 0, log, false
	t.Cleanup(func() {
		programs.mu.Lock()
		defer programs.mu.Unlock()
		programs.dir, programs.least, programs.log = oldDir, oldLeast, oldLog
	})
	return dir
}

// FakePrograms replaces every program in dir by data, with a checksum that is right.
func FakePrograms(dir string, data []byte) error {
	c := &programCache{dir: dir, limit: programLimit}
	for _, f := range programFiles(dir) {
		if err := c.write(strings.TrimSuffix(f.Name(), programExt), data); err != nil {
			return err
		}
	}
	return nil
}
