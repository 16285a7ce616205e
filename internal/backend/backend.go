// Package backend opens the GoMLX backend that everything in this module computes on: the command
// line, the tests and the notebooks all call Open.
//
// Open honours GOMLX_BACKEND. Without it, it looks for an XLA plugin (PJRT: a shared library, CUDA
// where there is an NVIDIA GPU, else CPU), installs the CPU plugin if there is none, and falls back
// to GoMLX's pure Go backend, which needs nothing and is slow.
package backend

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/gobackend"
)

// NoInstallEnv names the environment variable that forbids installing plugins when it is set to
// anything but "" and "0".
const NoInstallEnv = "GODCPT_NO_INSTALL"

// xlaNames are the names under which go-xla registers its backend, that is, the values of
// GOMLX_BACKEND (before the colon) that ask for XLA.
var xlaNames = []string{"xla", "stablehlo", "hlo", "shlo"}

// Options of Open. The zero value is what everybody wants.
type Options struct {
	// InstallCUDA installs the CUDA plugin and NVIDIA's libraries (some gigabytes) if there is an
	// NVIDIA GPU and no such plugin.
	InstallCUDA bool
	// NoInstall forbids installing, like NoInstallEnv.
	NoInstall bool
	// Log receives download progress and Backend.Notes; nil means standard error.
	Log io.Writer
	// HoldNotes keeps Backend.Notes out of Log, for a caller that shows them itself.
	HoldNotes bool
}

// Backend is an open compute backend and how it was found. Pass the embedded compute.Backend to
// GoMLX.
type Backend struct {
	compute.Backend

	// Kind is "xla:cpu", "xla:cuda", "go" …: the backend and, for XLA, the plugin.
	Kind string
	// PluginPath is the file of the XLA plugin, "" for other backends.
	PluginPath string
	// PJRTVersion is the version of the plugin's interface, as "0.81"; "" for other backends.
	PJRTVersion string
	// Source says why this backend was taken, for people.
	Source string
	// Fallback tells that this is the pure Go backend because XLA cannot be used.
	Fallback bool
	// Devices describes each device, in GoMLX's order.
	Devices []string
	// Notes tells the user what is worth knowing: why XLA is not used, that a GPU lies idle, that
	// a broken plugin was passed over. Open has written them to Options.Log, unless HoldNotes is set.
	Notes []string
}

// Open opens the backend. Its order: the backend that GOMLX_BACKEND names; an XLA plugin in
// PJRT_PLUGIN_LIBRARY_PATH, in go-xla's folders or in our cache; an XLA plugin installed now; the
// pure Go backend. A backend that GOMLX_BACKEND names is never replaced by another one: if it
// cannot be opened, that is the error.
//
// Each call creates a new client of the devices: a process opens one and passes it on. Open may
// take minutes when it has to install the plugin (63 MB for the CPU).
func Open(opts Options) (*Backend, error) {
	if opts.Log == nil {
		opts.Log = os.Stderr
	}
	if isSet(NoInstallEnv) {
		opts.NoInstall = true
	}
	o := &opener{Options: opts, installer: newInstaller(opts.Log)}
	b, err := o.open(strings.TrimSpace(os.Getenv(compute.ConfigEnvVar)))
	if err != nil {
		return nil, err
	}
	b.Notes = o.notes
	if !opts.HoldNotes {
		for _, note := range b.Notes {
			fmt.Fprintln(opts.Log, "godcpt:", note)
		}
	}
	for i := range b.NumDevices() {
		b.Devices = append(b.Devices, b.DeviceDescription(compute.DeviceNum(i)))
	}
	return b, nil
}

// opener is one call of Open.
type opener struct {
	Options
	installer *installer
	notes     []string
}

func (o *opener) note(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !slices.Contains(o.notes, text) {
		o.notes = append(o.notes, text)
	}
}

func (o *opener) open(config string) (*Backend, error) {
	name, rest, _ := strings.Cut(config, ":")
	switch {
	case config == "":
		b, err := o.openXLA("", "")
		if err != nil {
			return o.openFallback(err)
		}
		return b, nil
	case slices.Contains(xlaNames, name):
		kind, options, hasOptions := strings.Cut(rest, ",")
		if hasOptions {
			options = "," + options
		}
		b, err := o.openXLA(kind, options)
		if err != nil {
			return nil, fmt.Errorf("cannot open the backend that %s=%s asks for: %w", compute.ConfigEnvVar, config, err)
		}
		return b, nil
	case slices.Contains(compute.List(), name):
		be, err := compute.NewWithConfig(config)
		if err != nil {
			return nil, fmt.Errorf("cannot open the backend that %s=%s asks for: %w", compute.ConfigEnvVar, config, err)
		}
		return &Backend{Backend: be, Kind: name, Source: compute.ConfigEnvVar + "=" + config}, nil
	default:
		known := compute.List()
		slices.Sort(known)
		return nil, fmt.Errorf("%s=%s names no backend of this program: it has %s (unset the variable to let the program choose)",
			compute.ConfigEnvVar, config, strings.Join(known, ", "))
	}
}

