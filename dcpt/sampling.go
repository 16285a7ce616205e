package dcpt

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"github.com/godcpt/godcpt/datasets"
	"github.com/godcpt/godcpt/internal/bytesize"
	"github.com/godcpt/godcpt/internal/memory"
	"github.com/godcpt/godcpt/internal/suggest"
)

// Values of Data.Sampling.
const (
	SamplingConcat   = "concat"   // all sets in a row, repeated by enlarge, permuted in each epoch: as the official code
	SamplingBalanced = "balanced" // every class equally often; the sets of a class share by length and enlarge
	SamplingWeighted = "weighted" // every set in proportion to its weight
)

// DefaultMaxBroken is the share of a training set's files that may be damaged.
const DefaultMaxBroken = 0.05

// validate checks how the sets are mixed, and what only training sets have.
func (d Data) validate(network Network) error {
	problems := []error{d.validateSampling(), d.validateLimits()}
	for _, s := range d.Train {
		if multiple := network.SizeMultiple(); s.Patch < 0 || s.Patch%multiple != 0 {
			problems = append(problems, fmt.Errorf("data set %s: patch is %d; the network needs a positive multiple of %d", s.Name, s.Patch, multiple))
		}
	}
	for _, s := range d.Test {
		if s.Patch != 0 || s.Weight != 0 {
			problems = append(problems, fmt.Errorf("test set %s: patch and weight are of training sets; test images are whole and all count", s.Name))
		}
	}
	return errors.Join(problems...)
}

func (d Data) validateSampling() error {
	switch d.Sampling {
	case "", SamplingConcat:
		if d.Epoch != 0 {
			return fmt.Errorf("data: epoch is of sampling balanced or weighted; with concat it follows from the sets and their enlarge")
		}
	case SamplingBalanced, SamplingWeighted:
	default:
		return fmt.Errorf("data: %w", suggest.Unknown("sampling", d.Sampling, []string{SamplingConcat, SamplingBalanced, SamplingWeighted}))
	}
	if d.Epoch < 0 {
		return fmt.Errorf("data: epoch is %d; it must not be negative", d.Epoch)
	}
	for _, s := range d.Train {
		switch weighted := d.Sampling == SamplingWeighted; {
		case weighted && !(s.Weight > 0 && !math.IsInf(s.Weight, 0)):
			return fmt.Errorf("data set %s: weight is %v; with sampling weighted each training set needs a positive one", s.Name, s.Weight)
		case weighted && s.Enlarge != 0:
			return fmt.Errorf("data set %s: enlarge has no effect with sampling weighted: leave it out", s.Name)
		case !weighted && s.Weight != 0:
			return fmt.Errorf("data set %s: weight belongs to sampling weighted", s.Name)
		}
	}
	return nil
}

func (d Data) validateLimits() error {
	if d.MaxBroken != nil && !(*d.MaxBroken >= 0 && *d.MaxBroken <= 1) {
		return fmt.Errorf("data: max_broken is %v; it must be in [0, 1]", *d.MaxBroken)
	}
	if d.Cache != "" {
		if _, err := bytesize.Parse(d.Cache); err != nil {
			return fmt.Errorf("data: cache: %w", err)
		}
	}
	return nil
}

// mix makes one training set of all.
func (d Data) mix(parts []datasets.Part) (*datasets.Concat, error) {
	switch d.Sampling {
	case SamplingBalanced:
		return datasets.NewBalanced(d.Epoch, parts...)
	case SamplingWeighted:
		var weights []float64
		for _, s := range d.Train {
			weights = append(weights, s.Weight)
		}
		return datasets.NewWeighted(d.Epoch, weights, parts...)
	}
	return datasets.NewConcat(parts...)
}

// maxBroken is how many files of a training set of n samples may be damaged: their share, but one at
// least, since a single file is soon damaged.
func (d Data) maxBroken(n int) int {
	if !d.skipsDamaged() {
		return 0
	}
	share := DefaultMaxBroken
	if d.MaxBroken != nil {
		share = *d.MaxBroken
	}
	return max(1, int(share*float64(n)))
}

func (d Data) skipsDamaged() bool { return d.MaxBroken == nil || *d.MaxBroken > 0 }

// skippedFiles lists files, each once.
func skippedFiles(skipped []datasets.Skipped) []string {
	var files []string
	for _, s := range skipped {
		if !slices.Contains(files, s.File) {
			files = append(files, s.File)
		}
	}
	return files
}

// skippedSummary says in a line how many files of which sets were skipped.
func (r *Recipe) skippedSummary(skipped []datasets.Skipped) string {
	counts := make([]int, len(r.Data.Train))
	for _, s := range skipped {
		counts[s.Part]++
	}
	var sets []string
	for i, n := range counts {
		if n > 0 {
			sets = append(sets, fmt.Sprintf("%s %d", r.Data.Train[i].Name, n))
		}
	}
	return fmt.Sprintf("damaged files that were skipped: %d (%s); %s names them", len(skippedFiles(skipped)), strings.Join(sets, ", "), logFile)
}

// adviseOnDamaged adds what to do to the error that too many files are damaged.
func (r *Recipe) adviseOnDamaged(err error) error {
	var many *datasets.TooManyDamagedError
	if !errors.As(err, &many) {
		return err
	}
	set := r.Data.Train[many.Part]
	find := fmt.Sprintf("\"godcpt data check %s\" finds all of them", r.Data.folder(set, many.Files[0]))
	if set.Shards != "" || set.Images != "" && namesShards(r.Data.path(set.Images)) {
		find = "\"godcpt data pack\" leaves them out of new shards"
	}
	return fmt.Errorf("%w. Copy or download them again, or take them out; %s. "+
		"To train without them, raise data.max_broken, and the run goes on where it stopped", err, find)
}

// folder is where the files of a set are; file is one of them.
func (d Data) folder(s Set, file string) string {
	switch {
	case s.LQ != "":
		return d.path(s.LQ)
	case s.Images != "":
		return d.path(s.Images)
	}
	return filepath.Dir(file)
}

// cacheBytes is the memory for decoded images. A validated recipe has no other texts than those that
// can be read.
func (d Data) cacheBytes() int64 {
	if d.Cache != "" {
		bytes, _ := bytesize.Parse(d.Cache)
		return bytes
	}
	if free, ok := memory.Available(); ok {
		return free / 4
	}
	return datasets.DefaultCacheBytes
}
