package dcpt

import (
	"sync"
	"testing"

	"github.com/gomlx/compute"
	_ "github.com/gomlx/compute/gobackend"
	_ "github.com/gomlx/go-xla/compute/xla"
)

var xlaOnce = sync.OnceValues(func() (compute.Backend, error) { return compute.NewWithConfig("xla:cpu") })
var goOnce = sync.OnceValues(func() (compute.Backend, error) { return compute.NewWithConfig("go") })

func xlaBackend(t testing.TB) compute.Backend {
	b, err := xlaOnce()
	must(t, err)
	return b
}
func goBackend(t testing.TB) compute.Backend {
	b, err := goOnce()
	must(t, err)
	return b
}
