//go:build !linux && !darwin

package backend

import "errors"

// processor is not needed where no programs are kept: see interpose_other.go.
func processor() ([]byte, error) { return nil, errors.ErrUnsupported }
