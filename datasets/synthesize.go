package datasets

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/goccy/go-yaml"
	"github.com/gofrs/flock"

	"github.com/godcpt/godcpt/datasets/degrade"
	"github.com/godcpt/godcpt/datasets/imageio"
	"github.com/godcpt/godcpt/internal/atomicfile"
	"github.com/godcpt/godcpt/internal/parallel"
	"github.com/godcpt/godcpt/internal/paths"
)

// Names of what Synthesize puts into its folder.
const (
	SynthesisLQ     = "lq"         // folder of the degraded pictures
	SynthesisGT     = "gt"         // folder of the clean ones
	SynthesisRecord = "synth.yaml" // how they were made: a Synthesis
)

// SynthesisConfig configures Synthesize. Only Kind is required.
type SynthesisConfig struct {
	Kind    string         // of the degradation, as recipes name it: see degrade.New
	Params  map[string]any // of the degradation; those not named keep their defaults
	Seed    uint64
	Count   int    // degraded twins of each picture; 0: 1
	Workers int    // pictures at a time, which changes nothing but the speed; 0: one for each processor
	Program string // name and version of the program, for the record
	// Progress is told of each picture when it is done, one after another; nil: nobody.
	Progress func(SynthesisProgress)
}

// SynthesisProgress tells about a picture that is done.
type SynthesisProgress struct {
	Done, Total int // clean pictures
	Input       string
	Err         error // nil: its pairs are there
}

// SynthesisSummary is the result of Synthesize.
type SynthesisSummary struct {
	Pairs  int // in the folder now
	Kept   int // of these, that were there already
	Failed []SynthesisFailure
}

// SynthesisFailure is a picture that could not be read. Err names it.
type SynthesisFailure struct {
	Input string
	Err   error
}

// Synthesis is the record that lies beside the pairs. Two folders with equal records have equal pictures,
// if the clean ones were equal.
type Synthesis struct {
	Program  string         `yaml:"program"`
	Degrade  map[string]any `yaml:"degrade,flow"` // kind and all parameters, as a recipe has them
	Seed     uint64         `yaml:"seed"`
	Count    int            `yaml:"count"`        // degraded twins of each picture
	Pictures int            `yaml:"pictures"`     // clean pictures, those that cannot be read included
	Names    string         `yaml:"names_sha256"` // of their sorted paths, each ended by a newline
}

// Synthesize makes a folder of pairs for Paired (rule PairSame) of a folder of clean pictures: out/lq and
// out/gt hold a PNG of 8 bits each under the relative path that the picture has in its folder, with _1,
// _2, … after its name if Count is above 1, and out/synth.yaml says how they were made.
//
// The first twin of a picture is what the test set of a recipe with the same kind and seed holds, rounded
// to 8 bits. Each twin depends on the record and the position of its picture among the sorted paths alone.
//
// Work that was interrupted goes on: pairs that are there are kept, and a folder that was made with other
// settings, or holds pairs of unknown origin, is refused. Everything is checked before anything is
// written; files appear whole or not at all. One process at a time works in a folder. A
// picture that cannot be read is listed in the summary, and the others are done. An error of writing, and
// the end of ctx, end the work after the pictures at hand.
func Synthesize(ctx context.Context, in, out string, cfg SynthesisConfig) (SynthesisSummary, error) {
	s, err := newSynthesizer(in, out, cfg)
	if err != nil {
		return SynthesisSummary{}, err
	}
	end, err := s.begin()
	if err != nil {
		return SynthesisSummary{}, err
	}
	defer end()
	return s.run(ctx)
}

// CountSynthesis returns how many pictures Synthesize would degrade, or why it would not begin.
func CountSynthesis(in, out string, cfg SynthesisConfig) (int, error) {
	s, err := newSynthesizer(in, out, cfg)
	if err != nil {
		return 0, err
	}
	return s.images.Len(), nil
}

// ParseParameters returns the parameters of a degradation of words such as "beta=1", "angle=[-5, 5]" and
// "preset=heavy", whose values are written as in a recipe.
func ParseParameters(words []string) (map[string]any, error) {
	params := map[string]any{}
	for _, word := range words {
		key, text, ok := strings.Cut(word, "=")
		if !ok || key == "" {
			return nil, fmt.Errorf("parameter %q: write key=value, as in beta=1 or angle=[-5,5]", word)
		}
		if _, twice := params[key]; twice {
			return nil, fmt.Errorf("parameter %s is given twice", key)
		}
		var value any
		if err := yaml.Unmarshal([]byte(text), &value); err != nil {
			return nil, fmt.Errorf("parameter %s: %q is neither a number, a name nor a list as in [1, 2]", key, text)
		}
		params[key] = value
	}
	return params, nil
}

