// Package datasets turns pictures into training batches and evaluation sets.
//
// A Dataset is lazy and indexable: sample i of epoch e is a pure function of configuration, seed, e
// and i, so that neither the number of workers nor an interruption changes what a network sees.
// Synthetic degrades clean pictures, Paired reads two folders, Concat puts data sets in a row (the
// all-in-one training set), and a Loader makes batches of any of them ahead of the device.
package datasets

import (
	"math/rand/v2"

	"github.com/godcpt/godcpt/datasets/imageio"
)

// Sample is one pair: a degraded picture and the clean one it belongs to, of equal size.
type Sample struct {
	LQ, GT *imageio.Image
	Label  int    // index into Dataset.Classes
	Name   string // file(s) it came from, for error messages

	Skipped []Skipped // damaged files in whose place it is: see Part.Skip
}

// Dataset is an indexable set of samples.
type Dataset interface {
	// Len is the number of samples per epoch.
	Len() int
	// Classes returns the name of each label.
	Classes() []string
	// Sample returns sample index (0 to Len-1) of an epoch (from 0). It is a pure function of the
	// data set's configuration, its seed, epoch and index, and safe for concurrent use. Errors name
	// the file.
	Sample(epoch, index int) (Sample, error)
}

// Ordered is implemented by data sets that say in which order their samples are best read: shards, which
// are read in sequence, and mixtures. The Loader asks them instead of permuting the whole set.
type Ordered interface {
	// Order returns the indices of the samples of an epoch, Len of them, each as often as the data set
	// means it to occur. It is a pure function of the data set's configuration, seed and epoch.
	Order(seed uint64, epoch int) []int
}

// Sized is implemented by data sets whose samples are of several sizes, for the Loader to make each batch
// of one size. The Order of such a set must be a permutation.
type Sized interface {
	// Size returns a number that the samples of one size have in common, in every epoch the same.
	Size(index int) int
}

// Batch is N samples of equal size, ready for the device.
type Batch struct {
	N, H, W int
	LQ, GT  []float32 // NHWC, RGB, N*H*W*3 values; 0..1 (LQ may leave it where noise is not clipped)
	Labels  []int32   // N
	Names   []string  // N, the files the samples came from
	Skipped []Skipped // damaged files that were passed over, named in the first batch that needed them
}

// stream returns the random generator of one sample. The words are mixed so that neighbouring
// seeds, epochs and indices give unrelated streams.
func stream(seed uint64, epoch, index int) *rand.Rand {
	a := splitmix(seed ^ splitmix(uint64(epoch)+1))
	return rand.New(rand.NewPCG(a, splitmix(a^splitmix(uint64(index)+1))))
}

// splitmix is the splitmix64 output function (Steele, Lea and Flood 2014).
func splitmix(z uint64) uint64 {
	z += 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
