//go:build cgo && !noxla && ((linux && (amd64 || arm64)) || (darwin && arm64))

package backend

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// Variables of the environment that make this executable something else than tests.
const (
	childLogEnv = "GODCPT_TEST_CHILD_LOG" // a file to which each child adds a line when it starts
	childEndEnv = "GODCPT_TEST_CHILD_END" // how a child ends before it has begun: ChildKilled or ChildFails
	parentEnv   = "GODCPT_TEST_PARENT"    // the plugin that a child is to open
)

// Ways in which a child ends before it has begun.
const (
	ChildKilled = "killed"
	ChildFails  = "fails"
)

func init() {
	switch plugin := os.Getenv(parentEnv); {
	case os.Getenv(childEnv) != "":
		beforeChild()
	case plugin != "":
		fmt.Println(runChild(compileRequest{Plugin: plugin}))
		os.Exit(0)
	}
}

// beforeChild is what a child does before it compiles.
func beforeChild() {
	if path := os.Getenv(childLogEnv); path != "" {
		log, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0) // stays open until the child ends
		if err == nil {
			_, err = fmt.Fprintln(log, os.Getpid())
		}
		if err != nil {
			panic(err)
		}
	}
	switch os.Getenv(childEndEnv) {
	case ChildKilled:
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case ChildFails:
		fmt.Fprintln(os.Stderr, "first words\nlast words")
		os.Exit(3)
	}
}

// UseChildren lets children compile programs from so many bytes of code until the end of the test. The
// children end as end says; "" stands for having compiled. It returns how many were started so far.
func UseChildren(t *testing.T, codeSize int, end string) (started func() int) {
	t.Helper()
	log := filepath.Join(t.TempDir(), "children")
	if err := os.WriteFile(log, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv(childLogEnv, log)
	t.Setenv(childEndEnv, end)
	old := childCodeSize
	childCodeSize = codeSize
	t.Cleanup(func() { childCodeSize = old })
	return func() int {
		lines, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		return bytes.Count(lines, []byte("\n"))
	}
}

// WithoutChildren makes this executable one that has not called CompileIfChild.
func WithoutChildren(t *testing.T) {
	childrenWanted = false
	t.Cleanup(func() { childrenWanted = true })
}

// StopPrograms turns the cache of programs off.
func StopPrograms(t *testing.T) {
	programs.stop(NoProgramCacheEnv + " is set")
	t.Cleanup(func() { programs.stop("") })
}

// InterposedPlugin is the name under which go-xla knows the plugin whose compilations are ours.
func InterposedPlugin() string {
	interposed.Lock()
	defer interposed.Unlock()
	return interposed.paths[0]
}

// A child ends when the process that started it is killed. Opening its plugin, a pipe that nobody writes
// to, keeps it from ending by itself.
func TestChildDiesWithParent(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("other systems do not wait for a pipe that is opened as a library")
	}
	dir := t.TempDir()
	plugin, alive := filepath.Join(dir, "plugin.so"), filepath.Join(dir, "alive")
	for _, path := range []string{plugin, alive} {
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	parent := exec.Command(exe)
	parent.Env = append(os.Environ(), parentEnv+"="+plugin, childLogEnv+"="+alive)
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	open := func(path string, flag int) *os.File {
		f, err := os.OpenFile(path, flag, 0) // returns when the child has opened it, too
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	child := open(alive, os.O_RDONLY)
	open(plugin, os.O_WRONLY) // the child has read the request
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	parent.Wait()
	// Only the child writes to this pipe: it ends with it. The deadline is for a child that lives on.
	child.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := new(bytes.Buffer).ReadFrom(child); err != nil {
		t.Errorf("the child has not ended: %v", err)
	}
}