// synthesizer is one call of Synthesize.
type synthesizer struct {
	cfg         SynthesisConfig
	out         string
	images      *Images
	degradation degrade.Degradation
	record      Synthesis
}

// newSynthesizer checks everything that can be checked before a picture is read, and writes nothing.
func newSynthesizer(in, out string, cfg SynthesisConfig) (*synthesizer, error) {
	if cfg.Count < 0 || cfg.Workers < 0 {
		return nil, fmt.Errorf("count %d and workers %d must not be negative", cfg.Count, cfg.Workers)
	}
	cfg.Count = max(cfg.Count, 1)
	if cfg.Workers == 0 {
		cfg.Workers = runtime.GOMAXPROCS(0)
	}
	s := &synthesizer{cfg: cfg, out: out}
	var err error
	if s.degradation, err = degrade.New(cfg.Kind, cfg.Params); err != nil {
		return nil, err
	}
	if s.images, err = FromDir(in); err != nil {
		return nil, err
	}
	s.images.UseCache(NewCache(0)) // each picture is needed once
	if err := s.checkNames(); err != nil {
		return nil, err
	}
	if paths.Inside(out, in) {
		return nil, fmt.Errorf("the output %s lies in the folder of clean pictures %s, and would be taken for a part of it: choose another output", out, in)
	}
	if s.record, err = s.newRecord(); err != nil {
		return nil, err
	}
	return s, s.checkFolder()
}

// checkNames refuses pictures that would become one.
func (s *synthesizer) checkNames() error {
	first := map[string]string{}
	for i, name := range s.images.names {
		stem := s.images.key(i)
		if other, taken := first[stem]; taken {
			return fmt.Errorf("%s and %s would both become %s.png: rename one of them", other, name, stem)
		}
		first[stem] = name
	}
	return nil
}

func (s *synthesizer) newRecord() (Synthesis, error) {
	params, err := degrade.Parameters(s.cfg.Kind, s.cfg.Params)
	if err != nil {
		return Synthesis{}, err
	}
	all := map[string]any{"kind": s.cfg.Kind}
	if _, ok := s.degradation.(degrade.Compose); ok {
		all["kind"] = "compose" // the form that has parameters
	}
	maps.Copy(all, params)
	names := sha256.New()
	for _, name := range s.images.names {
		fmt.Fprintln(names, name)
	}
	return Synthesis{
		Program: s.cfg.Program, Degrade: all, Seed: s.cfg.Seed, Count: s.cfg.Count,
		Pictures: s.images.Len(), Names: fmt.Sprintf("%x", names.Sum(nil)),
	}, nil
}

