package dcpt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/godcpt/godcpt/datasets/benchmark"
)

// validateBenchmark checks a set that is named as in package benchmark.
func (s Set) validateBenchmark() error {
	set, split, err := benchmark.FindSplit(s.Benchmark)
	if err != nil {
		return err
	}
	switch {
	case s.Images != "" || s.LQ != "" || s.GT != "" || s.Pair != "" || s.List != "":
		return errors.New("benchmark says where the images lie and how they pair: leave images, lq, gt, pair and list out")
	case split.Pairs() && s.Degrade != nil:
		return fmt.Errorf("%s has degraded images of its own: leave degrade out", set.Spec(split))
	case !split.Pairs() && s.Degrade == nil && set.Degrade == nil:
		return fmt.Errorf("%s has clean images only: add degrade, as in degrade: {kind: noise}", set.Spec(split))
	}
	return nil
}

// locate returns a set that names a benchmark with the folders in which that lies, others as they are.
func (d Data) locate(s Set) (Set, error) {
	if s.Benchmark == "" {
		return s, nil
	}
	set, split, err := benchmark.FindSplit(s.Benchmark)
	if err != nil {
		return s, err
	}
	dir := d.path(s.Dir)
	if s.Dir == "" {
		dir = set.DefaultDir(d.Root)
	}
	layout, err := split.In(dir)
	switch {
	case errors.Is(err, os.ErrNotExist) && s.Dir == "":
		return s, fmt.Errorf("%w\nSay where %s lies (dir in a recipe, --benchmark %s=DIR of eval); godcpt data get %s gets it, or says how", err, set.Name, set.Name, set.Name)
	case err != nil:
		return s, fmt.Errorf("%w\nSee: godcpt data check %s --as %s", err, dir, set.Name)
	}
	at, err := layout.Under(dir).Absolute()
	if err != nil {
		return s, err
	}
	s.Benchmark, s.Dir, s.List = "", "", at.List
	if !split.Pairs() {
		s.Images = at.GT
		if s.Degrade == nil {
			s.Degrade = set.Degrade
		}
		return s, nil
	}
	s.LQ, s.GT, s.Pair, s.trimGT = at.LQ, at.GT, at.Pair, at.TrimGT
	return s, nil
}

// explain adds to the error of opening a set what should have been written if one of its folders is that
// of a benchmark, which has degraded and clean images in folders of their own. Without an error, that is
// one.
func (d Data) explain(s Set, err error) error {
	for _, folder := range []string{s.LQ, s.GT, s.Images} {
		if folder == "" || strings.HasPrefix(folder, samplePrefix) {
			continue
		}
		m, ok := benchmarkAt(d.path(folder))
		if !ok || folder == s.Images && !m.Split.Pairs() {
			continue
		}
		instead := fmt.Errorf("%s is the folder of %s: write benchmark: %s and dir: %s instead", m.Dir, m.Set.Name, m.Set.Spec(m.Split), m.Dir)
		if err == nil {
			return instead
		}
		return fmt.Errorf("%w\n%w", err, instead)
	}
	return err
}

// benchmarkAt returns the benchmark whose folder a path is, or would be in if it existed.
func benchmarkAt(path string) (benchmark.Match, bool) {
	path = filepath.Clean(path)
	if _, err := os.Stat(path); err != nil {
		path = filepath.Dir(path)
	}
	if !benchmark.Bears(path) { // the usual case, in which the folder need not be listed once more
		return benchmark.Match{}, false
	}
	matches, _ := benchmark.Recognise(path)
	for _, m := range matches {
		if m.Named() && m.Dir == path {
			return m, true
		}
	}
	return benchmark.Match{}, false
}
