// Package databench measures how fast training data is prepared: decoding, cropping, each kind of
// degradation, and whole batches.
package databench

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"time"

	"github.com/godcpt/godcpt/datasets"
	"github.com/godcpt/godcpt/datasets/degrade"
	"github.com/godcpt/godcpt/datasets/imageio"
	"github.com/godcpt/godcpt/datasets/sample"
	"github.com/godcpt/godcpt/dcpt"
)

// Stages that are measured.
const (
	StageDecode  = "decode"        // a file in memory to pixels
	StageCrop    = "crop+augment"  // a sample that is not degraded: crop, flip and transposition of a decoded picture
	StageDegrade = "degrade"       // one degradation of a crop, with the margin that it needs
	StageSample  = "sample"        // samples of one data set, one after the other
	StageLoader  = "loader"        // batches by all workers
	StageCold    = "loader+decode" // the same, where no decoded picture is kept
)

const (
	patch     = 128 // side of the crops, where no recipe says another
	batchSize = 8
	maxFiles  = 64 // that are decoded
)

// Config configures a measurement.
type Config struct {
	Duration time.Duration // of measuring for each row, at least
	Workers  int           // of the loader; 0: one per processor
	Row      func(Row)     // called with each row as soon as it is measured
}

// Row is one line of the result.
type Row struct {
	Stage   string  `json:"stage"`
	Kind    string  `json:"kind,omitempty"` // of degradation, or the name of a data set
	Workers int     `json:"workers"`        // goroutines that prepare images
	Rate    float64 `json:"images_per_second"`
	Bytes   uint64  `json:"bytes_per_image"`       // of memory that was allocated on the way, all in all
	Allocs  uint64  `json:"allocations_per_image"` // how often
}

// Source is where pictures come from.
type Source struct {
	list func() (*datasets.Images, error)
	read func(name string) ([]byte, error)
}

// SamplePhotos are the photos to train on that ship with the module.
func SamplePhotos() Source {
	return Source{func() (*datasets.Images, error) { return datasets.FromFS(sample.FS, sample.Train) }, sample.FS.ReadFile}
}

// Folder is the pictures of a folder.
func Folder(dir string) Source {
	return Source{func() (*datasets.Images, error) { return datasets.FromDir(dir) }, os.ReadFile}
}

// Photos measures every stage, and every kind of degradation with its default parameters, in crops of
// 128x128 pixels.
func Photos(ctx context.Context, source Source, cfg Config) error {
	images, err := source.list()
	if err != nil {
		return err
	}
	b := bench{ctx, cfg}
	if err := b.decode(source, images); err != nil {
		return err
	}
	if err := b.crop(images); err != nil {
		return err
	}
	var all []degrade.Degradation
	for _, kind := range degrade.Kinds() {
		d, err := degrade.New(kind, nil)
		if err != nil {
			return err
		}
		if err := b.degrade(images, d); err != nil {
			return err
		}
		all = append(all, d)
	}
	if err := b.loader(StageLoader, images, all); err != nil {
		return err
	}
	cold, err := source.list()
	if err != nil {
		return err
	}
	cold.UseCache(datasets.NewCache(0))
	return b.loader(StageCold, cold, all)
}

// Recipe measures the training sets of a recipe, each alone and all together, in crops of the size of
// its first stage.
func Recipe(ctx context.Context, r *dcpt.Recipe, cfg Config) error {
	side := 0
	for _, stage := range []*dcpt.StageConfig{r.Pretrain, r.Finetune} {
		if stage != nil && side == 0 {
			side = stage.Patch
		}
	}
	b := bench{ctx, cfg}
	for _, set := range r.Data.Train {
		alone := *r
		alone.Data.Train = []dcpt.Set{set}
		ds, err := alone.TrainingSet(side)
		if err != nil {
			return err
		}
		if err := b.samples(StageSample, set.Name, ds); err != nil {
			return err
		}
	}
	ds, err := r.TrainingSet(side)
	if err != nil {
		return err
	}
	return b.batches(StageLoader, ds)
}

type bench struct {
	ctx context.Context
	cfg Config
}

