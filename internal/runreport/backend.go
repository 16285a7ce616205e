package runreport

import (
	"fmt"
	"runtime"
	"strings"

	"github.com/godcpt/godcpt/internal/backend"
)

// Device names what is computed on: "xla:cpu on 2 cores".
func Device(b *backend.Backend) string {
	devices := strings.Join(b.Devices, ", ")
	if b.Kind == "go" || strings.HasSuffix(b.Kind, ":cpu") { // XLA's devices are not the cores
		devices = fmt.Sprintf("%d cores", runtime.NumCPU())
	}
	return b.Kind + " on " + devices
}

// Backend is Device and how it came to be chosen.
func Backend(b *backend.Backend) string {
	text := "backend " + Device(b)
	if b.PJRTVersion != "" {
		text += ", PJRT " + b.PJRTVersion
	}
	if b.Source != "" {
		text += " (" + b.Source + ")"
	}
	return text
}
