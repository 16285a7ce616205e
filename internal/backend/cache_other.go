//go:build !unix

package backend

import "os"

// privateDir makes dir; the temporary folder of these systems belongs to the user anyway.
func privateDir(dir string) error { return os.MkdirAll(dir, 0o700) }
