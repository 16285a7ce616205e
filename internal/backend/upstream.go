package backend

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"

	goxla "github.com/gomlx/go-xla/installer"

	"github.com/godcpt/godcpt/internal/download"
)

// upstream serialises runUpstream, which borrows two global variables.
var upstream sync.Mutex

// installFromGitHub lets go-xla's installer install the CPU plugin from GoMLX's release on GitHub,
// into go-xla's own folder, where other GoMLX programs find it too. The release has no checksums to
// verify; the transfer is protected by TLS only.
func (in *installer) installFromGitHub() error {
	url := "https://api.github.com/repos/" + goxla.BinaryCPUReleasesRepo + "/releases/latest"
	if err := in.reachable(url); err != nil {
		return err
	}
	return in.runUpstream(func() error {
		return goxla.AutoInstallPlugin("cpu", "", true, goxla.Quiet)
	})
}

// installCUDA lets go-xla's installer install the CUDA plugin and NVIDIA's libraries from PyPI
// (checksums verified by it), into go-xla's own folder.
func (in *installer) installCUDA() error {
	lib, err := goxla.DefaultHomeLibPath()
	if err != nil {
		return fmt.Errorf("no folder to install into (set HOME): %w", err)
	}
	dir := filepath.Join(lib, "go-xla")
	unlock, err := in.lock(dir)
	if err != nil {
		return explain(err, dir)
	}
	defer unlock()
	if found, _ := find("cuda"); len(found) > 0 {
		return nil // another process has installed it meanwhile
	}
	version := cudaForDriver(readDriverVersion())
	fmt.Fprintf(in.log, "godcpt: installing the XLA plugin for NVIDIA GPUs (%s) into %s\n", version, dir)
	err = in.runUpstream(func() error { return upstreamCUDA(version, dir) })
	return explain(err, dir)
}

// reachable returns nil if url answers well within in.probe.
func (in *installer) reachable(url string) error {
	ctx, cancel := context.WithTimeout(context.Background(), in.probe)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := in.client.Do(req)
	if err != nil {
		return download.Explain(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", req.URL.Host, resp.Status)
	}
	return nil
}

// runUpstream runs a function of go-xla's installer. That package downloads with
// http.DefaultClient, which waits for ever on a dead connection, and draws a spinner with escape
// codes on standard output, which may be a file or a notebook. So for the duration, the client is
// ours (with our progress on in.log), and standard output is the null device.
func (in *installer) runUpstream(run func() error) error {
	upstream.Lock()
	defer upstream.Unlock()
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	client, stdout := http.DefaultClient, os.Stdout
	http.DefaultClient, os.Stdout = in.client, null
	defer func() { http.DefaultClient, os.Stdout = client, stdout }()
	return run()
}
