package doctor

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// setupFix is what to do in a checkout of the repository when the notebooks miss something.
const setupFix = "only the notebooks need it: in a checkout of GoDCPT, ./scripts/setup installs it"

// notebooks looks for what the notebooks need: the Go toolchain and goimports (the kernel compiles
// each cell), Jupyter, and the kernel gonb.
func notebooks(dir string) []Check {
	goTool := tool("go", "", dir)
	if goTool.Status != OK {
		goTool.Fix = "only the notebooks need it: install Go 1.26 from https://go.dev/dl"
	}
	return []Check{
		goTool,
		tool("goimports", filepath.Join(dir, ".bin"), dir),
		tool("jupyter", filepath.Join(dir, ".venv", "bin"), dir),
		kernel(dir),
	}
}

// tool looks for a program in a folder of the checkout (if given), then on PATH.
func tool(name, folder, dir string) Check {
	if folder != "" {
		if path, err := exec.LookPath(filepath.Join(folder, name)); err == nil {
			return Check{Name: name, Status: OK, Value: path}
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return Check{name, Warning, "not found on PATH or in the checkout " + absolute(dir), setupFix}
	}
	return Check{Name: name, Status: OK, Value: path}
}

// kernel looks for the kernel spec of gonb where Jupyter does, and for the program it starts.
func kernel(dir string) Check {
	for _, folder := range jupyterDataDirs(dir) {
		spec := filepath.Join(folder, "kernels", "gonb", "kernel.json")
		text, err := os.ReadFile(spec)
		if err != nil {
			continue
		}
		var content struct {
			Argv []string `json:"argv"`
		}
		if err := json.Unmarshal(text, &content); err != nil || len(content.Argv) == 0 {
			return Check{"gonb kernel", Warning, spec + " cannot be read", "remove it and run ./scripts/setup again"}
		}
		if _, err := exec.LookPath(content.Argv[0]); err != nil {
			return Check{"gonb kernel", Warning, fmt.Sprintf("%s starts %s, which does not run: %v", spec, content.Argv[0], err), "remove the kernel and run ./scripts/setup again"}
		}
		return Check{Name: "gonb kernel", Status: OK, Value: spec}
	}
	return Check{"gonb kernel", Warning, "Jupyter has no kernel gonb", setupFix}
}

// jupyterDataDirs returns the folders in which Jupyter looks for kernels
// (https://docs.jupyter.org/en/latest/use/jupyter-directories.html), and the one of scripts/setup.
func jupyterDataDirs(dir string) []string {
	dirs := []string{filepath.Join(dir, ".jupyter")}
	dirs = append(dirs, filepath.SplitList(os.Getenv("JUPYTER_PATH"))...)
	if v := os.Getenv("JUPYTER_DATA_DIR"); v != "" {
		dirs = append(dirs, v)
	} else if home, err := os.UserHomeDir(); err == nil {
		switch runtime.GOOS {
		case "darwin":
			dirs = append(dirs, filepath.Join(home, "Library", "Jupyter"))
		case "windows":
			dirs = append(dirs, filepath.Join(os.Getenv("APPDATA"), "jupyter"))
		default:
			dirs = append(dirs, filepath.Join(home, ".local", "share", "jupyter"))
		}
	}
	dirs = append(dirs, filepath.Join(dir, ".venv", "share", "jupyter"))
	return append(dirs, "/usr/local/share/jupyter", "/usr/share/jupyter")
}

func absolute(dir string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		return abs
	}
	return dir
}
