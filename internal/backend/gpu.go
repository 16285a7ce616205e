package backend

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// HasNVIDIA reports whether this machine has an NVIDIA GPU that its driver knows.
var HasNVIDIA = sync.OnceValue(func() bool {
	if devices, _ := filepath.Glob("/dev/nvidia[0-9]*"); len(devices) > 0 {
		return true
	}
	// Windows and WSL have no device files.
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "nvidia-smi", "-L").Output()
	return err == nil && strings.HasPrefix(string(out), "GPU ")
})
