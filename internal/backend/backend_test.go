package backend

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/gomlx/compute"
)

const printTunablesEnv = "GODCPT_TEST_PRINT_TUNABLES"

func TestMain(m *testing.M) {
	CompileIfChild()
	if os.Getenv(printTunablesEnv) != "" {
		if err := ReexecTuned(); err != nil {
			fmt.Println(err)
		}
		on, _ := HugePages()
		fmt.Printf("%d %s %v %q\n", os.Getpid(), os.Getenv(tunablesEnv), on, os.Getenv(reexecEnv))
		return
	}
	os.Exit(m.Run())
}

func TestOpenNamedGo(t *testing.T) {
	isolate(t)
	t.Setenv(compute.ConfigEnvVar, "go")
	var log strings.Builder
	b, err := Open(Options{Log: &log})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Finalize()
	if b.Kind != "go" || b.Fallback || b.PluginPath != "" || len(b.Devices) == 0 || log.Len() != 0 {
		t.Errorf("got %+v, log %q", b, log.String())
	}
}

// Without a plugin and without installing, the program still runs, and says what that costs.
func TestOpenFallback(t *testing.T) {
	isolate(t)
	t.Setenv(NoInstallEnv, "1")
	var log strings.Builder
	b, err := Open(Options{Log: &log})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Finalize()
	if b.Kind != "go" || !b.Fallback {
		t.Errorf("got %+v, want the fallback", b)
	}
	for _, want := range []string{goSlowdown + " slower", "godcpt doctor"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not say %q:\n%s", want, log.String())
		}
	}
}

// What GOMLX_BACKEND asks for is never replaced by something else.
func TestOpenErrors(t *testing.T) {
	tests := []struct{ config, want string }{
		{"gpu", "names no backend of this program: it has go"},
		{"xla", "installing is forbidden"},
		{"xla:cpu", "installing is forbidden"},
		{"xla:cuda,tf32=false", "--install-cuda"},
		{"xla:tpu", `no XLA plugin "tpu" found`},
		{"hlo:/nonexistent/plugin.so", "/nonexistent/plugin.so"},
	}
	for _, test := range tests {
		t.Run(test.config, func(t *testing.T) {
			isolate(t)
			if !xlaSupported && test.config != "gpu" {
				t.Skip("built without XLA")
			}
			t.Setenv(compute.ConfigEnvVar, test.config)
			b, err := Open(Options{NoInstall: true, Log: io.Discard})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, error %v, want %q", b, err, test.want)
			}
		})
	}
}

