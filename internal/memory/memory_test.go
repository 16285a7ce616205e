package memory

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

func TestThisMachine(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells both")
	}
	const mega = 1 << 20
	if n, ok := Available(); !ok || n < mega || n > 1<<50 {
		t.Errorf("available: %d bytes, %v", n, ok)
	}
	before := Peak()
	block := make([]byte, 64*mega)
	for i := 0; i < len(block); i += 4096 {
		block[i] = 1
	}
	if after := Peak(); before < mega || after < before || after < 64*mega {
		t.Errorf("peak: %d bytes, then %d after taking 64 MiB", before, after)
	}
	runtime.KeepAlive(block)
}

func TestFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for _, test := range []struct {
		text   string
		number int64
		ok     bool
		proc   int64
		procOK bool
	}{
		{"4096\n", 4096, true, 0, false},
		{"max\n", 0, false, 0, false},
		{"9223372036854771712\n", 0, false, 0, false}, // version 1 without a limit
		{"VmPeak:  9 kB\nVmHWM:\t    1234 kB\n", 0, false, 1234 << 10, true},
	} {
		if err := os.WriteFile(path, []byte(test.text), 0o644); err != nil {
			t.Fatal(err)
		}
		if n, ok := number(path); ok != test.ok || ok && n != test.number {
			t.Errorf("number of %q: %d, %v", test.text, n, ok)
		}
		if n, ok := procBytes(path, "VmHWM"); ok != test.procOK || n != test.proc {
			t.Errorf("VmHWM of %q: %d, %v", test.text, n, ok)
		}
	}
	if _, ok := number(path + "x"); ok {
		t.Error("a file that is not there has a number")
	}
}
