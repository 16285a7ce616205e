//go:build cgo && !noxla && ((linux && (amd64 || arm64)) || (darwin && arm64))

package backend

// #cgo LDFLAGS: -ldl
// #include <stdlib.h>
// #include "interpose.h"
import "C"

import (
	"errors"
	"fmt"
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
	cPath := C.CString(path)
	defer C.free(unsafe.Pointer(cPath))
	api := C.godcpt_open(cPath) // the same table for all paths of a file
	if api == nil {
		return errors.New("the plugin cannot be opened")
	}
	if interposed.api == nil {
		if err := checkTable(api); err != nil {
			return err
		}
		table := C.godcpt_interpose(api)
		if table == nil {
			return errors.New("no memory")
		}
		interposed.api, interposed.table = api, table
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

// checkTable returns why the functions that we call are not all in a plugin's table.
func checkTable(api *C.struct_godcpt_pjrt_api) error {
	const lastFunction = C.GODCPT_PJRT_Executable_DeserializeAndLoad
	need := unsafe.Sizeof(*api) + (lastFunction+1)*unsafe.Sizeof(uintptr(0))
	if api.major_version != 0 || uintptr(api.struct_size) < need {
		return fmt.Errorf("the plugin's interface (PJRT %d.%d) is not one that this program knows", api.major_version, api.minor_version)
	}
	return nil
}

// leastReleased is how long compiling or loading a program takes for the memory that it took to be given
// back to the system. The allocator would keep it (see settings), beside what runs then take.
const leastReleased = time.Second

// godcptCompile is PJRT_Client_Compile: it loads the program from the cache, or compiles it and puts
// it there. Where the cache fails it only compiles.
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
	if data := programs.read(key); data != nil {
		var loaded unsafe.Pointer
		failed := C.godcpt_load(api, args.client, (*C.char)(unsafe.Pointer(unsafe.SliceData(data))), C.size_t(len(data)), &loaded)
		if failed == nil {
			args.executable = loaded
			programs.loaded(time.Since(start))
			return nil
		}
		programs.reject(key, takeError(api, failed))
		start = time.Now()
	}
	if failed := C.godcpt_compile(api, args); failed != nil {
		return failed
	}
	took := time.Since(start)
	programs.compiled(took)
	if !programs.wants(key, took) {
		return nil
	}
	var serialized C.struct_godcpt_pjrt_serialize_args
	if failed := C.godcpt_serialize(api, args.executable, &serialized); failed != nil {
		programs.fail(fmt.Errorf("the plugin does not hand out what it compiled: %w", takeError(api, failed)))
		return nil
	}
	defer C.godcpt_serialized_free(&serialized)
	programs.write(key, bytesAt(serialized.serialized_bytes, serialized.serialized_bytes_size))
	return nil
}

// bytesAt is C's memory, not copied.
func bytesAt(data *C.char, size C.size_t) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(data)), int(size))
}

// takeError returns an error of the plugin's and frees it.
func takeError(api *C.struct_godcpt_pjrt_api, failed unsafe.Pointer) error {
	defer C.godcpt_error_free(api, failed)
	var message *C.char
	var size C.size_t
	C.godcpt_error_message(api, failed, &message, &size)
	return errors.New(string(bytesAt(message, size)))
}
