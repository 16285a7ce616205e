package backend

import (
	"bufio"
	"bytes"
	"os"
	"slices"
	"strings"
)

// processor describes what the compiler may make use of: model and features of the first processor.
func processor() ([]byte, error) {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return nil, err
	}
	return firstProcessor(text), nil
}

// firstProcessor drops the other processors from /proc/cpuinfo, and what changes while it runs.
func firstProcessor(cpuinfo []byte) []byte {
	var kept bytes.Buffer
	for lines := bufio.NewScanner(bytes.NewReader(cpuinfo)); lines.Scan(); {
		name, _, _ := strings.Cut(lines.Text(), ":")
		name = strings.TrimSpace(name)
		if name == "" {
			break
		}
		if slices.Contains([]string{"cpu MHz", "bogomips", "BogoMIPS", "processor", "apicid", "initial apicid", "core id", "physical id", "microcode"}, name) {
			continue
		}
		kept.WriteString(lines.Text() + "\n")
	}
	return kept.Bytes()
}
