package backend

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/godcpt/godcpt/internal/atomicfile"
)

// NoProgramCacheEnv names the environment variable that turns the cache of compiled programs off
// when it is set to anything but "" and "0".
const NoProgramCacheEnv = "GODCPT_NO_PROGRAM_CACHE"

// ProgramsDirEnv names the environment variable of the folder for compiled programs, which must belong to
// this user alone. Without it they are kept beside the folder of the plugins.
const ProgramsDirEnv = "GODCPT_PROGRAMS_DIR"

const (
	// programLimit bounds the folder. A training step of a large network takes some 20 MB.
	programLimit = 2 << 30
	// worthKeeping is the time to compile from which a program is kept: below it, loading is no faster.
	worthKeeping = 100 * time.Millisecond
	programExt   = ".program"
	// programFormat changes when older files must not be read any more.
	programFormat = "godcpt program 1"
)

// ProgramStats counts what this process, or a child for it, compiled on XLA's CPU plugin, and what it
// loaded instead, because it or another process had compiled it before. Other plugins count nothing.
type ProgramStats struct {
	Compiled, Loaded      int
	CompileTime, LoadTime time.Duration // sums; calls at the same time count each
}

// Programs returns the counts of this process so far.
func Programs() ProgramStats {
	programs.mu.Lock()
	defer programs.mu.Unlock()
	return programs.stats
}

// ProgramCache describes the cache of compiled programs.
type ProgramCache struct {
	Dir      string // "" where there is no folder for it
	Programs int
	Bytes    int64
	Limit    int64  // bytes
	Off      string // why it is not used; "" if it is
}

// ProgramCacheInfo describes the cache and whether this process uses it, for the plugin that it opened.
func ProgramCacheInfo() ProgramCache {
	programs.mu.Lock()
	info := ProgramCache{Dir: programs.dir, Off: programs.off, Limit: programLimit}
	programs.mu.Unlock()
	if info.Dir == "" {
		info.Dir, _ = programFolder() // Off tells why there is none
	}
	for _, f := range programFiles(info.Dir) {
		info.Programs++ // one that is being written counts, too
		info.Bytes += f.Size()
	}
	return info
}

// ClearProgramCache removes all compiled programs and returns how many there were.
func ClearProgramCache() (removed int, err error) {
	dir, err := programFolder()
	if err != nil {
		return 0, err
	}
	for _, f := range programFiles(dir) {
		if err := os.Remove(filepath.Join(dir, f.Name())); err != nil && !errors.Is(err, os.ErrNotExist) {
			return removed, fmt.Errorf("cannot empty the cache of compiled programs: %w", err)
		}
		removed++
	}
	return removed, nil
}

// programFolder is where programs are kept.
func programFolder() (string, error) {
	if dir := os.Getenv(ProgramsDirEnv); dir != "" {
		return dir, nil
	}
	dir, err := CacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(filepath.Dir(dir), "programs"), nil
}

// programDir returns the folder and why the cache is off, if it is; the folder may not exist yet.
func programDir() (dir, off string) {
	dir, err := programFolder()
	if err != nil {
		return "", err.Error()
	}
	switch flags := os.Getenv("XLA_FLAGS"); {
	case isSet(NoProgramCacheEnv):
		off = NoProgramCacheEnv + " is set"
	case strings.Contains(flags, "--xla_dump"):
		off = "XLA_FLAGS asks for dumps, which only compiling writes"
	}
	return dir, off
}

// isSet tells whether an environment variable that forbids something does.
func isSet(name string) bool {
	v := os.Getenv(name)
	return v != "" && v != "0"
}

// programs is the cache that the compilations of this process use.
var programs = programCache{off: "no XLA plugin is open"}

// programCache keeps compiled programs in files, for the processes of one user. A file is machine code
// that the process runs: it is only read from a folder and a file that nobody else can write to, and
// only as a whole. Its name is the hash of everything that the compiler's result depends on.
type programCache struct {
	mu     sync.Mutex
	dir    string
	off    string // why it is not used
	limit  int64  // bytes
	least  time.Duration
	plugin []byte // hash of plugin, machine and settings
	log    io.Writer
	noted  bool // a failure was reported
	stats  ProgramStats
}

// start begins to use the cache for a plugin, or says in Off why not.
func (c *programCache) start(plugin string, log io.Writer) {
	dir, off := programDir()
	var environment []byte
	if off == "" {
		var err error
		if environment, err = environmentHash(plugin); err == nil {
			err = privateDir(dir)
		}
		if err != nil {
			off = err.Error()
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dir, c.off, c.limit, c.least, c.plugin, c.log = dir, off, programLimit, worthKeeping, environment, log
}

// stop says that the cache is not used, and why.
func (c *programCache) stop(why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.off = why
}

// settings are a copy of what read, wants and write need.
func (c *programCache) settings() (dir string, on bool, limit int64, least time.Duration, plugin []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dir, c.off == "", c.limit, c.least, c.plugin
}

// environmentHash is a hash of what the compiler's result depends on, besides the program and its
// options: our format, the plugin, the processor with the number of threads (XLA divides the work of a
// program among them when it compiles it), and the settings of XLA in the environment.
func environmentHash(plugin string) ([]byte, error) {
	path, err := filepath.EvalSymlinks(plugin)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	cpu, err := processor()
	if err != nil {
		return nil, fmt.Errorf("the processor is not known: %w", err)
	}
	parts := [][]byte{
		[]byte(programFormat),
		fmt.Appendf(nil, "%s %d %d", path, info.Size(), info.ModTime().UnixNano()),
		fmt.Appendf(nil, "%s %s %d", runtime.GOOS, runtime.GOARCH, runtime.NumCPU()),
		cpu,
	}
	settings, err := compilerSettings(os.Environ())
	if err != nil {
		return nil, err
	}
	return hashOf(append(parts, settings...)...), nil
}

// compilerSettings are the variables of the environment that XLA reads, sorted, and the file that
// XLA_FLAGS may name instead of flags.
func compilerSettings(environ []string) ([][]byte, error) {
	var settings [][]byte
	for _, v := range slices.Sorted(slices.Values(environ)) {
		name, value, _ := strings.Cut(v, "=")
		if name != "NPROC" && !slices.ContainsFunc([]string{"XLA_", "TF_", "PJRT_NPROC"}, func(prefix string) bool { return strings.HasPrefix(name, prefix) }) {
			continue
		}
		settings = append(settings, []byte(v))
		if value = strings.TrimSpace(value); name == "XLA_FLAGS" && value != "" && !strings.HasPrefix(value, "-") {
			flags, err := os.ReadFile(value)
			if err != nil {
				return nil, fmt.Errorf("XLA_FLAGS names a file: %w", err)
			}
			settings = append(settings, flags)
		}
	}
	return settings, nil
}

// hashOf is the SHA-256 of parts, each with its length.
func hashOf(parts ...[]byte) []byte {
	hash := sha256.New()
	for _, p := range parts {
		hash.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(p))))
		hash.Write(p)
	}
	return hash.Sum(nil)
}

