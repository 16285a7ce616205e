package backend

import (
	"archive/zip"
	"context"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"

	"github.com/godcpt/godcpt/internal/atomicfile"
	"github.com/godcpt/godcpt/internal/download"
)

// The package of OpenXLA's plugin for the CPU on PyPI, and the library inside its wheels.
const (
	wheelPackage    = "xla-cpu-pjrt"
	wheelLibrary    = "xla_plugins/xla_cpu_pjrt/xla_cpu_pjrt.so"
	pluginFile      = "pjrt_c_api_cpu_plugin.so" // the name under which go-xla knows it
	downloadPattern = ".download-*.whl"
)

// wheel is a file of the Python package, pinned by its checksum.
type wheel struct {
	file   string
	sha256 string // hex
}

// wheels are those of xla-cpu-pjrt 0.0.1, by GOOS/GOARCH (glibc 2.27 or newer).
var wheels = map[string]wheel{
	"linux/amd64": {
		file:   "xla_cpu_pjrt-0.0.1-py3-none-manylinux_2_27_x86_64.whl",
		sha256: "55837b6b7b47daa717f2d9a5a03563ea0ceaa338d06a81a1e2d3f060d960decc",
	},
	"linux/arm64": {
		file:   "xla_cpu_pjrt-0.0.1-py3-none-manylinux_2_27_aarch64.whl",
		sha256: "8f613be6e891858f40d64f9799319502fff42689661944fc18a6ffd8210b30c9",
	},
}

func platformWheel() wheel { return wheels[runtime.GOOS+"/"+runtime.GOARCH] }

// installWheel downloads the wheel, verifies it and puts its library into dir; it returns the path
// of the library. The caller holds the lock of dir.
func (in *installer) installWheel(dir string) (string, error) {
	if in.wheel.file == "" {
		return "", fmt.Errorf("%s has no file for %s/%s", wheelPackage, runtime.GOOS, runtime.GOARCH)
	}
	address, err := in.findWheel()
	if err != nil {
		return "", err
	}
	archive, err := in.download(address, dir)
	if err != nil {
		return "", err
	}
	defer os.Remove(archive)
	target := filepath.Join(dir, pluginFile)
	fmt.Fprintln(in.log, "godcpt: unpacking to", target)
	if err := unpackLibrary(archive, target); err != nil {
		return "", err
	}
	return target, nil
}

// findWheel returns the address of the wheel, from the simple index (PEP 503 and 691), which
// PyPI and its mirrors all have.
func (in *installer) findWheel() (*url.URL, error) {
	base, err := url.Parse(strings.TrimSuffix(in.indexURL, "/") + "/" + wheelPackage + "/")
	if err != nil {
		return nil, fmt.Errorf("the address of the Python package index is wrong: %w", err)
	}
	req, err := http.NewRequest(http.MethodGet, base.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/vnd.pypi.simple.v1+json, text/html;q=0.2")
	resp, err := in.client.Do(req)
	if err != nil {
		return nil, download.Explain(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", base.Redacted(), resp.Status)
	}
	const longest = 16 << 20
	body, err := io.ReadAll(io.LimitReader(resp.Body, longest))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", base.Redacted(), err)
	}
	links, err := indexLinks(resp.Header.Get("Content-Type"), body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", base.Redacted(), err)
	}
	for _, link := range links {
		// Relative links are relative to the page that was served, also after a redirect.
		address, err := resp.Request.URL.Parse(link)
		if err == nil && path.Base(address.Path) == in.wheel.file {
			address.Fragment = ""
			return address, nil
		}
	}
	return nil, fmt.Errorf("%s does not list %s", base.Redacted(), in.wheel.file)
}

var anchor = regexp.MustCompile(`(?i)<a\s[^>]*?href\s*=\s*["']([^"']+)["']`)

// indexLinks returns the links to files on a page of a simple index, as JSON or HTML.
func indexLinks(contentType string, body []byte) ([]string, error) {
	var links []string
	if kind, _, _ := mime.ParseMediaType(contentType); strings.HasSuffix(kind, "json") {
		var page struct {
			Files []struct {
				URL string `json:"url"`
			} `json:"files"`
		}
		if err := json.Unmarshal(body, &page); err != nil {
			return nil, fmt.Errorf("not the JSON of a package index: %w", err)
		}
		for _, f := range page.Files {
			links = append(links, f.URL)
		}
		return links, nil
	}
	for _, m := range anchor.FindAllSubmatch(body, -1) {
		links = append(links, html.UnescapeString(string(m[1])))
	}
	return links, nil
}

// download stores the wheel in dir and verifies its checksum. What has arrived of a transfer that
// breaks off is kept for the next one.
func (in *installer) download(address *url.URL, dir string) (string, error) {
	archive := filepath.Join(dir, strings.Replace(downloadPattern, "*", strings.TrimSuffix(in.wheel.file, ".whl"), 1))
	const longest = 1 << 30
	err := download.Get(context.Background(), download.Request{
		URL:       address.String(),
		Path:      archive,
		SHA256:    in.wheel.sha256,
		MaxSize:   longest,
		PlainHTTP: true, // pip's configuration may name an index inside an organisation
		Client:    in.client,
		Backoff:   in.backoff,
		Retry: func(err error) {
			fmt.Fprintf(in.log, "godcpt: the download broke off (%v), trying again\n", err)
		},
	})
	if err != nil {
		return "", err
	}
	return archive, nil
}

// unpackLibrary writes the library in the wheel to target, atomically.
func unpackLibrary(archive, target string) error {
	z, err := zip.OpenReader(archive)
	if err != nil {
		return fmt.Errorf("the wheel cannot be read: %w", err)
	}
	defer z.Close()
	library, err := z.Open(wheelLibrary)
	if err != nil {
		return fmt.Errorf("the wheel holds no %s: %w", wheelLibrary, err)
	}
	defer library.Close()
	return atomicfile.Write(target, 0o755, func(w io.Writer) error {
		_, err := io.Copy(w, library) // verifies the archive's own checksum at the end
		return err
	})
}
