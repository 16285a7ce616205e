package torch

import (
	"fmt"
	"strings"
)

// Name turns the path of a weight below its network's scope into its name in a PyTorch state dict:
// "encoders/0/0/conv1/weight" is "encoders.0.0.conv1.weight".
func Name(path string) string { return strings.ReplaceAll(strings.Trim(path, "/"), "/", ".") }

// Path is the inverse of Name.
func Path(name string) string { return strings.ReplaceAll(name, ".", "/") }

// ToTorch converts a weight from our layout to PyTorch's and returns its PyTorch shape:
//
//   - rank 0 and 1, scalars and vectors, stay;
//   - rank 2, matrices [in, out], become [out, in];
//   - rank 3, a factor per attention head [heads, 1, 1], stays;
//   - rank 4, kernels [kh, kw, in, out], become [out, in, kh, kw];
//   - rank 5, prompts [1, components, h, w, channels], become [1, components, channels, h, w].
//
// The weights that stay are returned as they are, not copied.
func ToTorch(values []float32, dims []int) ([]float32, []int, error) {
	switch len(dims) {
	case 2:
		values = transpose(values, 1, dims[0], dims[1])
	case 4:
		values = kernelToTorch(values, dims)
	case 5:
		values = transpose(values, dims[0]*dims[1], dims[2]*dims[3], dims[4])
	}
	shape, err := ShapeToTorch(dims)
	if err != nil {
		return nil, nil, err
	}
	return values, shape, nil
}

// ShapeToTorch returns the PyTorch shape of a weight shaped dims.
func ShapeToTorch(dims []int) ([]int, error) {
	switch len(dims) {
	case 0, 1, 3:
		return dims, nil
	case 2:
		return []int{dims[1], dims[0]}, nil
	case 4:
		return []int{dims[3], dims[2], dims[0], dims[1]}, nil
	case 5:
		return []int{dims[0], dims[1], dims[4], dims[2], dims[3]}, nil
	}
	return nil, fmt.Errorf("no PyTorch layout is known for a weight of rank %d", len(dims))
}

// FromTorch is the inverse of ToTorch; dims is the PyTorch shape.
func FromTorch(values []float32, dims []int) ([]float32, []int, error) {
	switch len(dims) {
	case 0, 1, 3:
		return values, dims, nil
	case 2:
		return transpose(values, 1, dims[0], dims[1]), []int{dims[1], dims[0]}, nil
	case 4:
		return kernelFromTorch(values, dims), []int{dims[2], dims[3], dims[1], dims[0]}, nil
	case 5:
		moved := transpose(values, dims[0]*dims[1], dims[2], dims[3]*dims[4])
		return moved, []int{dims[0], dims[1], dims[3], dims[4], dims[2]}, nil
	}
	return nil, nil, fmt.Errorf("no layout is known for a PyTorch weight of rank %d", len(dims))
}

// transpose swaps the last two axes of [count, rows, columns].
func transpose(values []float32, count, rows, columns int) []float32 {
	out := make([]float32, len(values))
	for i := range count {
		from, to := values[i*rows*columns:], out[i*rows*columns:]
		for r := range rows {
			for c := range columns {
				to[c*rows+r] = from[r*columns+c]
			}
		}
	}
	return out
}

// kernelToTorch moves [taps, in, out] to [out, in, taps], taps being kh*kw.
func kernelToTorch(values []float32, dims []int) []float32 {
	taps, in, out := dims[0]*dims[1], dims[2], dims[3]
	moved := make([]float32, len(values))
	for t := range taps {
		for i := range in {
			for o := range out {
				moved[(o*in+i)*taps+t] = values[(t*in+i)*out+o]
			}
		}
	}
	return moved
}

func kernelFromTorch(values []float32, dims []int) []float32 {
	out, in, taps := dims[0], dims[1], dims[2]*dims[3]
	moved := make([]float32, len(values))
	for t := range taps {
		for i := range in {
			for o := range out {
				moved[(t*in+i)*out+o] = values[(o*in+i)*taps+t]
			}
		}
	}
	return moved
}
