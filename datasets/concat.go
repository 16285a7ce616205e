package datasets

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/godcpt/godcpt/datasets/imageio"
)

// Part is one data set in a Concat.
type Part struct {
	Dataset Dataset
	Enlarge int // how often an epoch runs through it; 0: once
	// Class puts all its samples into the class of that name, together with other parts that name it
	// or have it. Empty: each of its classes becomes a new one.
	Class string
	// Size is of the samples of a part, in whatever unit, where parts differ: a Loader makes no batch of
	// parts of unequal Size.
	Size int
	// Seed is of the order in which the samples of the part are drawn, where that is not left to the
	// Loader: see Concat.
	Seed uint64
	// Skip is how many files of the part may be damaged (imageio.DamagedError). In place of a sample
	// that needs one there is the next of the part that needs none. 0: a damaged file is an error.
	Skip int
}

// Concat is data sets in a row: the all-in-one training set of the official code. Each part is run
// through Enlarge times before the next begins, and the label of a sample is the position of its
// part (for parts of one class without Class set; parity case data_protocol). Repetitions within an
// epoch differ in their random draws. A Loader permutes all that.
//
// NewBalanced and NewWeighted give the parts other shares of an epoch. Each part is then drawn from in
// an order of its own, which goes on from epoch to epoch: all its samples occur before one of them
// occurs again. So it is, too, where a part is Ordered, whose order is kept.
type Concat struct {
	parts   []Part
	counts  []int   // samples of each part in an epoch
	ends    []int   // sample number after the last one of each part
	labels  [][]int // of each part, its label -> the label here
	classes []string
	drawn   []*orders // of each part, the order of its samples; nil: by their indices
	even    bool      // classes take turns, instead of being permuted
}

// NewConcat puts parts in a row.
func NewConcat(parts ...Part) (*Concat, error) {
	c, err := newConcat(parts)
	if err != nil {
		return nil, err
	}
	if err := c.setCounts(c.lengths()); err != nil {
		return nil, err
	}
	if slices.ContainsFunc(parts, func(p Part) bool { return isOrdered(p.Dataset) }) {
		c.drawParts()
	}
	return c, nil
}

// newConcat checks parts and names classes.
func newConcat(parts []Part) (*Concat, error) {
	if len(parts) == 0 {
		return nil, errors.New("the list of data sets is empty")
	}
	c := &Concat{parts: slices.Clone(parts)}
	for i := range c.parts {
		p := &c.parts[i]
		if n := p.Dataset.Len(); n > 0 && p.Enlarge > maxEpoch/n {
			return nil, tooLong()
		}
		if p.Enlarge < 0 || p.Dataset.Len() == 0 {
			return nil, fmt.Errorf("data set %d of %d: %d samples, enlarge %d: there must be samples, and enlarge must not be negative", i+1, len(parts), p.Dataset.Len(), p.Enlarge)
		}
		p.Enlarge = max(p.Enlarge, 1)
		c.labels = append(c.labels, c.addClasses(*p))
	}
	return c, nil
}

// lengths are the samples of each part, with its repetitions.
func (c *Concat) lengths() []int {
	var lengths []int
	for _, p := range c.parts {
		lengths = append(lengths, p.Dataset.Len()*p.Enlarge)
	}
	return lengths
}

// maxEpoch is the largest number of samples in an epoch: their order takes 8 bytes for each.
const maxEpoch = 1e8

func tooLong() error {
	return fmt.Errorf("an epoch would have more than %d million samples: repeat the data sets less often", int(maxEpoch/1e6))
}

// setCounts says how many samples of each part an epoch has.
func (c *Concat) setCounts(counts []int) error {
	c.counts = counts
	end := 0
	for _, n := range counts {
		end += n
		c.ends = append(c.ends, end)
	}
	if end > maxEpoch {
		return tooLong()
	}
	return nil
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

// Len is the number of samples in an epoch: the sum over the parts of length times Enlarge, or what
// NewBalanced or NewWeighted was told.
func (c *Concat) Len() int { return c.ends[len(c.ends)-1] }

// Classes returns the class names.
func (c *Concat) Classes() []string { return c.classes }

// Size implements Sized.
func (c *Concat) Size(index int) int {
	part, _ := c.locate(index)
	return c.parts[part].Size
}

// Sample implements Dataset. With parts that may Skip, it depends on which of their files are damaged.
func (c *Concat) Sample(epoch, index int) (Sample, error) {
	part, draw := c.locate(index)
	n := c.parts[part].Dataset.Len()
	draw += epoch * c.counts[part] // of all epochs
	epoch, index = draw/n, draw%n  // of the part
	if c.drawn != nil {
		index = c.drawn[part].of(epoch)[index]
	}
	s, err := c.readable(part, epoch, index)
	if err != nil {
		return s, err
	}
	s.Label = c.labels[part][s.Label]
	return s, nil
}

// readable returns a sample of a part, or the next one whose files are sound.
func (c *Concat) readable(part, epoch, index int) (Sample, error) {
	p := c.parts[part]
	n := p.Dataset.Len()
	var own *account // of this sample
	var skipped []Skipped
	for range n {
		s, err := p.Dataset.Sample(epoch, index)
		var damaged *imageio.DamagedError
		if p.Skip == 0 || !errors.As(err, &damaged) {
			s.Skipped = skipped
			return s, err
		}
		if own == nil {
			own = newAccount(nil)
		}
		set := skippingSet{c.partName(part), p.Skip, n}
		found, err := own.add([]Skipped{{Part: part, File: damaged.Name, Err: damaged, set: set}})
		if err != nil {
			return Sample{}, err
		}
		skipped = append(skipped, found...)
		index = (index + 1) % n
	}
	return Sample{}, fmt.Errorf("data set %s: not one of its %d samples can be read: %w", c.partName(part), n, skipped[0].Err)
}

// partClasses names the classes of a part.
func (c *Concat) partClasses(part int) []string {
	var names []string
	for _, label := range c.labels[part] {
		if !slices.Contains(names, c.classes[label]) {
			names = append(names, c.classes[label])
		}
	}
	return names
}

// partName is what messages call a part.
func (c *Concat) partName(part int) string { return strings.Join(c.partClasses(part), "+") }

// locate returns the part of a sample, and the how-manieth of the part in an epoch it is.
func (c *Concat) locate(index int) (part, draw int) {
	part, found := slices.BinarySearch(c.ends, index)
	if found { // an end is the first sample of the next part
		part++
	}
	return part, index - c.start(part)
}

// start is the first sample number of a part.
func (c *Concat) start(part int) int { return c.ends[part] - c.counts[part] }
