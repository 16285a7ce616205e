//go:build linux && cgo

package memory

// #include <stddef.h>
//
// extern int malloc_trim(size_t pad) __attribute__((weak)); // glibc only
//
// static void trim(void) {
//   if (malloc_trim) malloc_trim(0);
// }
import "C"

func trim() { C.trim() }
