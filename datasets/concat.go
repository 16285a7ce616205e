package datasets

import (
	"errors"
	"fmt"
	"slices"
)

// Part is one data set in a Concat.
type Part struct {
	Dataset Dataset
	Enlarge int // how often an epoch runs through it; 0: once
	// Class puts all its samples into the class of that name, together with other parts that name it
	// or have it. Empty: each of its classes becomes a new one.
	Class string
}

// Concat is data sets in a row: the all-in-one training set of the official code. Each part is run
// through Enlarge times before the next begins, and the label of a sample is the position of its
// part (for parts of one class without Class set; parity case data_protocol). Repetitions within an
// epoch differ in their random draws.
type Concat struct {
	parts   []Part
	ends    []int   // sample number after the last one of each part
	labels  [][]int // of each part, its label -> the label here
	classes []string
}

// NewConcat puts parts in a row.
func NewConcat(parts ...Part) (*Concat, error) {
	if len(parts) == 0 {
		return nil, errors.New("the list of data sets is empty")
	}
	c := &Concat{parts: slices.Clone(parts)}
	end := 0
	for i := range c.parts {
		p := &c.parts[i]
		if p.Enlarge < 0 || p.Dataset.Len() == 0 {
			return nil, fmt.Errorf("data set %d of %d: %d samples, enlarge %d: there must be samples, and enlarge must not be negative", i+1, len(parts), p.Dataset.Len(), p.Enlarge)
		}
		p.Enlarge = max(p.Enlarge, 1)
		end += p.Dataset.Len() * p.Enlarge
		c.ends = append(c.ends, end)
		c.labels = append(c.labels, c.addClasses(*p))
	}
	return c, nil
}

// addClasses extends the classes by those of a part and returns where they went.
func (c *Concat) addClasses(p Part) []int {
	var labels []int
	for _, name := range p.Dataset.Classes() {
		var label int
		if p.Class != "" {
			c.classes, label = classLabel(c.classes, p.Class)
		} else {
			c.classes, label = classLabel(c.classes, unusedName(name, c.classes))
		}
		labels = append(labels, label)
	}
	return labels
}

// unusedName returns name, or name with a number if it is taken: two folders called "input" are
// two classes.
func unusedName(name string, taken []string) string {
	out := name
	for n := 2; slices.Contains(taken, out); n++ {
		out = fmt.Sprintf("%s (%d)", name, n)
	}
	return out
}

// Len is the sum over the parts of length times Enlarge.
func (c *Concat) Len() int { return c.ends[len(c.ends)-1] }

// Classes returns the class names.
func (c *Concat) Classes() []string { return c.classes }

// Sample implements Dataset.
func (c *Concat) Sample(epoch, index int) (Sample, error) {
	part, repeat, local := c.locate(index)
	p := c.parts[part]
	s, err := p.Dataset.Sample(epoch*p.Enlarge+repeat, local)
	if err != nil {
		return s, err
	}
	s.Label = c.labels[part][s.Label]
	return s, nil
}

// locate returns the part of a sample, in which repetition it is, and its index in the part.
func (c *Concat) locate(index int) (part, repeat, local int) {
	part, found := slices.BinarySearch(c.ends, index)
	if found { // an end is the first sample of the next part
		part++
	}
	start := 0
	if part > 0 {
		start = c.ends[part-1]
	}
	n := c.parts[part].Dataset.Len()
	return part, (index - start) / n, (index - start) % n
}
