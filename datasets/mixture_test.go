package datasets

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/godcpt/godcpt/datasets/imageio"
)

// tagged is a data set whose samples say in their first value which they are, and in the second of
// which epoch. Its pictures have a side of their own.
type tagged struct {
	n, tag, side int
	classes      []string
}

func (d tagged) Len() int          { return d.n }
func (d tagged) Classes() []string { return d.classes }
func (d tagged) Sample(epoch, index int) (Sample, error) {
	im := imageio.New(max(d.side, 1), max(d.side, 1))
	im.Pix[0], im.Pix[1] = float32(d.tag+index), float32(epoch)
	return Sample{LQ: im, GT: im.Clone(), Name: fmt.Sprint(d.tag + index)}, nil
}

// backwards is Ordered: it is read from its end, and begins elsewhere in each epoch.
type backwards struct{ tagged }

func (d backwards) Order(seed uint64, epoch int) []int {
	order := make([]int, d.n)
	for i := range order {
		order[i] = (2*d.n - 1 - i + epoch + int(seed)) % d.n
	}
	return order
}

func classed(tag, n int, class string) Part {
	return Part{Dataset: tagged{n: n, tag: tag, classes: []string{class}}, Class: class, Seed: uint64(tag)}
}

// drawn is what a sample of a batch says of itself.
type drawn struct {
	id, epoch, label, side int
}

func draws(t *testing.T, ds Dataset, cfg LoaderConfig, batches int) []drawn {
	t.Helper()
	l := NewLoader(ds, cfg)
	defer l.Close()
	var out []drawn
	for range batches {
		b, err := l.Next()
		if err != nil {
			t.Fatal(err)
		}
		for j := range b.N {
			at := b.LQ[j*b.H*b.W*3:]
			out = append(out, drawn{int(at[0]), int(at[1]), int(b.Labels[j]), b.H})
		}
	}
	return out
}

