package backend

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// plugin is the file of a PJRT plugin.
type plugin struct {
	kind   string // "cpu", "cuda" …
	path   string // absolute
	source string // how it came to be used, for people
}

// folder is a place to look for plugins.
type folder struct{ path, source string }

// folders returns where plugins are looked for, in order: the folders that the user names, those of
// go-xla (so that a plugin installed for another GoMLX program serves here), our cache. go-xla
// itself looks only in its own, and crashes when a file there is broken; hence this search.
func folders() []folder {
	var list []folder
	add := func(source string, paths ...string) {
		for _, p := range paths {
			if abs, err := filepath.Abs(p); err == nil && p != "" {
				list = append(list, folder{abs, source})
			}
		}
	}
	add("found in PJRT_PLUGIN_LIBRARY_PATH", filepath.SplitList(os.Getenv("PJRT_PLUGIN_LIBRARY_PATH"))...)
	var libs []string
	if home, err := os.UserHomeDir(); err == nil {
		switch runtime.GOOS {
		case "darwin":
			libs = append(libs, filepath.Join(home, "Library", "Application Support"))
		case "windows":
			libs = append(libs, filepath.Join(home, "AppData", "Local"))
		default:
			libs = append(libs, filepath.Join(home, ".local", "lib"))
		}
	}
	if runtime.GOOS != "windows" {
		libs = append(libs, "/usr/local/lib")
	}
	for _, lib := range libs {
		goxla := filepath.Join(lib, "go-xla")
		add("found in go-xla's folder", goxla, filepath.Join(goxla, "nvidia"), filepath.Join(lib, "gomlx", "pjrt"))
	}
	for _, p := range filepath.SplitList(os.Getenv("LD_LIBRARY_PATH")) {
		if filepath.IsAbs(p) {
			add("found in LD_LIBRARY_PATH", p)
		}
	}
	if dir, err := CacheDir(); err == nil {
		add("found in GoDCPT's cache", dir)
	}
	return list
}

func folderPaths() []string {
	var paths []string
	for _, f := range folders() {
		paths = append(paths, f.path)
	}
	return paths
}

// find returns the plugins of a kind, best first, and a sentence for each file that looks like one
// and is not.
func find(kind string) (found []plugin, ignored []string) {
	for _, f := range folders() {
		for _, path := range candidates(f.path, kind) {
			if err := checkPlugin(path); err != nil {
				ignored = append(ignored, err.Error())
				continue
			}
			found = append(found, plugin{kind, path, f.source})
		}
	}
	return found, ignored
}

// candidates returns the files in dir that are named like plugins of a kind.
func candidates(dir, kind string) []string {
	ext := sharedLibraryExt()
	var paths []string
	for _, name := range []string{"pjrt_c_api_" + kind + "_plugin", "pjrt_plugin_" + kind, "pjrt-plugin-" + kind} {
		if path := filepath.Join(dir, name+ext); exists(path) {
			paths = append(paths, path)
		}
	}
	versions, _ := filepath.Glob(filepath.Join(dir, "pjrt_c_api_"+kind+"_v*_plugin"+ext))
	// Newest first: a longer name of the same form has a number with more digits.
	slices.SortFunc(versions, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(b, a)
	})
	return append(paths, versions...)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// sharedLibraryExt is the extension of the plugins that go-xla's releases hold (.so on macOS too).
func sharedLibraryExt() string {
	if runtime.GOOS == "windows" {
		return ".dll"
	}
	return ".so"
}

var pluginName = regexp.MustCompile(`^pjrt(?:_c_api|[-_]plugin)[-_](.+?)(?:_v[0-9.]+)?(?:_plugin)?\.(?:so|dylib|dll)$`)

// pluginKind guesses the kind of a plugin from its file name; "custom" if it does not tell.
func pluginKind(path string) string {
	name := filepath.Base(path)
	if m := pluginName.FindStringSubmatch(name); m != nil {
		return m[1]
	}
	for _, kind := range []string{"cpu", "cuda", "rocm", "tpu"} {
		if strings.Contains(strings.ToLower(name), kind) {
			return kind
		}
	}
	return "custom"
}

// checkPlugin returns why the file cannot be a usable plugin. Loading a library that is cut off
// kills the process with SIGBUS, so the segments are compared with the file's size beforehand.
func checkPlugin(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a file", path)
	}
	if runtime.GOOS != "linux" {
		return nil
	}
	f, err := elf.Open(path)
	if errors.Is(err, os.ErrPermission) {
		return err
	}
	if err != nil {
		return fmt.Errorf("%s is not a whole shared library (%w)", path, err)
	}
	defer f.Close()
	machines := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}
	if want, known := machines[runtime.GOARCH]; known && f.Machine != want {
		return fmt.Errorf("%s is built for %v, this machine is %s", path, f.Machine, runtime.GOARCH)
	}
	for _, segment := range f.Progs {
		if end := segment.Off + segment.Filesz; end > uint64(info.Size()) {
			return fmt.Errorf("%s is cut off (%d of %d bytes)", path, info.Size(), end)
		}
	}
	return nil
}
