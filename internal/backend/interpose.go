//go:build cgo && !noxla && ((linux && (amd64 || arm64)) || (darwin && arm64))

package backend

// #cgo LDFLAGS: -ldl
// #include <stdlib.h>
// #include "interpose.h"
import "C"

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"
	"unsafe"

	"github.com/gomlx/go-xla/pjrt"

	"github.com/godcpt/godcpt/internal/memory"
)

// interposed is the plugin whose compilations go through the cache: the first CPU plugin that the
// process opens, as the function that PJRT calls for it is one.
var interposed struct {
	sync.Mutex
	file  string                    // the plugin's, for other processes
	paths []string                  // under which go-xla knows it
	api   *C.struct_godcpt_pjrt_api // the plugin's own table
	table *C.struct_godcpt_pjrt_api // with ours
}

// interpose hands a plugin to go-xla with a table of functions of which ours compiles, through the
// cache of programs. go-xla offers this for plugins that are linked into a program
// (RegisterPreloadedPlugin), and finds it by the path from then on.
//
// Where that cannot be done, it says why, and the plugin can be opened as usual. It is done for the
// CPU only: the cache has not been tried with other plugins, and go-xla sets CUDA's folders up only
// when it opens the plugin itself.
func interpose(p plugin, path string) error {
	if p.kind != "cpu" {
		return fmt.Errorf("compiled programs are kept for XLA on the CPU, not for %s", p.kind)
	}
	interposed.Lock()
	defer interposed.Unlock()
	if slices.Contains(interposed.paths, path) {
		return nil
	}
	api, err := openTable(path) // the same for all paths of a file
	if err != nil {
		return err
	}
	if interposed.api == nil {
		file, err := filepath.EvalSymlinks(p.path)
		if err != nil {
			return err
		}
		table := C.godcpt_interpose(api)
		if table == nil {
			return errors.New("no memory")
		}
		interposed.file, interposed.api, interposed.table = file, api, table
	}
	if api != interposed.api {
		return fmt.Errorf("another plugin is open: %s", interposed.paths)
	}
	if err := pjrt.RegisterPreloadedPlugin(path, uintptr(unsafe.Pointer(interposed.table))); err != nil {
		return firstLine(err)
	}
	interposed.paths = append(interposed.paths, path)
	return nil
}

// openTable opens a plugin and returns its table, if it has all functions that we call.
func openTable(path string) (*C.struct_godcpt_pjrt_api, error) {
	cPath := C.CString(path)
	defer C.free(unsafe.Pointer(cPath))
	api := C.godcpt_open(cPath)
	if api == nil {
		return nil, errors.New("the plugin cannot be opened")
	}
	const lastFunction = C.GODCPT_PJRT_Executable_DeserializeAndLoad
	need := unsafe.Sizeof(*api) + (lastFunction+1)*unsafe.Sizeof(uintptr(0))
	if api.major_version != 0 || uintptr(api.struct_size) < need {
		return nil, fmt.Errorf("the plugin's interface (PJRT %d.%d) is not one that this program knows", api.major_version, api.minor_version)
	}
	return api, nil
}

// leastReleased is how long compiling or loading a program takes for the memory that it took to be given
// back to the system. The allocator would keep it (see settings), beside what runs then take.
const leastReleased = time.Second

// godcptCompile is PJRT_Client_Compile: it loads the program from the cache, or compiles it, in a child
// where that pays, and puts it there. Where the cache or the child fails it only compiles.
//
//export godcptCompile
func godcptCompile(args *C.struct_godcpt_pjrt_compile_args) unsafe.Pointer {
	api := interposed.api
	began := time.Now()
	defer func() {
		if time.Since(began) > leastReleased {
			memory.Release()
		}
	}()
	key := programs.key(
		bytesAt(args.program.format, args.program.format_size),
		bytesAt(args.program.code, args.program.code_size),
		bytesAt(args.compile_options, args.compile_options_size))
	start := time.Now()
	if loadProgram(args, key) {
		programs.loaded(time.Since(start))
		return nil
	}
	start = time.Now()
	if compileInChild(args, key) && loadProgram(args, key) {
		programs.compiled(time.Since(start))
		return nil
	}
	if failed := C.godcpt_compile(api, args); failed != nil {
		return failed
	}
	took := time.Since(start)
	programs.compiled(took)
	if !programs.wants(key, took) {
		return nil
	}
	if err := keepProgram(&programs, api, args.executable, key); err != nil {
		programs.fail(err)
	}
	return nil
}

// loadProgram loads the program from the cache, and tells whether it was there and is of use.
func loadProgram(args *C.struct_godcpt_pjrt_compile_args, key string) bool {
	data := programs.read(key)
	if data == nil {
		return false
	}
	api := interposed.api
	var loaded unsafe.Pointer
	if failed := C.godcpt_load(api, args.client, pointerTo(data), C.size_t(len(data)), &loaded); failed != nil {
		programs.reject(key, takeError(api, failed))
		return false
	}
	args.executable = loaded
	return true
}

// keepProgram puts what was compiled into a cache.
func keepProgram(cache *programCache, api *C.struct_godcpt_pjrt_api, executable unsafe.Pointer, key string) error {
	var serialized C.struct_godcpt_pjrt_serialize_args
	if failed := C.godcpt_serialize(api, executable, &serialized); failed != nil {
		return fmt.Errorf("the plugin does not hand out what it compiled: %w", takeError(api, failed))
	}
	defer C.godcpt_serialized_free(&serialized)
	return cache.write(key, bytesAt(serialized.serialized_bytes, serialized.serialized_bytes_size))
}

// bytesAt is C's memory, not copied.
func bytesAt(data *C.char, size C.size_t) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(data)), int(size))
}

// pointerTo is Go's memory for a call of C.
func pointerTo(data []byte) *C.char { return (*C.char)(unsafe.Pointer(unsafe.SliceData(data))) }

// takeError returns an error of the plugin's and frees it.
func takeError(api *C.struct_godcpt_pjrt_api, failed unsafe.Pointer) error {
	defer C.godcpt_error_free(api, failed)
	var message *C.char
	var size C.size_t
	C.godcpt_error_message(api, failed, &message, &size)
	return errors.New(string(bytesAt(message, size)))
}
