package doctor

import (
	"bufio"
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/godcpt/godcpt/internal/backend"
	"github.com/godcpt/godcpt/internal/versions"
)

// libraries are the modules whose versions matter when something computes wrongly.
var libraries = []string{versions.GoMLX, versions.GoXLA, versions.Compute, "github.com/janpfeifer/gonb"}

// builtFrom tells what this program was built from.
func builtFrom() []Check {
	program := cmp.Or(versions.Program(), "unknown version")
	var list []string
	for _, lib := range libraries {
		if version := versions.Module(lib); version != "" {
			list = append(list, filepath.Base(lib)+" "+version)
		}
	}
	if len(list) == 0 {
		list = []string{"unknown: this program was built without information about its modules"}
	}
	return []Check{
		{Name: "program", Status: OK, Value: "GoDCPT " + program},
		{Name: "built with", Status: OK, Value: runtime.Version() + " for " + runtime.GOOS + "/" + runtime.GOARCH},
		{Name: "libraries", Status: OK, Value: strings.Join(list, ", ")},
	}
}

// machine describes processor, memory and graphics card.
func machine() []Check {
	cpu := Check{Name: "processor", Status: OK, Value: fmt.Sprintf("%d cores", runtime.NumCPU())}
	if model, _ := Processor(); model != "" {
		cpu.Value += ", " + model
	}
	checks := []Check{cpu}
	if total := procKiB("/proc/meminfo", "MemTotal"); total > 0 {
		available := procKiB("/proc/meminfo", "MemAvailable")
		const needed = 4 << 20 // KiB
		c := Check{Name: "memory", Status: OK, Value: fmt.Sprintf("%.1f GiB, %.1f GiB available", total/(1<<20), available/(1<<20))}
		if available < needed {
			c.Status, c.Fix = Warning, "the quickstart needs up to 4 GiB: close other programs"
		}
		checks = append(checks, c)
	}
	if backend.HasNVIDIA() {
		gpu := Check{Name: "graphics card", Status: OK, Value: "NVIDIA"}
		if out, err := exec.Command("nvidia-smi", "-L").Output(); err == nil {
			gpu.Value = strings.TrimSpace(string(out))
		}
		checks = append(checks, gpu)
	}
	return checks
}

// vectorFeatures are the extensions of a processor that programs of XLA differ by.
var vectorFeatures = []string{"avx", "avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16", "asimd", "sve", "bf16"}

// Processor returns the name of the processor and which vector extensions it has, as Linux tells;
// nothing on other systems.
func Processor() (model string, features []string) {
	has := strings.Fields(cmp.Or(procField(cpuInfo, "flags"), procField(cpuInfo, "Features"))) // x86, arm64
	for _, feature := range vectorFeatures {
		if slices.Contains(has, feature) {
			features = append(features, feature)
		}
	}
	return procField(cpuInfo, "model name"), features
}

const cpuInfo = "/proc/cpuinfo"

// procField returns the value of the first line "name : value" of a file of /proc, "" if none.
func procField(path, name string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// procKiB is procField for a number of KiB.
func procKiB(path, name string) float64 {
	n, _ := strconv.ParseFloat(strings.TrimSuffix(procField(path, name), " kB"), 64)
	return n
}

func hugePages() Check {
	on, why := backend.HugePages()
	if on {
		return Check{Name: "huge pages", Status: OK, Value: "on (" + why + ")"}
	}
	return Check{Name: "huge pages", Status: Warning, Value: "off: " + why, Fix: "optional; with them, XLA trains about a fifth faster on the CPU"}
}

// cacheFolder tells where plugins are installed and how much room is there.
func cacheFolder() Check {
	dir, err := backend.CacheDir()
	if err != nil {
		return Check{"cache", Warning, err.Error(), "set HOME or XDG_CACHE_HOME"}
	}
	c := Check{Name: "cache", Status: OK, Value: dir}
	parent := dir
	for !isDir(parent) && filepath.Dir(parent) != parent {
		parent = filepath.Dir(parent)
	}
	if free, err := freeBytes(parent); err == nil {
		c.Value += fmt.Sprintf(" (%.1f GB free)", free/1e9)
		if free < 1e9 {
			c.Status, c.Fix = Warning, "free some disk, or set XDG_CACHE_HOME to a folder with room: the plugin takes 330 MB while it is installed"
		}
	}
	return c
}

// programCache tells what is kept of compiled programs, for the backend that was opened.
func programCache() Check {
	info := backend.ProgramCacheInfo()
	c := Check{Name: "programs", Status: OK, Value: fmt.Sprintf("%s: %d compiled, %.1f of at most %.1f MB (godcpt doctor --clear-cache removes them)",
		info.Dir, info.Programs, float64(info.Bytes)/1e6, float64(info.Limit)/1e6)}
	if info.Off != "" {
		c.Value = "not kept: " + info.Off
	}
	return c
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
