package netbench

import (
	"sync"
	"time"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/shapes"
)

// meter is a backend that notes what programs cost until they can run.
type meter struct {
	compute.Backend
	mu   sync.Mutex
	cost programCost
}

// programCost is what the programs of a process cost so far.
type programCost struct {
	build, compile time.Duration // of all programs
	operations     int           // of the one that was compiled last, in the graph as it was built
}

// IsCPU tells what the inner backend tells, for layers choose their form by it.
func (m *meter) IsCPU() bool {
	device, ok := m.Backend.(interface{ IsCPU() bool })
	return !ok || device.IsCPU()
}

// Builder begins a program.
func (m *meter) Builder(name string) compute.Builder {
	return &meteredBuilder{Builder: m.Backend.Builder(name), meter: m, begun: time.Now()}
}

func (m *meter) programs() programCost {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cost
}

type meteredBuilder struct {
	compute.Builder
	meter      *meter
	begun      time.Time
	operations int
}

// OpShape counts the operations: GoMLX asks for the shape of each that it adds.
func (b *meteredBuilder) OpShape(op compute.Value) (shapes.Shape, error) {
	b.operations++
	return b.Builder.OpShape(op)
}

// Compile compiles the program and notes how long building it and compiling it took.
func (b *meteredBuilder) Compile() (compute.Executable, error) {
	built := time.Now()
	executable, err := b.Builder.Compile()
	b.meter.mu.Lock()
	defer b.meter.mu.Unlock()
	b.meter.cost.build += built.Sub(b.begun)
	b.meter.cost.compile += time.Since(built)
	b.meter.cost.operations = b.operations
	if err != nil {
		return nil, err
	}
	return &meteredExecutable{executable, b.meter}, nil
}

// meteredExecutable and meteredBuffer are here for one thing: what a program returns must belong to the
// backend that was asked to run it, since GoMLX refuses tensors of another one.
type meteredExecutable struct {
	compute.Executable
	meter *meter
}

type meteredBuffer struct {
	compute.Buffer
	meter *meter
}

// Backend is the meter.
func (b *meteredBuffer) Backend() compute.Backend { return b.meter }

// Execute runs the program on the buffers that the inner backend knows.
func (e *meteredExecutable) Execute(inputs []compute.Buffer, donate []bool, device compute.DeviceNum) ([]compute.Buffer, error) {
	inner := make([]compute.Buffer, len(inputs))
	for i, input := range inputs {
		inner[i] = input
		if metered, ok := input.(*meteredBuffer); ok {
			inner[i] = metered.Buffer
		}
	}
	outputs, err := e.Executable.Execute(inner, donate, device)
	for i := range outputs {
		outputs[i] = &meteredBuffer{outputs[i], e.meter}
	}
	return outputs, err
}