// checkFolder refuses a folder that holds pairs which this call would not make.
func (s *synthesizer) checkFolder() error {
	if info, err := os.Stat(s.out); err == nil && !info.IsDir() {
		return fmt.Errorf("%s is a file, but a folder is needed for the pairs", s.out)
	}
	recordPath := filepath.Join(s.out, SynthesisRecord)
	data, err := os.ReadFile(recordPath)
	if errors.Is(err, fs.ErrNotExist) {
		for _, side := range []string{SynthesisLQ, SynthesisGT} {
			if dir := filepath.Join(s.out, side); exists(dir) {
				return fmt.Errorf("%s exists already, and there is no %s that says how it was made: choose another output", dir, SynthesisRecord)
			}
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot read how the pairs in %s were made: %w", s.out, err)
	}
	var there, here Synthesis
	if err := yaml.UnmarshalWithOptions(data, &there, yaml.Strict()); err != nil {
		return fmt.Errorf("%s does not say how the pairs beside it were made (%s): choose another output", recordPath, strings.SplitN(err.Error(), "\n", 2)[0])
	}
	text, err := yaml.Marshal(s.record)
	if err != nil {
		return err
	}
	if err := yaml.Unmarshal(text, &here); err != nil { // with the types that reading gives
		return err
	}
	if what := there.differsFrom(here); what != "" {
		return fmt.Errorf("the pairs in %s were made with other settings (%s): choose another output", s.out, what)
	}
	return nil
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

// differsFrom says what the first difference of two records is, "" if there is none.
func (there Synthesis) differsFrom(here Synthesis) string {
	keys := slices.Sorted(maps.Keys(there.Degrade))
	for _, key := range slices.Sorted(maps.Keys(here.Degrade)) {
		if !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	type field struct {
		name        string
		there, here any
	}
	fields := []field{{"kind", there.Degrade["kind"], here.Degrade["kind"]}}
	for _, key := range keys {
		fields = append(fields, field{key, there.Degrade[key], here.Degrade[key]})
	}
	fields = append(fields, field{"seed", there.Seed, here.Seed}, field{"count", there.Count, here.Count},
		field{"pictures", there.Pictures, here.Pictures}, field{"program", there.Program, here.Program})
	for _, f := range fields {
		if !reflect.DeepEqual(f.there, f.here) {
			text := fmt.Sprintf("%s is %v there, %v now", f.name, f.there, f.here)
			if len(text) > 150 { // the steps of a composition
				text = f.name + " differ"
			}
			return text
		}
	}
	if there.Names != here.Names {
		return "the clean pictures have other names"
	}
	return ""
}

// begin makes the folder and its record, for this process alone until end, and removes what a killed process
// has left half-written.
func (s *synthesizer) begin() (end func(), err error) {
	if err := os.MkdirAll(s.out, 0o755); err != nil {
		return nil, fmt.Errorf("cannot make the output folder: %w", err)
	}
	lock := flock.New(filepath.Join(s.out, ".synth.lock"))
	if ok, err := lock.TryLock(); err != nil {
		return nil, fmt.Errorf("cannot lock the output folder: %w", err)
	} else if !ok {
		return nil, fmt.Errorf("another process is making the pairs in %s: wait for it", s.out)
	}
	end = func() {
		os.Remove(lock.Path())
		lock.Unlock()
	}
	if err := s.prepare(); err != nil {
		end()
		return nil, err
	}
	return end, nil
}

// prepare writes the record, if there is none, and removes half-written files.
func (s *synthesizer) prepare() error {
	if err := s.checkFolder(); err != nil { // again: another process may have begun since
		return err
	}
	for _, side := range []string{SynthesisLQ, SynthesisGT} {
		err := filepath.WalkDir(filepath.Join(s.out, side), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.IsDir() {
				return err
			}
			return atomicfile.RemoveLeftovers(path)
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("cannot look at the pairs that are there: %w", err)
		}
	}
	recordPath := filepath.Join(s.out, SynthesisRecord)
	if exists(recordPath) {
		return nil
	}
	text, err := yaml.Marshal(s.record)
	if err != nil {
		return err
	}
	return atomicfile.WriteBytes(recordPath, text)
}

// run degrades all pictures.
func (s *synthesizer) run(ctx context.Context) (SynthesisSummary, error) {
	var summary SynthesisSummary
	failed, done := map[int]error{}, 0
	var mu sync.Mutex // of all of these, and of Progress
	err := parallel.Each(ctx, s.images.Len(), s.cfg.Workers, func(i int) error {
		kept, unreadable, err := s.picture(i)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		if unreadable != nil {
			failed[i] = unreadable
		} else {
			summary.Pairs += s.cfg.Count
			summary.Kept += kept
		}
		done++
		if s.cfg.Progress != nil {
			s.cfg.Progress(SynthesisProgress{done, s.images.Len(), s.images.Name(i), unreadable})
		}
		return nil
	})
	for _, i := range slices.Sorted(maps.Keys(failed)) {
		summary.Failed = append(summary.Failed, SynthesisFailure{s.images.Name(i), failed[i]})
	}
	return summary, err
}

// picture makes the pairs of picture i, and says how many of them were there. A picture that cannot be
// read is no error of the work.
func (s *synthesizer) picture(i int) (kept int, unreadable, err error) {
	var missing []int
	for k := range s.cfg.Count {
		if exists(s.path(SynthesisLQ, i, k)) && exists(s.path(SynthesisGT, i, k)) {
			kept++
		} else {
			missing = append(missing, k)
		}
	}
	if len(missing) == 0 {
		return kept, nil, nil
	}
	clean, unreadable := s.images.Image(i)
	if unreadable != nil {
		return 0, unreadable, nil
	}
	for _, k := range missing {
		degraded := s.degradation.Apply(clean, stream(s.cfg.Seed, k, i)) // k = 0: as Synthetic with Eval
		for side, im := range map[string]*imageio.Image{SynthesisLQ: degraded, SynthesisGT: clean} {
			file := s.path(side, i, k)
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				return 0, nil, fmt.Errorf("cannot make the output folder: %w", err)
			}
			if err := imageio.Write(file, im); err != nil {
				return 0, nil, err
			}
		}
	}
	return kept, nil, nil
}

// path is the file of twin k of picture i, or of its clean partner.
func (s *synthesizer) path(side string, i, k int) string {
	name := s.images.key(i)
	if s.cfg.Count > 1 {
		name += fmt.Sprintf("_%0*d", len(fmt.Sprint(s.cfg.Count)), k+1)
	}
	return filepath.Join(s.out, side, filepath.FromSlash(path.Clean(name)+".png"))
}
