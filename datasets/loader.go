package datasets

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
)

// LoaderConfig configures a Loader.
type LoaderConfig struct {
	BatchSize int    // samples per batch, at least 1
	Seed      uint64 // of the order of the samples
	Workers   int    // goroutines that prepare batches; 0: one per processor
	Prefetch  int    // finished or unfinished batches held ahead of Next; 0: two per worker
	Start     int    // first step (batch number from 0), to resume a run

	Skipped []Skipped // damaged files known from before Start
}

// ErrClosed is what Next returns after Close.
var ErrClosed = errors.New("the data loader is closed")

// Loader prepares batches in parallel, ahead of their use, and hands them out in order.
//
// Batch s (from 0) is a pure function of data set, Seed and s: its sample j has the global number
// k = s*BatchSize+j, epoch k / n and position order(Seed, epoch)[k % n] of the n samples of an epoch. The
// order is the data set's own if it is Ordered, else a permutation of the whole set, and a batch may
// reach into the next epoch. Where samples differ in size (Sized), those of one size fill a batch of
// their own in the order in which they come; what does not fill one is left out of the epoch, so that
// an epoch is some samples shorter.
type Loader struct {
	ds      Dataset
	cfg     LoaderConfig
	n       int   // samples of an epoch
	err     error // in place of every batch
	orders  orders
	skipped *account
	queue   chan chan result // promised batches, in order
	done    chan struct{}
	workers sync.WaitGroup
	close   sync.Once
}

type result struct {
	batch *Batch
	err   error
}

type job struct {
	step int
	out  chan result
}

// NewLoader starts preparing batches. Close it when done: until then its goroutines live.
func NewLoader(ds Dataset, cfg LoaderConfig) *Loader {
	if cfg.Workers < 1 {
		cfg.Workers = runtime.GOMAXPROCS(0)
	}
	if cfg.Prefetch < 1 {
		cfg.Prefetch = 2 * cfg.Workers
	}
	l := &Loader{
		ds: ds, cfg: cfg,
		skipped: newAccount(cfg.Skipped),
		queue:   make(chan chan result, cfg.Prefetch),
		done:    make(chan struct{}),
	}
	l.err = l.plan()
	jobs := make(chan job)
	l.workers.Go(func() { l.schedule(jobs) })
	for range cfg.Workers {
		l.workers.Go(func() {
			for j := range jobs {
				batch, err := l.batch(j.step)
				j.out <- result{batch, err} // has room for it
			}
		})
	}
	return l
}

// plan decides the order of the samples, and how many of them an epoch has.
func (l *Loader) plan() error {
	l.n = l.ds.Len()
	switch {
	case l.cfg.BatchSize < 1:
		return fmt.Errorf("batch size is %d, must be at least 1", l.cfg.BatchSize)
	case l.n < 1:
		return errors.New("the data set is empty: it has no sample to train on")
	}
	l.orders.order = func(epoch int) []int { return permutation(l.cfg.Seed, epoch, l.n) }
	if o, ok := l.ds.(Ordered); ok {
		l.orders.order = func(epoch int) []int { return o.Order(l.cfg.Seed, epoch) }
	}
	if s, ok := l.ds.(Sized); ok {
		return l.planSizes(s.Size)
	}
	return nil
}

// planSizes makes batches of equal size, if there are several.
func (l *Loader) planSizes(size func(index int) int) error {
	counts := map[int]int{}
	for i := range l.n {
		counts[size(i)]++
	}
	if len(counts) == 1 {
		return nil
	}
	whole := 0
	for _, side := range slices.Sorted(maps.Keys(counts)) {
		count := counts[side]
		if count < l.cfg.BatchSize {
			return fmt.Errorf("an epoch has only %d samples of size %d, which do not fill a batch of %d: repeat their data set more often, or give it the size of another", count, side, l.cfg.BatchSize)
		}
		whole += count - count%l.cfg.BatchSize
	}
	mixed := l.orders.order
	l.n = whole
	l.orders.order = func(epoch int) []int { return bySize(mixed(epoch), whole, l.cfg.BatchSize, size) }
	return nil
}

// bySize sorts an order into batches of one size, in the order in which they fill up.
func bySize(order []int, n, batch int, size func(index int) int) []int {
	out := make([]int, 0, n)
	waiting := map[int][]int{}
	for _, index := range order {
		s := size(index)
		waiting[s] = append(waiting[s], index)
		if len(waiting[s]) == batch {
			out = append(out, waiting[s]...)
			waiting[s] = waiting[s][:0]
		}
	}
	return out
}

