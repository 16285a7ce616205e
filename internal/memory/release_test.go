package memory

import (
	"runtime"
	"testing"
)

func TestRelease(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells what is held now")
	}
	held := func() int64 {
		n, ok := procBytes("/proc/self/status", "VmRSS")
		if !ok {
			t.Fatal("no VmRSS")
		}
		return n
	}
	const mega = 1 << 20
	block := make([]byte, 256*mega)
	for i := range block {
		block[i] = 1
	}
	full := held()
	runtime.KeepAlive(block)
	block = nil
	Release()
	if now := held(); now > full-200*mega {
		t.Errorf("%d MiB held, %d MiB before 256 MiB were released", now>>20, full>>20)
	}
}
