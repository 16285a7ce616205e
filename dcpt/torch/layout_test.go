package torch

import (
	"slices"
	"testing"
)

// TestLayout checks where each element goes: the values of a weight in our layout count up.
func TestLayout(t *testing.T) {
	for _, c := range []struct {
		ours, torch []int
		moved       []float32 // in PyTorch's layout
	}{
		{nil, nil, []float32{0}},
		{[]int{3}, []int{3}, []float32{0, 1, 2}},
		{[]int{2, 3}, []int{3, 2}, []float32{0, 3, 1, 4, 2, 5}},
		{[]int{3, 1, 1}, []int{3, 1, 1}, []float32{0, 1, 2}},
		// [kh, kw, in, out] to [out, in, kh, kw]
		{[]int{1, 2, 2, 3}, []int{3, 2, 1, 2}, []float32{0, 6, 3, 9, 1, 7, 4, 10, 2, 8, 5, 11}},
		// [1, components, h, w, channels] to [1, components, channels, h, w]
		{[]int{1, 2, 1, 2, 3}, []int{1, 2, 3, 1, 2}, []float32{0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11}},
	} {
		values := make([]float32, len(c.moved))
		for i := range values {
			values[i] = float32(i)
		}
		moved, dims, err := ToTorch(values, c.ours)
		if err != nil || !slices.Equal(moved, c.moved) || !slices.Equal(dims, c.torch) {
			t.Errorf("ToTorch of %v: %v %v (%v), want %v %v", c.ours, dims, moved, err, c.torch, c.moved)
		}
		back, dims, err := FromTorch(c.moved, c.torch)
		if err != nil || !slices.Equal(back, values) || !slices.Equal(dims, c.ours) {
			t.Errorf("FromTorch of %v: %v %v (%v), want %v %v", c.torch, dims, back, err, c.ours, values)
		}
	}
	if _, _, err := ToTorch(make([]float32, 1), make([]int, 6)); err == nil {
		t.Error("rank 6 was converted to PyTorch")
	}
	if _, _, err := FromTorch(make([]float32, 1), make([]int, 6)); err == nil {
		t.Error("rank 6 was converted from PyTorch")
	}
}

func TestNames(t *testing.T) {
	if got := Name("/encoders/0/0/conv1/weight"); got != "encoders.0.0.conv1.weight" {
		t.Errorf("Name gives %q", got)
	}
	if got := Path("encoders.0.0.conv1.weight"); got != "encoders/0/0/conv1/weight" {
		t.Errorf("Path gives %q", got)
	}
}
