package backend

import (
	"os"
	"regexp"
	"strconv"
)

var driverVersion = regexp.MustCompile(`(?m)^NVRM version:.*?\s(\d+)\.\d+(?:\.\d+)?\s`)

// readDriverVersion returns what the NVIDIA driver of the running Linux kernel says about itself,
// "" if there is none to ask.
func readDriverVersion() string {
	text, err := os.ReadFile("/proc/driver/nvidia/version")
	if err != nil {
		return ""
	}
	return string(text)
}

// cudaForDriver returns the newest of go-xla's CUDA plugins that the driver runs: CUDA 13 needs
// driver 580 (NVIDIA's CUDA toolkit release notes, table "minimum driver versions"). text is the
// content of /proc/driver/nvidia/version; if it does not tell, the newest plugin is taken.
func cudaForDriver(text string) string {
	if m := driverVersion.FindStringSubmatch(text); m != nil {
		if major, err := strconv.Atoi(m[1]); err == nil && major < 580 {
			return "cuda12"
		}
	}
	return "cuda13"
}
