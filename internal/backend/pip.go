package backend

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

const defaultIndexURL = "https://pypi.org/simple"

// indexURL returns the Python package index that pip would use here: PIP_INDEX_URL, else the last
// index-url of pip's configuration files, else PyPI.
func indexURL() string {
	if v := strings.TrimSpace(os.Getenv("PIP_INDEX_URL")); v != "" {
		return v
	}
	index := defaultIndexURL
	for _, path := range pipConfigFiles() {
		if text, err := os.ReadFile(path); err == nil {
			if v := pipConfigIndex(string(text)); v != "" {
				index = v
			}
		}
	}
	return index
}

// pipConfigFiles returns the files that pip reads, in the order in which later ones win
// (https://pip.pypa.io/en/stable/topics/configuration/).
func pipConfigFiles() []string {
	var files []string
	if v := os.Getenv("PIP_CONFIG_FILE"); v == os.DevNull {
		return nil // pip's way of saying: none
	} else if v != "" {
		files = append(files, v)
	}
	home, _ := os.UserHomeDir()
	config, _ := os.UserConfigDir()
	switch runtime.GOOS {
	case "windows":
		files = append(files, filepath.Join(os.Getenv("ProgramData"), "pip", "pip.ini"),
			filepath.Join(home, "pip", "pip.ini"), filepath.Join(config, "pip", "pip.ini"))
	case "darwin":
		files = append(files, "/Library/Application Support/pip/pip.conf", filepath.Join(home, ".pip", "pip.conf"),
			filepath.Join(home, ".config", "pip", "pip.conf"), filepath.Join(config, "pip", "pip.conf"))
	default:
		files = append(files, "/etc/xdg/pip/pip.conf", "/etc/pip.conf",
			filepath.Join(home, ".pip", "pip.conf"), filepath.Join(config, "pip", "pip.conf"))
	}
	if env := os.Getenv("VIRTUAL_ENV"); env != "" {
		files = append(files, filepath.Join(env, "pip.conf"))
	}
	return files
}

// pipConfigIndex returns the index-url in the [global] section of a pip configuration file, "" if
// there is none.
func pipConfigIndex(text string) string {
	section := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]") {
			section = strings.ToLower(strings.TrimSpace(line[1 : len(line)-1]))
			continue
		}
		sep := strings.IndexAny(line, "=:")
		if section != "global" || sep < 0 {
			continue
		}
		if key := strings.ReplaceAll(strings.TrimSpace(line[:sep]), "_", "-"); key == "index-url" {
			return strings.TrimSpace(line[sep+1:])
		}
	}
	return ""
}
