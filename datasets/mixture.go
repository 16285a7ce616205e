package datasets

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// NewBalanced is a Concat in which every class occurs equally often, in an epoch of so many samples (0:
// as many as NewConcat gives). Parts of one class share by their lengths, times Enlarge. Classes take
// turns, so that small batches, too, hold nearly all of them. A part must be of one class.
func NewBalanced(samples int, parts ...Part) (*Concat, error) {
	c, err := newConcat(parts)
	if err != nil {
		return nil, err
	}
	lengths, ofClass := c.lengths(), map[int]int{}
	for i := range parts {
		if names := c.partClasses(i); len(names) > 1 {
			return nil, fmt.Errorf("data set %d of %d has the classes %v: to balance them, make one data set of each", i+1, len(parts), names)
		}
		ofClass[c.stratum(i)] += lengths[i]
	}
	var weights []float64
	for i, n := range lengths {
		weights = append(weights, float64(n)/float64(ofClass[c.stratum(i)]))
	}
	return c.mix(samples, weights)
}

// NewWeighted is a Concat in which the samples of each part occur in proportion to its weight, a
// positive number, whatever its length; Enlarge is not used. Otherwise it is as NewBalanced.
func NewWeighted(samples int, weights []float64, parts ...Part) (*Concat, error) {
	if len(weights) != len(parts) {
		return nil, fmt.Errorf("%d weights for %d data sets: give one for each", len(weights), len(parts))
	}
	for i, w := range weights {
		if !(w > 0) || math.IsInf(w, 0) {
			return nil, fmt.Errorf("data set %d of %d has weight %v: it must be a positive number", i+1, len(parts), w)
		}
		if parts[i].Enlarge > 1 {
			return nil, fmt.Errorf("data set %d of %d has weight %v and enlarge %d: the weight alone says how often it occurs", i+1, len(parts), w, parts[i].Enlarge)
		}
	}
	c, err := newConcat(parts)
	if err != nil {
		return nil, err
	}
	return c.mix(samples, weights)
}

// mix gives each part its share of an epoch.
func (c *Concat) mix(samples int, weights []float64) (*Concat, error) {
	if samples < 0 {
		return nil, fmt.Errorf("an epoch of %d samples: the number must be positive, or 0 for the length of the data sets", samples)
	}
	if samples == 0 {
		for _, n := range c.lengths() {
			samples += n
		}
	}
	if samples > maxEpoch {
		return nil, tooLong()
	}
	counts := apportion(samples, weights)
	if i := slices.Index(counts, 0); i >= 0 {
		return nil, fmt.Errorf("an epoch of %d samples has none of data set %d of %d (%s): make it longer", samples, i+1, len(counts), c.partName(i))
	}
	c.drawParts()
	c.even = true
	return c, c.setCounts(counts)
}

// apportion divides n in proportion to weights, rounded so that the sum is n (largest remainders first).
func apportion(n int, weights []float64) []int {
	largest, total := slices.Max(weights), 0.0
	for _, w := range weights {
		total += w / largest
	}
	counts, rest := make([]int, len(weights)), n
	remainders, byRemainder := make([]float64, len(weights)), make([]int, len(weights))
	for i, w := range weights {
		exact := float64(n) * (w / largest / total)
		counts[i] = int(exact)
		rest -= counts[i]
		remainders[i], byRemainder[i] = exact-float64(counts[i]), i
	}
	slices.SortStableFunc(byRemainder, func(a, b int) int { return cmp.Compare(remainders[b], remainders[a]) })
	for _, i := range byRemainder[:rest] {
		counts[i]++
	}
	return counts
}

func isOrdered(ds Dataset) bool {
	_, ok := ds.(Ordered)
	return ok
}

// drawParts gives each part an order of its own.
func (c *Concat) drawParts() {
	for _, p := range c.parts {
		n, seed := p.Dataset.Len(), splitmix(p.Seed) // another stream than a Loader's of that seed
		order := func(epoch int) []int { return permutation(seed, epoch, n) }
		if o, ok := p.Dataset.(Ordered); ok {
			order = func(epoch int) []int { return o.Order(p.Seed, epoch) }
		}
		c.drawn = append(c.drawn, &orders{order: order})
	}
}

// Order implements Ordered: a permutation of all samples; where parts have an order of their own, one
// that keeps it.
func (c *Concat) Order(seed uint64, epoch int) []int {
	rng := epochRand(seed, epoch)
	if c.drawn == nil {
		return rng.Perm(c.Len())
	}
	var turns []int
	if c.even {
		turns = c.evenTurns(rng)
	} else {
		for _, index := range rng.Perm(c.Len()) {
			part, _ := c.locate(index)
			turns = append(turns, part)
		}
	}
	order, next := make([]int, 0, c.Len()), make([]int, len(c.parts))
	for i := range next {
		next[i] = c.start(i)
	}
	for _, part := range turns {
		order = append(order, next[part])
		next[part]++
	}
	return order
}

// stratum is what parts that are of one class have in common.
func (c *Concat) stratum(part int) int { return c.labels[part][0] }

// evenTurns says of which part each sample of an epoch is: each class is spread evenly over the epoch,
// and so is each part over the samples of its class.
func (c *Concat) evenTurns(rng *rand.Rand) []int {
	classCounts := make([]int, len(c.classes))
	partsOf := make([][]int, len(c.classes)) // counts, with 0 for parts of other classes
	for i, n := range c.counts {
		s := c.stratum(i)
		if partsOf[s] == nil {
			partsOf[s] = make([]int, len(c.parts))
		}
		classCounts[s] += n
		partsOf[s][i] = n
	}
	turnsOf := make([][]int, len(c.classes))
	for s, counts := range partsOf {
		turnsOf[s] = spread(rng, counts)
	}
	turns := spread(rng, classCounts)
	for i, s := range turns {
		turns[i], turnsOf[s] = turnsOf[s][0], turnsOf[s][1:]
	}
	return turns
}

// spread returns a sequence in which i occurs counts[i] times, once in each counts[i]-th of it: the j-th
// time at a random place of the interval [j, j+1)/counts[i], as far as the others leave it free. Equal
// counts give rounds in which each i occurs once, in a random order.
func spread(rng *rand.Rand, counts []int) []int {
	type turn struct {
		at float64
		of int
	}
	var turns []turn
	for i, n := range counts {
		for j := range n {
			turns = append(turns, turn{(float64(j) + rng.Float64()) / float64(n), i})
		}
	}
	slices.SortFunc(turns, func(a, b turn) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.of, b.of)) })
	sequence := make([]int, len(turns))
	for i, t := range turns {
		sequence[i] = t.of
	}
	return sequence
}
