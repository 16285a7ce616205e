package doctor

import (
	"context"
	"fmt"
	"time"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// benchmark is a small operation on tensors of ones, whose result is known.
type benchmark struct {
	name   string
	shapes []shapes.Shape
	build  func(in []*graph.Node) *graph.Node // returns a scalar
	want   float32
	flops  float64 // of one run
}

// The operations that image restoration networks spend their time in: products of matrices (1x1
// convolutions) and 3x3 convolutions.
var benchmarks = []benchmark{
	matmul(512),
	{
		name: "convolution",
		// [N,H,W,C] and [3,3,in,out].
		shapes: []shapes.Shape{shapes.Make(dtypes.Float32, 1, 96, 96, 32), shapes.Make(dtypes.Float32, 3, 3, 32, 32)},
		build: func(in []*graph.Node) *graph.Node {
			return graph.ReduceAllMax(graph.Convolve(in[0], in[1]).PadSame().Done())
		},
		want:  3 * 3 * 32,
		flops: 2 * 96 * 96 * 3 * 3 * 32 * 32,
	},
}

// matmul is the product of two square matrices.
func matmul(side int) benchmark {
	shape := shapes.Make(dtypes.Float32, side, side)
	return benchmark{
		name:   "matmul",
		shapes: []shapes.Shape{shape, shape},
		build:  func(in []*graph.Node) *graph.Node { return graph.ReduceAllMax(graph.Dot(in[0], in[1]).Product()) },
		want:   float32(side),
		flops:  2 * float64(side) * float64(side) * float64(side),
	}
}

// MatMul measures the product of two square matrices of float32.
func MatMul(ctx context.Context, be compute.Backend, side int) (Speed, error) {
	return matmul(side).measure(ctx, be)
}

// measure runs the benchmark on be for a fraction of a second and checks its result.
func (b benchmark) measure(ctx context.Context, be compute.Backend) (Speed, error) {
	exec, err := graph.NewExec(be, b.build)
	if err != nil {
		return Speed{}, err
	}
	defer exec.Finalize()
	var in []any
	for _, shape := range b.shapes {
		ones := make([]float32, shape.Size())
		for i := range ones {
			ones[i] = 1
		}
		t := tensors.FromFlatDataAndDimensions(ones, shape.Dimensions...)
		defer t.FinalizeAll()
		in = append(in, t)
	}
	speed := Speed{Name: b.name}
	const budget, least = 300 * time.Millisecond, 3
	best := time.Duration(0)
	begin := time.Now()
	for run := 0; run <= least || time.Since(begin) < budget; run++ {
		if err := ctx.Err(); err != nil {
			return Speed{}, err
		}
		start := time.Now()
		got, err := b.run(exec, in)
		if err != nil {
			return Speed{}, err
		}
		if got != b.want {
			return Speed{}, fmt.Errorf("computed %g instead of %g", got, b.want)
		}
		switch elapsed := time.Since(start); {
		case run == 0:
			speed.FirstCallSeconds = elapsed.Seconds()
			begin = time.Now()
		case best == 0 || elapsed < best:
			best = elapsed
		}
	}
	speed.GFLOPS = b.flops / 1e9 / best.Seconds()
	return speed, nil
}

// run returns the result of one execution, as read back from the device.
func (b benchmark) run(exec *graph.Exec, in []any) (float32, error) {
	out, err := exec.Call1(in...)
	if err != nil {
		return 0, err
	}
	defer out.FinalizeAll()
	value, err := out.ValueSafe()
	if err != nil {
		return 0, err
	}
	return value.(float32), nil
}