func TestOpenPassesOverBrokenPlugin(t *testing.T) {
	if !xlaSupported || runtime.GOOS != "linux" {
		t.Skip("plugins are checked before loading on Linux only")
	}
	home := isolate(t)
	t.Setenv("PJRT_PLUGIN_LIBRARY_PATH", home)
	if err := os.WriteFile(filepath.Join(home, pluginFile), fakeLibrary(t)[:900], 0o755); err != nil {
		t.Fatal(err)
	}
	b, err := Open(Options{NoInstall: true, Log: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Finalize()
	if !b.Fallback || !strings.Contains(strings.Join(b.Notes, "\n"), "is cut off") {
		t.Errorf("got %+v, want the fallback and a note about the plugin", b)
	}
}

// realPlugin returns the plugin for the CPU that is installed on this machine.
func realPlugin(t *testing.T) plugin {
	t.Helper()
	found, _ := find("cpu")
	if !xlaSupported || len(found) == 0 {
		t.Skip("no XLA plugin is installed (./scripts/setup installs it)")
	}
	return found[0]
}

// go-xla guesses the kind of a plugin from its whole path and splits the path at commas.
func TestOpenUnderMisleadingNames(t *testing.T) {
	real := realPlugin(t)
	for _, name := range []string{"plain", "nvidia", "my cuda, and more"} {
		t.Run(name, func(t *testing.T) {
			if runtime.GOOS != "linux" && name != "plain" {
				t.Skip("only Linux offers another path of a folder")
			}
			home := isolate(t)
			dir := filepath.Join(home, name)
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(real.path, filepath.Join(dir, pluginFile)); err != nil {
				t.Skipf("no symbolic links here: %v", err)
			}
			t.Setenv("PJRT_PLUGIN_LIBRARY_PATH", dir)
			t.Setenv(compute.ConfigEnvVar, "xla:cpu")
			b, err := Open(Options{Log: io.Discard, NoInstall: true})
			if err != nil {
				t.Fatal(err)
			}
			defer b.Finalize()
			if b.Kind != "xla:cpu" || b.PluginPath != filepath.Join(dir, pluginFile) || !b.HasSharedBuffers() {
				t.Errorf("got kind %q, plugin %q, shared buffers %v", b.Kind, b.PluginPath, b.HasSharedBuffers())
			}
			if major, minor, ok := strings.Cut(b.PJRTVersion, "."); !ok || major == "" || minor == "" {
				t.Errorf("PJRT version %q, want major.minor", b.PJRTVersion)
			}
			if len(b.Devices) == 0 || len(b.Devices) != b.NumDevices() {
				t.Errorf("devices %v, want %d", b.Devices, b.NumDevices())
			}
		})
	}
}

func TestFindOrder(t *testing.T) {
	home := isolate(t)
	library := fakeLibrary(t)
	put := func(parts ...string) string {
		t.Helper()
		path := filepath.Join(append([]string{home}, parts...)...)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, library, 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	if runtime.GOOS != "linux" {
		t.Skip("the folders are those of Linux")
	}
	cache := put("cache", "godcpt", "pjrt", "pjrt_c_api_cpu_plugin.so")
	old := put(".local", "lib", "go-xla", "pjrt_c_api_cpu_v0.98.0_plugin.so")
	newer := put(".local", "lib", "go-xla", "pjrt_c_api_cpu_v0.114.0_plugin.so")
	plain := put(".local", "lib", "go-xla", "pjrt_c_api_cpu_plugin.so")
	named := put("mine", "pjrt-plugin-cpu.so")
	cuda := put(".local", "lib", "go-xla", "nvidia", "pjrt_c_api_cuda_plugin.so")
	t.Setenv("PJRT_PLUGIN_LIBRARY_PATH", filepath.Join(home, "mine"))
	paths := func(kind string) []string {
		found, ignored := find(kind)
		if len(ignored) > 0 {
			t.Errorf("%s: ignored %v", kind, ignored)
		}
		var list []string
		for _, p := range found {
			list = append(list, p.path)
		}
		return list
	}
	if got, want := fmt.Sprint(paths("cpu")), fmt.Sprint([]string{named, plain, newer, old, cache}); got != want {
		t.Errorf("cpu: got %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(paths("cuda")), fmt.Sprint([]string{cuda}); got != want {
		t.Errorf("cuda: got %s, want %s", got, want)
	}
}

func TestPluginKind(t *testing.T) {
	for name, want := range map[string]string{
		"/a/pjrt_c_api_cpu_plugin.so":         "cpu",
		"/a/pjrt_c_api_cpu_v0.98.0_plugin.so": "cpu",
		"/cpu/pjrt_c_api_cuda_plugin.so":      "cuda",
		"/a/pjrt-plugin-tpu.so":               "tpu",
		"/a/xla_cpu_pjrt.so":                  "cpu",
		"/a/libtpu.so":                        "tpu",
		"/a/mine.so":                          "custom",
	} {
		if got := pluginKind(filepath.FromSlash(name)); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func TestCheckPlugin(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("plugins are checked before loading on Linux only")
	}
	whole := fakeLibrary(t)
	other := append([]byte(nil), whole...)
	other[18] = 243 // ELF's number for RISC-V
	for name, test := range map[string]struct {
		content []byte
		want    string
	}{
		"whole":         {whole, ""},
		"cut off":       {whole[:999], "cut off"},
		"empty":         {nil, "not a whole shared library"},
		"text":          {[]byte("<html>error</html>"), "not a whole shared library"},
		"other machine": {other, "EM_RISCV"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), pluginFile)
			if err := os.WriteFile(path, test.content, 0o644); err != nil {
				t.Fatal(err)
			}
			err := checkPlugin(path)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
	if err := checkPlugin(t.TempDir()); err == nil {
		t.Error("a folder passes for a plugin")
	}
}

func TestCacheDirWithoutHome(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("other systems have a cache folder in any case")
	}
	isolate(t)
	t.Setenv("HOME", "")
	t.Setenv("XDG_CACHE_HOME", "")
	t.Setenv("TMPDIR", t.TempDir())
	dir, err := CacheDir()
	if err != nil || !strings.HasPrefix(dir, os.TempDir()) {
		t.Fatalf("got %q, %v", dir, err)
	}
	// Code is loaded from there: not from a folder that others can write to.
	if err := os.Chmod(filepath.Dir(dir), 0o777); err != nil {
		t.Fatal(err)
	}
	if dir, err := CacheDir(); err == nil {
		t.Errorf("%s is taken although anybody can write to it", dir)
	}
}

func TestCUDAForDriver(t *testing.T) {
	for text, want := range map[string]string{
		"NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 19:39:15 UTC 2024\nGCC version: 12\n":               "cuda12",
		"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build  (dvs-builder@x)  Thu Jan 23\n":          "cuda12",
		"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build  (dvs-builder@x)  Sun Jul 27 07:13:55\n": "cuda13",
		"": "cuda13",
	} {
		if got := cudaForDriver(text); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

func TestInstallCUDAWithoutGPU(t *testing.T) {
	isolate(t)
	if HasNVIDIA() || !xlaSupported {
		t.Skip("there is a GPU here, and a test does not install gigabytes")
	}
	var log strings.Builder
	t.Setenv(compute.ConfigEnvVar, "")
	o := &opener{Options: Options{InstallCUDA: true, Log: &log}, installer: testInstaller(io.Discard, "", wheel{})}
	if err := o.installCUDA(); err == nil || !strings.Contains(err.Error(), "no NVIDIA GPU") {
		t.Errorf("error %v, want that there is no GPU", err)
	}
}
