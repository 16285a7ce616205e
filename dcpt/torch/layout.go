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

// ToTorch converts a weight from our layout to PyTorch's and returns its PyTorch shape: kernels
// [kh, kw, in, out] become [out, in, kh, kw], matrices [in, out] become [out, in], vectors stay.
func ToTorch(values []float32, dims []int) ([]float32, []int, error) {
	switch len(dims) {
	case 0, 1:
		return values, dims, nil
	case 2:
		return transpose(values, dims[0], dims[1]), []int{dims[1], dims[0]}, nil
	case 4:
		return kernelToTorch(values, dims), []int{dims[3], dims[2], dims[0], dims[1]}, nil
	}
	return nil, nil, fmt.Errorf("no PyTorch layout is known for a weight of rank %d", len(dims))
}

// FromTorch is the inverse of ToTorch; dims is the PyTorch shape.
func FromTorch(values []float32, dims []int) ([]float32, []int, error) {
	switch len(dims) {
	case 0, 1:
		return values, dims, nil
	case 2:
		return transpose(values, dims[0], dims[1]), []int{dims[1], dims[0]}, nil
	case 4:
		return kernelFromTorch(values, dims), []int{dims[2], dims[3], dims[1], dims[0]}, nil
	}
	return nil, nil, fmt.Errorf("no layout is known for a PyTorch weight of rank %d", len(dims))
}

func transpose(values []float32, rows, columns int) []float32 {
	out := make([]float32, len(values))
	for r := range rows {
		for c := range columns {
			out[c*rows+r] = values[r*columns+c]
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
