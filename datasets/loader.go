package datasets

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
)

// LoaderConfig configures a Loader.
type LoaderConfig struct {
	BatchSize int    // samples per batch, at least 1
	Seed      uint64 // of the order of the samples
	Workers   int    // goroutines that prepare batches; 0: one per processor
	Prefetch  int    // finished or unfinished batches held ahead of Next; 0: two per worker
	Start     int    // first step (batch number from 0), to resume a run
}

// ErrClosed is what Next returns after Close.
var ErrClosed = errors.New("the data loader is closed")

// Loader prepares batches in parallel, ahead of their use, and hands them out in order.
//
// Batch s (from 0) is a pure function of data set, Seed and s: its sample j has the global number
// k = s*BatchSize+j, epoch k / Len and position permutation(Seed, epoch)[k % Len]. Every epoch is
// thus a permutation of the whole set, and a batch may reach into the next epoch.
type Loader struct {
	ds      Dataset
	cfg     LoaderConfig
	orders  orders
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
		orders: orders{seed: cfg.Seed, n: ds.Len()},
		queue:  make(chan chan result, cfg.Prefetch),
		done:   make(chan struct{}),
	}
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
		return r.batch, r.err
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
	n := l.ds.Len()
	switch {
	case l.cfg.BatchSize < 1:
		return nil, fmt.Errorf("batch size is %d, must be at least 1", l.cfg.BatchSize)
	case n < 1:
		return nil, errors.New("the data set is empty: it has no sample to train on")
	}
	b := &Batch{N: l.cfg.BatchSize}
	for j := range l.cfg.BatchSize {
		select {
		case <-l.done: // a large batch must not delay Close
			return nil, ErrClosed
		default:
		}
		k := step*l.cfg.BatchSize + j
		s, err := l.ds.Sample(k/n, l.orders.of(k / n)[k%n])
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
	return nil
}

// orders gives the permutation of each epoch, remembering the latest two: the batches in work
// belong to at most two epochs, unless the set is smaller than a batch and permuting costs nothing.
type orders struct {
	seed   uint64
	n      int
	mu     sync.Mutex
	latest [2]order
}

type order struct {
	epoch int
	perm  []int
}

func (o *orders) of(epoch int) []int {
	o.mu.Lock()
	defer o.mu.Unlock()
	slot := &o.latest[epoch%2]
	if slot.perm == nil || slot.epoch != epoch {
		*slot = order{epoch, permutation(o.seed, epoch, o.n)}
	}
	return slot.perm
}

// permutation is the order of the samples in an epoch.
func permutation(seed uint64, epoch, n int) []int {
	return rand.New(rand.NewPCG(seed, splitmix(uint64(epoch)))).Perm(n)
}
