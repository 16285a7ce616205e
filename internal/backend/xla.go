//go:build cgo && !noxla && ((linux && (amd64 || arm64)) || (darwin && arm64) || (windows && amd64))

package backend

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/gomlx/go-xla/compute/xla"
	"github.com/gomlx/go-xla/pjrt"
)

// xlaSupported reports whether this build can use XLA: go-xla is cgo and has plugins for these
// platforms only. The tag noxla leaves it out.
const xlaSupported = true

// load opens an XLA plugin with go-xla's options. What the cache of compiled programs has to say goes
// to log.
func load(p plugin, options string, log io.Writer) (*Backend, error) {
	if err := checkPlugin(p.path); err != nil {
		return nil, err
	}
	path, err := unambiguousPath(p)
	if err != nil {
		return nil, err
	}
	if p.kind != "cpu" && !strings.Contains(options, "shared_buffers") {
		// go-xla turns shared buffers on where "cpu" occurs anywhere in the path.
		options += ",noshared_buffers"
	}
	if err := interpose(p, path); err != nil {
		programs.stop(err.Error())
	} else {
		programs.start(p.path, log)
	}
	be, err := xla.NewWithOptions(path+options, nil)
	if err != nil {
		return nil, firstLine(err)
	}
	b := &Backend{Backend: be, Kind: "xla:" + p.kind, PluginPath: p.path, Source: p.source}
	loaded, err := pjrt.GetPlugin(path)
	if err != nil {
		return nil, firstLine(err)
	}
	major, minor := loaded.Version()
	b.PJRTVersion = fmt.Sprintf("%d.%d", major, minor)
	return b, nil
}

// unambiguousPath returns a path of the plugin from which go-xla guesses its kind rightly: it looks
// for "cuda" and "nvidia" in the whole path (think of /home/nvidia), and splits it at commas.
func unambiguousPath(p plugin) (string, error) {
	dir, name := filepath.Split(p.path)
	comma := strings.Contains(p.path, ",")
	if !comma && (p.kind != "cpu" || !pjrt.IsCUDAName(dir)) {
		return p.path, nil
	}
	alias, err := folderAlias(dir)
	if err != nil {
		return "", fmt.Errorf("go-xla cannot load a plugin from the folder %s, because of its name (%w): move it", dir, err)
	}
	return filepath.Join(alias, name), nil
}