func mixture(t *testing.T) func(c *Concat, err error) *Concat {
	return func(c *Concat, err error) *Concat {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
}

// The batches of a plain Concat are those of the first release, number for number: runs are resumed
// across releases.
func TestConcatOrderIsFixed(t *testing.T) {
	c := mixture(t)(NewConcat(
		Part{Dataset: fixed{n: 4, classes: []string{"a", "b"}, fail: -1}, Enlarge: 2, Size: 7, Seed: 3},
		Part{Dataset: fixed{n: 3, classes: []string{"a", "b"}, fail: -1}, Class: "b", Size: 7, Skip: 1}))
	l := NewLoader(c, LoaderConfig{BatchSize: 3, Seed: 5})
	defer l.Close()
	var got []int // epoch*1000 + index, label
	for range 8 {
		b, err := l.Next()
		if err != nil {
			t.Fatal(err)
		}
		for j := range 3 {
			got = append(got, int(b.LQ[j*12]), int(b.Labels[j]))
		}
	}
	want := []int{
		1003, 1, 1001, 1, 2, 0, 1000, 0, 2, 1, 1, 1, 0, 1, 3, 1, 0, 0, 1002, 0, 1, 1,
		2001, 1, 1000, 1, 2000, 0, 2003, 1, 1002, 1, 3003, 1, 3001, 1, 3000, 0, 2002, 0, 1001, 1, 3002, 0, 4002, 0, 4003, 1,
	}
	if !slices.Equal(got, want) {
		t.Errorf("drawn\n%v\nwant\n%v", got, want)
	}
}

// In whatever mixture: batches depend neither on workers nor on the step at which loading began, and no
// batch holds two sizes.
func TestMixturePurity(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for trial := range 40 {
		var parts []Part
		var weights []float64
		for i := range 1 + rng.IntN(4) {
			p := classed(1000*i, 5+rng.IntN(20), string(rune('a'+rng.IntN(3))))
			set := p.Dataset.(tagged)
			if trial%2 == 1 {
				set.side = 1 + rng.IntN(2)
				p.Size = set.side
			}
			p.Dataset = set
			if rng.IntN(3) == 0 {
				p.Dataset = backwards{set}
			}
			parts, weights = append(parts, p), append(weights, 0.2+rng.Float64())
		}
		cfg := LoaderConfig{BatchSize: 1 + rng.IntN(5), Seed: rng.Uint64()}
		for _, kind := range []string{"concat", "balanced", "weighted"} {
			mix := func() *Concat {
				switch kind {
				case "balanced":
					return mixture(t)(NewBalanced(60, parts...))
				case "weighted":
					return mixture(t)(NewWeighted(60, weights, parts...))
				}
				return mixture(t)(NewConcat(parts...))
			}
			cfg.Workers = 1
			want := draws(t, mix(), cfg, 50)
			for _, workers := range []int{2, 5} {
				start := rng.IntN(50)
				again := cfg
				again.Workers, again.Start = workers, start
				if got := draws(t, mix(), again, 50-start); !slices.Equal(got, want[start*cfg.BatchSize:]) {
					t.Fatalf("trial %d, %s: %d workers from step %d give other batches", trial, kind, workers, start)
				}
			}
			again := cfg
			again.Seed++
			if len(parts) > 1 && slices.Equal(draws(t, mix(), again, 50), want) {
				t.Errorf("trial %d, %s: the seed makes no difference", trial, kind)
			}
		}
	}
}

// Every class equally often; the pictures of a part equally often, over epochs that do not hold all of
// them; small batches hold all classes.
func TestBalanced(t *testing.T) {
	c := mixture(t)(NewBalanced(30, classed(0, 200, "noise"), classed(1000, 7, "rain"), classed(2000, 12, "haze"), classed(3000, 3, "haze")))
	if c.Len() != 30 || !slices.Equal(c.counts, []int{10, 10, 8, 2}) {
		t.Errorf("an epoch of %d samples, of the parts %v", c.Len(), c.counts)
	}
	const epochs = 20
	got := draws(t, c, LoaderConfig{BatchSize: 3, Seed: 4}, 10*epochs)
	times := map[int]int{}
	for i, d := range got {
		times[d.id]++
		if d.epoch != (times[d.id]-1) && d.id >= 1000 {
			t.Fatalf("picture %d is drawn for the %d. time, with the random numbers of epoch %d", d.id, times[d.id], d.epoch)
		}
		if i%3 == 2 {
			labels := []int{got[i-2].label, got[i-1].label, d.label}
			slices.Sort(labels)
			if !slices.Equal(labels, []int{0, 1, 2}) {
				t.Fatalf("batch %d has the classes %v, want each", i/3, labels)
			}
		}
	}
	for _, part := range []struct{ tag, n, drawn int }{{0, 200, 10}, {1000, 7, 10}, {2000, 12, 8}, {3000, 3, 2}} {
		per, sum := part.drawn*epochs/part.n, 0
		for i := range part.n {
			n := times[part.tag+i]
			sum += n
			if n < per || n > per+1 {
				t.Errorf("picture %d was drawn %d times, want %d or one more", part.tag+i, n, per)
			}
		}
		if sum != part.drawn*epochs {
			t.Errorf("part %d was drawn from %d times, want %d", part.tag, sum, part.drawn*epochs)
		}
	}
	first, second := got[:10], got[30:40]
	if slices.Equal(first, second) {
		t.Error("epochs are alike")
	}

	// By default an epoch is as long as the data sets; repetitions count within a class.
	long := classed(0, 10, "noise")
	long.Enlarge = 3
	c = mixture(t)(NewBalanced(0, long, classed(100, 10, "noise"), classed(200, 40, "rain")))
	if c.Len() != 80 || !slices.Equal(c.counts, []int{30, 10, 40}) {
		t.Errorf("an epoch of %d samples, of the parts %v", c.Len(), c.counts)
	}

	_, err := NewBalanced(2, classed(0, 5, "a"), classed(0, 5, "b"), classed(0, 5, "c"))
	wantError(t, err, "an epoch of 2 samples has none of data set 3 of 3 (c)", "longer")
	_, err = NewBalanced(2e8, classed(0, 5, "a"))
	wantError(t, err, "more than 100 million samples")
	for _, times := range []int{3e7, math.MaxInt} { // 1.5e8, and what overflows
		often := classed(0, 5, "a")
		often.Enlarge = times
		_, err = NewConcat(often)
		wantError(t, err, "more than 100 million samples")
	}
	_, err = NewBalanced(-1, classed(0, 5, "a"))
	wantError(t, err, "an epoch of -1 samples")
	_, err = NewBalanced(9)
	wantError(t, err, "empty")
	_, err = NewBalanced(9, Part{Dataset: fixed{n: 4, classes: []string{"x", "y"}, fail: -1}})
	wantError(t, err, "data set 1 of 1", "[x y]", "one data set of each")
}

func TestWeighted(t *testing.T) {
	parts := []Part{classed(0, 50, "noise"), classed(1000, 7, "rain"), classed(2000, 7, "rain")}
	c := mixture(t)(NewWeighted(16, []float64{5, 2, 1}, parts...))
	got := draws(t, c, LoaderConfig{BatchSize: 8, Seed: 4}, 100)
	for i := 0; i < len(got); i += 8 {
		labels := map[int]int{}
		for _, d := range got[i : i+8] {
			labels[d.label]++
		}
		// Five in eight, spread evenly: how far a batch may be off follows from the random places within
		// the intervals, one at each of its ends.
		if labels[0] < 4 || labels[0] > 6 {
			t.Errorf("batch %d has %d samples of the first class, want 5 or nearly", i/8, labels[0])
		}
	}
	per := [3]int{}
	for _, d := range got {
		per[d.id/1000]++
	}
	if per != [3]int{500, 200, 100} {
		t.Errorf("the parts occur %v times", per)
	}

	for _, c := range []struct {
		n       int
		weights []float64
		want    []int
	}{
		{10, []float64{1, 1, 1}, []int{4, 3, 3}},
		{7, []float64{1e308, 1e308}, []int{4, 3}},
		{1000, []float64{1e-300, 3e-300}, []int{250, 750}},
		{100, []float64{0.9999, 0.0001}, []int{100, 0}},
	} {
		if got := apportion(c.n, c.weights); !slices.Equal(got, c.want) {
			t.Errorf("%d by %v: %v, want %v", c.n, c.weights, got, c.want)
		}
	}
	_, err := NewWeighted(9, []float64{1, 2}, parts...)
	wantError(t, err, "2 weights for 3 data sets")
	_, err = NewWeighted(9, []float64{1, 0, 2}, parts...)
	wantError(t, err, "data set 2 of 3 has weight 0")
	parts[2].Enlarge = 2
	_, err = NewWeighted(9, []float64{1, 1, 2}, parts...)
	wantError(t, err, "data set 3 of 3 has weight 2 and enlarge 2")
}

// The order of an Ordered part is kept, within an epoch and over its end, in each kind of mixture; the
// other parts of a Concat are permuted.
func TestOrderedParts(t *testing.T) {
	tape := backwards{tagged{n: 9, tag: 100, classes: []string{"tape"}}}
	part := Part{Dataset: tape, Class: "tape", Seed: 2, Enlarge: 2}
	alone := mixture(t)(NewConcat(part))
	both := mixture(t)(NewConcat(part, classed(0, 20, "noise")))
	balanced := mixture(t)(NewBalanced(14, part, classed(0, 20, "noise")))
	for name, ds := range map[string]Dataset{"itself": tape, "alone": alone, "concat": both, "balanced": balanced} {
		seed := uint64(2)
		if name != "itself" { // the seed of the part counts
			seed = 77
		}
		read := 0
		for _, d := range draws(t, ds, LoaderConfig{BatchSize: 2, Seed: seed}, 60) {
			if d.id < 100 {
				continue
			}
			epoch := read / 9
			if want := 100 + tape.Order(2, epoch)[read%9]; d.id != want || d.epoch != epoch {
				t.Fatalf("%s: sample %d read is %d of epoch %d, want %d of %d", name, read, d.id, d.epoch, want, epoch)
			}
			read++
		}
		if read < 27 {
			t.Errorf("%s: only %d samples read", name, read)
		}
	}
	indices := draws(t, both, LoaderConfig{BatchSize: 38, Seed: 1}, 1)
	slices.SortFunc(indices, func(a, b drawn) int { return a.id - b.id })
	for i, d := range indices[:20] {
		if d.id != i {
			t.Fatalf("the other part is no permutation: %v", indices)
		}
	}
}

// Sets of different patches: batches of one size, in proportion and mixed; what is left over at the end
// of an epoch is another sample each time.
func TestSizes(t *testing.T) {
	small, large := classed(0, 41, "noise"), classed(1000, 14, "rain")
	for part, side := range map[*Part]int{&small: 1, &large: 2} {
		set := part.Dataset.(tagged)
		set.side = side
		part.Dataset, part.Size = set, side
	}
	c := mixture(t)(NewConcat(small, large))
	const perEpoch = 10 + 3 // batches
	got := draws(t, c, LoaderConfig{BatchSize: 4, Seed: 9}, 6*perEpoch)
	missing := map[int]bool{}
	turns := map[string]bool{}
	for epoch := range 6 {
		seen, turn := map[int]bool{}, ""
		for b := range perEpoch {
			batch := got[(epoch*perEpoch+b)*4:][:4]
			turn += fmt.Sprint(batch[0].side)
			for _, d := range batch {
				if d.side != batch[0].side || d.epoch != epoch || seen[d.id] || d.side != 1+d.id/1000 {
					t.Fatalf("epoch %d: batch %v", epoch, batch)
				}
				seen[d.id] = true
			}
		}
		if len(seen) != 40+12 {
			t.Errorf("epoch %d has %d samples", epoch, len(seen))
		}
		for id := range 41 {
			if !seen[id] {
				missing[id] = true
			}
		}
		turns[turn] = true
	}
	if len(missing) < 3 || len(turns) < 3 {
		t.Errorf("in six epochs, %d samples were left out and the sizes came in %d orders", len(missing), len(turns))
	}
	l := NewLoader(c, LoaderConfig{BatchSize: 15})
	defer l.Close()
	_, err := l.Next()
	wantError(t, err, "only 14 samples of size 2", "a batch of 15")
}