// openFallback opens the pure Go backend and says why XLA is not used and what that costs.
func (o *opener) openFallback(reason error) (*Backend, error) {
	be, err := gobackend.New("")
	if err != nil {
		return nil, fmt.Errorf("cannot open the pure Go backend: %w", err)
	}
	o.note("XLA cannot be used: %v\nUsing the pure Go backend: same results, but %s slower at restoring with a NAFNet. `godcpt doctor` shows what to do about it.", reason, goSlowdown)
	return &Backend{Backend: be, Kind: gobackend.BackendName, Source: "XLA cannot be used", Fallback: true}, nil
}

// openXLA opens the XLA plugin of a kind ("cpu", "cuda" …; "" for the best one; or the path of a
// plugin), with go-xla's options (",tf32=false" …).
func (o *opener) openXLA(kind, options string) (*Backend, error) {
	if !xlaSupported {
		return nil, errors.New("this program was built without XLA: it needs Linux (x86-64, arm64), macOS (arm64) or Windows (x86-64), and a C compiler when building")
	}
	if filepath.IsAbs(kind) {
		return load(plugin{kind: pluginKind(kind), path: kind, source: compute.ConfigEnvVar}, options, o.Log)
	}
	if o.InstallCUDA {
		if err := o.installCUDA(); err != nil {
			o.note("the CUDA plugin was not installed: %v", err)
		}
	}
	kinds := []string{kind}
	if kind == "" {
		kinds = defaultKinds()
	}
	var failed []error
	for _, k := range kinds {
		found, ignored := find(k)
		for _, text := range ignored {
			o.note("passed over a plugin: %s", text)
		}
		for _, p := range found {
			b, err := load(p, options, o.Log)
			if err == nil {
				for _, err := range failed {
					o.note("%v", err)
				}
				return b, nil
			}
			failed = append(failed, fmt.Errorf("the plugin %s does not work: %w", p.path, err))
		}
		if k == "cuda" && len(found) == 0 && kind == "" {
			o.note("an NVIDIA GPU is present, but the CUDA plugin is not installed: `godcpt doctor --install-cuda` installs it (some gigabytes)")
		}
	}
	switch {
	case len(failed) > 0:
		return nil, errors.Join(failed...)
	case kind == "cuda":
		return nil, errors.New("the CUDA plugin is not installed: `godcpt doctor --install-cuda` installs it (some gigabytes)")
	case kind != "" && kind != "cpu":
		return nil, fmt.Errorf("no XLA plugin %q found in %s", kind, strings.Join(folderPaths(), ", "))
	case o.NoInstall:
		return nil, fmt.Errorf("no XLA plugin is installed, and installing is forbidden (%s)", NoInstallEnv)
	}
	p, err := o.installer.installCPU()
	if err != nil {
		return nil, err
	}
	b, err := load(p, options, o.Log)
	if err != nil {
		return nil, fmt.Errorf("the plugin %s, just installed, does not work: %w", p.path, err)
	}
	return b, nil
}

// installCUDA installs the CUDA plugin if there is a GPU for it and it is not there yet.
func (o *opener) installCUDA() error {
	if o.NoInstall {
		return fmt.Errorf("installing is forbidden (%s)", NoInstallEnv)
	}
	if !HasNVIDIA() {
		return errors.New("no NVIDIA GPU was found (no /dev/nvidia*, and nvidia-smi lists none)")
	}
	if found, _ := find("cuda"); len(found) > 0 {
		return nil
	}
	return o.installer.installCUDA()
}

// defaultKinds are the plugins to look for when none is asked for, best first.
func defaultKinds() []string {
	if HasNVIDIA() {
		return []string{"cuda", "cpu"}
	}
	return []string{"cpu"}
}

// firstLine drops the stack trace that go-xla's errors print in some formats, and its multi-line
// advice about packages to import, which is not for users of this program.
func firstLine(err error) error {
	text, _, _ := strings.Cut(err.Error(), "\n")
	return errors.New(text)
}