// measure calls do, which prepares some images and says how many, until the time is over and there were
// so many at least. The first call does not count: it fills caches.
func (b bench) measure(row Row, least int, do func() (images int, err error)) error {
	if _, err := do(); err != nil {
		return err
	}
	runtime.GC() // what others have left must not be collected now
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start, images := time.Now(), 0
	for images < least || time.Since(start) < b.cfg.Duration {
		if err := b.ctx.Err(); err != nil {
			return err
		}
		n, err := do()
		if err != nil {
			return err
		}
		images += n
	}
	elapsed := time.Since(start)
	runtime.ReadMemStats(&after)
	row.Rate = float64(images) / elapsed.Seconds()
	row.Bytes = (after.TotalAlloc - before.TotalAlloc) / uint64(images)
	row.Allocs = (after.Mallocs - before.Mallocs) / uint64(images)
	b.cfg.Row(row)
	return nil
}

// decode measures decoding of the first files.
func (b bench) decode(source Source, images *datasets.Images) error {
	var files [][]byte
	for i := range min(images.Len(), maxFiles) {
		data, err := source.read(images.Name(i))
		if err != nil {
			return fmt.Errorf("cannot read a picture: %w", err)
		}
		files = append(files, data)
	}
	next := 0
	return b.measure(Row{Stage: StageDecode, Workers: 1}, 1, func() (int, error) {
		i := next % len(files)
		next++
		_, _, _, err := imageio.DecodeBytes(bytes.NewReader(files[i]), images.Name(i))
		return 1, err
	})
}

// untouched leaves a crop as it is: what remains of a sample is its cutting out.
type untouched struct{ margin int }

func (untouched) Kind() string                                         { return "none" }
func (d untouched) Margin() int                                        { return d.margin }
func (untouched) Apply(im *imageio.Image, _ *rand.Rand) *imageio.Image { return im }

func (b bench) crop(images *datasets.Images) error {
	ds, err := synthetic(images, patch, untouched{})
	if err != nil {
		return err
	}
	return b.samples(StageCrop, "", ds)
}

func synthetic(images *datasets.Images, side int, kinds ...degrade.Degradation) (*datasets.Synthetic, error) {
	return datasets.NewSynthetic(images, datasets.SyntheticConfig{Degradations: kinds, Patch: side})
}

// samples measures samples one by one, in the order of their numbers, after each was read once.
func (b bench) samples(stage, kind string, ds datasets.Dataset) error {
	next := 0
	sample := func() (int, error) {
		_, err := ds.Sample(next/ds.Len(), next%ds.Len())
		next++
		return 1, err
	}
	for range ds.Len() { // decode
		if _, err := sample(); err != nil {
			return err
		}
		if err := b.ctx.Err(); err != nil {
			return err
		}
	}
	return b.measure(Row{Stage: stage, Kind: kind, Workers: 1}, 1, sample)
}

// degrade measures one degradation of crops.
func (b bench) degrade(images *datasets.Images, d degrade.Degradation) error {
	margin := degrade.Margin(d)
	ds, err := synthetic(images, patch+2*margin, untouched{})
	if err != nil {
		return err
	}
	var crops []*imageio.Image
	for i := range min(ds.Len(), maxFiles) {
		s, err := ds.Sample(0, i)
		if err != nil {
			return err
		}
		crops = append(crops, s.GT)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	next := 0
	return b.measure(Row{Stage: StageDegrade, Kind: d.Kind(), Workers: 1}, 1, func() (int, error) {
		im := crops[next%len(crops)]
		next++
		degrade.ApplyWindow(d, im, degrade.Window{W: im.W, H: im.H}, rng)
		return 1, nil
	})
}

// loader measures batches of all kinds.
func (b bench) loader(stage string, images *datasets.Images, kinds []degrade.Degradation) error {
	ds, err := synthetic(images, patch, kinds...)
	if err != nil {
		return err
	}
	return b.batches(stage, ds)
}

// batches measures a loader, after an epoch's worth of samples.
func (b bench) batches(stage string, ds datasets.Dataset) error {
	workers := b.cfg.Workers
	if workers < 1 {
		workers = runtime.GOMAXPROCS(0)
	}
	loader := datasets.NewLoader(ds, datasets.LoaderConfig{BatchSize: batchSize, Workers: workers, Prefetch: workers})
	defer loader.Close()
	batch := func() (int, error) {
		got, err := loader.Next()
		if err != nil {
			return 0, err
		}
		return got.N, nil
	}
	deadline := time.Now().Add(b.cfg.Duration)
	for read := 0; read < ds.Len() && time.Now().Before(deadline); { // decode
		n, err := batch()
		if err != nil {
			return err
		}
		read += n
	}
	held := (workers + 1) * batchSize // made before, while nobody waited
	return b.measure(Row{Stage: stage, Workers: workers}, 2*held, batch)
}
