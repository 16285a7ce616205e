//go:build cgo && !noxla && ((linux && (amd64 || arm64)) || (darwin && arm64))

package backend

// #include "interpose.h"
import "C"

import (
	"bytes"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"unsafe"
)

// childEnv marks a process that is to compile a program for the one that started it.
const childEnv = "GODCPT_COMPILING_CHILD"

// childCodeSize is the size of the code in bytes from which a program is compiled in a child. Training steps
// have 1.6 MB (nafnet-tiny) to 18 MB; below are programs that run as fast in a heap with the compiler's
// remains, or not often: NAFNet's inference (1 MB), the optimizer's steps.
var childCodeSize = 1 << 20

// drawing is in programs that draw initial weights. They are as long as inference, of which the compiler
// drops all but the drawing, and take 0.2 s: no work for a process of its own.
var drawing = []byte("stablehlo.rng_bit_generator")

// childrenWanted tells that this executable may be started as a child.
var childrenWanted bool

// compileRequest is what a child reads from its standard input: a program, and where it is to put it.
type compileRequest struct {
	Plugin                string
	Format, Code, Options []byte
	Dir, Key              string
	Limit                 int64 // bytes, of Dir
}

// CompileIfChild is to be called first in main. If this process was started as a child that compiles, it
// does that and ends the process. Otherwise it enables children: large programs for XLA on the CPU are then
// compiled by this executable in a process of its own, which leaves them in the cache of programs. The
// compiler would leave the heap in small pieces, and every step that the process then takes would search
// them for its temporaries. Nothing is lost where a child fails: the program is compiled here.
func CompileIfChild() {
	if os.Getenv(childEnv) == "" {
		childrenWanted = true
		return
	}
	if err := compileAsChild(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, err) // the last line is what the parent reports
		os.Exit(1)
	}
	os.Exit(0)
}

// compileAsChild does what it is asked to. It ends the process when its input ends, for then the process
// that asked is gone, however that came.
func compileAsChild(input io.Reader) error {
	var r compileRequest
	if err := gob.NewDecoder(input).Decode(&r); err != nil {
		return fmt.Errorf("no request: %w", err)
	}
	go func() {
		io.Copy(io.Discard, input) // nothing follows the request
		os.Exit(1)
	}()
	api, err := openTable(r.Plugin)
	if err != nil {
		return err
	}
	var client, executable unsafe.Pointer
	if failed := C.godcpt_client(api, &client); failed != nil {
		return takeError(api, failed)
	}
	failed := C.godcpt_compile_code(api, client, pointerTo(r.Format), C.size_t(len(r.Format)), pointerTo(r.Code), C.size_t(len(r.Code)),
		pointerTo(r.Options), C.size_t(len(r.Options)), &executable)
	if failed != nil {
		return takeError(api, failed)
	}
	return keepProgram(&programCache{dir: r.Dir, limit: r.Limit}, api, executable, r.Key)
}

// compileInChild lets a child compile the program and put it into the cache, where that pays; it tells
// whether it did.
func compileInChild(args *C.struct_godcpt_pjrt_compile_args, key string) bool {
	dir, on, limit, _, _ := programs.settings()
	if !childrenWanted || !on || key == "" || int(args.program.code_size) < childCodeSize {
		return false
	}
	const mayWrite = 2
	if syscall.Access(dir, mayWrite) != nil {
		return false // a folder that is only read: what a child compiles would be lost
	}
	code := bytesAt(args.program.code, args.program.code_size)
	if bytes.Contains(code, drawing) {
		return false
	}
	err := runChild(compileRequest{
		Plugin:  interposed.file,
		Format:  bytesAt(args.program.format, args.program.format_size),
		Code:    code,
		Options: bytesAt(args.compile_options, args.compile_options_size),
		Dir:     dir, Key: key, Limit: limit,
	})
	if err != nil {
		programs.fail(err)
	}
	return err == nil
}

// runChild starts a child and waits until it has done what it is asked to. The terminal's Ctrl-C does not
// reach it: the parent decides, and takes the child with it when it ends. The allocator's settings are for
// running, and would make the threads that compile wait for each other.
func runChild(r compileRequest) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	var request bytes.Buffer // a copy, since C's memory may be gone before the child has read it
	if err := gob.NewEncoder(&request).Encode(r); err != nil {
		return err
	}
	cmd := exec.Command(program)
	cmd.Env = append(untuned(), childEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	input, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	go input.Write(request.Bytes()) // fails if the child ends, which says why; it stays open meanwhile
	if _, err := cmd.Output(); err != nil {
		return fmt.Errorf("a process that compiles failed: %w%s", err, lastWords(err))
	}
	return nil
}

// lastWords are what a process that failed wrote last.
func lastWords(err error) string {
	var exit *exec.ExitError
	if !errors.As(err, &exit) || len(exit.Stderr) == 0 {
		return ""
	}
	said := strings.TrimSpace(string(exit.Stderr))
	return ": " + said[strings.LastIndex(said, "\n")+1:]
}
