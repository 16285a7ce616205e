//go:build !unix

package backend

import (
	"errors"
	"os"
)

// privateDir makes dir; the temporary folder of these systems belongs to the user anyway.
func privateDir(dir string) error { return os.MkdirAll(dir, 0o700) }

// privateFile is not needed where no programs are kept: see interpose_other.go.
func privateFile(*os.File) error { return errors.ErrUnsupported }