// key names a program.
func (c *programCache) key(format, code, options []byte) string {
	_, on, _, _, plugin := c.settings()
	if !on {
		return ""
	}
	before, after := splitModuleName(code)
	return hex.EncodeToString(hashOf(plugin, format, before, after, options))
}

// splitModuleName returns what stands before and after the name of a module in MLIR's text. GoMLX
// numbers the programs of an Exec in it, so that it depends on what was compiled before; the compiler
// only labels its result with it.
func splitModuleName(code []byte) (before, after []byte) {
	prefix := []byte("module @")
	rest, found := bytes.CutPrefix(code, prefix)
	if !found {
		return code, nil
	}
	end := bytes.IndexFunc(rest, func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
	if end < 0 {
		return code, nil
	}
	return prefix, rest[end:]
}

// read returns the program, nil where it is not there, not whole or not safe to run.
func (c *programCache) read(key string) []byte {
	dir, on, _, _, _ := c.settings()
	if !on || key == "" {
		return nil
	}
	data, err := readProgram(filepath.Join(dir, key+programExt), key)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		c.reject(key, err)
		return nil
	}
	// The time of change tells when a program was used last.
	if now := time.Now(); os.Chtimes(filepath.Join(dir, key+programExt), now, now) != nil {
		return data // a folder that cannot be written to serves, too
	}
	return data
}

// readProgram reads and checks a file of write.
func readProgram(path, key string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := privateFile(f); err != nil {
		return nil, err
	}
	content, err := io.ReadAll(f)
	if err != nil {
		return nil, err
	}
	if len(content) <= sha256.Size || !bytes.Equal(content[:sha256.Size], hashOf([]byte(key), content[sha256.Size:])) {
		return nil, fmt.Errorf("%s is damaged", path)
	}
	return content[sha256.Size:], nil
}

// wants tells whether a program that took so long to compile is to be kept.
func (c *programCache) wants(key string, took time.Duration) bool {
	_, on, _, least, _ := c.settings()
	return on && key != "" && took >= least
}

// write keeps a program, and makes room by removing those that were not used for the longest time.
func (c *programCache) write(key string, data []byte) error {
	dir, _, limit, _, _ := c.settings()
	if int64(len(data)) > limit {
		return nil
	}
	err := atomicfile.Write(filepath.Join(dir, key+programExt), 0o600, func(w io.Writer) error {
		if _, err := w.Write(hashOf([]byte(key), data)); err != nil {
			return err
		}
		_, err := w.Write(data)
		return err
	})
	if err != nil {
		return err
	}
	removeOldest(dir, limit)
	return nil
}

// removeOldest removes files until the folder is within its limit, those first that were not used for
// the longest time, and what killed processes left. Other processes may do the same.
func removeOldest(dir string, limit int64) {
	files := programFiles(dir)
	slices.SortFunc(files, func(a, b os.FileInfo) int { return b.ModTime().Compare(a.ModTime()) })
	var total int64
	for _, f := range files {
		unfinished := strings.HasPrefix(f.Name(), ".")
		if unfinished && time.Since(f.ModTime()) < time.Hour {
			continue // another process is writing it
		}
		if total += f.Size(); total > limit || unfinished {
			os.Remove(filepath.Join(dir, f.Name())) // gone already, or it stays until the next time
		}
	}
}

// programFiles are the programs in dir, and what processes that were killed left of some.
func programFiles(dir string) []os.FileInfo {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var files []os.FileInfo
	for _, e := range entries {
		if !strings.Contains(e.Name(), programExt) {
			continue
		}
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			files = append(files, info)
		}
	}
	return files
}

// reject removes a program that cannot be used, so that it is replaced.
func (c *programCache) reject(key string, reason error) {
	dir, _, _, _, _ := c.settings()
	if err := os.Remove(filepath.Join(dir, key+programExt)); err != nil {
		reason = errors.Join(reason, err)
	}
	c.fail(reason)
}

// fail reports the first failure; the program is compiled, as without a cache.
func (c *programCache) fail(reason error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.noted {
		fmt.Fprintf(c.log, "godcpt: the cache of compiled programs: %v (compiling instead)\n", reason)
	}
	c.noted = true
}

func (c *programCache) compiled(took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Compiled++
	c.stats.CompileTime += took
}

func (c *programCache) loaded(took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Loaded++
	c.stats.LoadTime += took
}
