//go:build !linux && !darwin

package doctor

import "errors"

// freeBytes is not known on this system.
func freeBytes(string) (float64, error) { return 0, errors.ErrUnsupported }