// schedule promises batches in order; the bounded queue holds it back.
func (l *Loader) schedule(jobs chan<- job) {
	defer close(jobs)
	for step := l.cfg.Start; ; step++ {
		j := job{step, make(chan result, 1)}
		select {
		case l.queue <- j.out:
		case <-l.done:
			return
		}
		select {
		case jobs <- j:
		case <-l.done:
			return
		}
	}
}

// Next returns the next batch in order, waiting for it if necessary. An error (which names the
// file) takes the place of its batch: the call after it goes on with the following one. After
// Close it returns ErrClosed.
func (l *Loader) Next() (*Batch, error) {
	select {
	case <-l.done:
		return nil, ErrClosed
	default:
	}
	var out chan result
	select {
	case out = <-l.queue:
	case <-l.done:
		return nil, ErrClosed
	}
	select {
	case r := <-out:
		if r.err != nil {
			return nil, r.err
		}
		found, err := l.skipped.add(r.batch.Skipped)
		if err != nil {
			return nil, err
		}
		r.batch.Skipped = found
		return r.batch, nil
	case <-l.done:
		return nil, ErrClosed
	}
}

// Close stops the preparation and returns when every goroutine of the loader has ended. It may be
// called more than once, and while another goroutine waits in Next.
func (l *Loader) Close() {
	l.close.Do(func() { close(l.done) })
	l.workers.Wait()
}

// batch makes batch number step.
func (l *Loader) batch(step int) (*Batch, error) {
	if l.err != nil {
		return nil, l.err
	}
	b := &Batch{N: l.cfg.BatchSize}
	for j := range l.cfg.BatchSize {
		select {
		case <-l.done: // a large batch must not delay Close
			return nil, ErrClosed
		default:
		}
		k := step*l.cfg.BatchSize + j
		s, err := l.ds.Sample(k/l.n, l.orders.of(k / l.n)[k%l.n])
		if err != nil {
			return nil, fmt.Errorf("batch %d: %w", step, err)
		}
		if err := b.put(j, s); err != nil {
			return nil, fmt.Errorf("batch %d: %w", step, err)
		}
	}
	return b, nil
}

// put stores s as sample j. The first sample sets the size of the batch.
func (b *Batch) put(j int, s Sample) error {
	if s.LQ.W != s.GT.W || s.LQ.H != s.GT.H {
		return fmt.Errorf("%s: degraded picture has %dx%d pixels, clean one %dx%d: they must be equal", s.Name, s.LQ.W, s.LQ.H, s.GT.W, s.GT.H)
	}
	if j == 0 {
		b.H, b.W = s.LQ.H, s.LQ.W
		b.LQ = make([]float32, b.N*b.H*b.W*3)
		b.GT = make([]float32, b.N*b.H*b.W*3)
		b.Labels = make([]int32, b.N)
		b.Names = make([]string, b.N)
	}
	if s.LQ.H != b.H || s.LQ.W != b.W {
		return fmt.Errorf("%s has %dx%d pixels, but %s in the same batch has %dx%d: set a patch size, or use batch size 1 for whole pictures", s.Name, s.LQ.W, s.LQ.H, b.Names[0], b.W, b.H)
	}
	size := b.H * b.W * 3
	copy(b.LQ[j*size:(j+1)*size], s.LQ.Pix)
	copy(b.GT[j*size:(j+1)*size], s.GT.Pix)
	b.Labels[j] = int32(s.Label)
	b.Names[j] = s.Name
	b.Skipped = append(b.Skipped, s.Skipped...)
	return nil
}

// orders gives the order of each epoch, remembering the latest two: the batches in work belong to at
// most two epochs, unless the set is smaller than a batch and ordering it costs nothing.
type orders struct {
	order  func(epoch int) []int
	mu     sync.Mutex
	latest [2]order
}

type order struct {
	epoch   int
	indices []int
}

func (o *orders) of(epoch int) []int {
	o.mu.Lock()
	defer o.mu.Unlock()
	slot := &o.latest[epoch%2]
	if slot.indices == nil || slot.epoch != epoch {
		*slot = order{epoch, o.order(epoch)}
	}
	return slot.indices
}

// permutation is the order of the samples in an epoch.
func permutation(seed uint64, epoch, n int) []int { return epochRand(seed, epoch).Perm(n) }

// epochRand returns the random generator of the order of an epoch.
func epochRand(seed uint64, epoch int) *rand.Rand {
	return rand.New(rand.NewPCG(seed, splitmix(uint64(epoch))))
}
