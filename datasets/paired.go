package datasets

import (
	"fmt"
	"path"
	"path/filepath"
	"strings"
)

// Rules by which Paired finds the clean picture of a degraded one. Folder (below the given one) and
// extension do not matter for PairPrefix and PairRain.
const (
	// PairSame: equal relative path; the extensions may differ.
	PairSame = "same"
	// PairPrefix: the clean name is the degraded name up to its first "_", as in SOTS
	// (0001_0.8_0.2.jpg belongs to 0001.png). Several degraded pictures may share a clean one, and
	// clean ones without a degraded one are left out.
	PairPrefix = "prefix"
	// PairRain: rain-NNN belongs to norain-NNN, as in Rain100L.
	PairRain = "rain"
)

// PairedConfig configures Paired. LQ and GT are required.
type PairedConfig struct {
	LQ, GT string // folders of degraded and clean pictures
	Rule   string // PairSame (also if empty), PairPrefix or PairRain
	Class  string // class name; empty: the name of folder LQ
	Patch  int    // side of the square crops in pixels; 0: whole pictures
	Seed   uint64
	Eval   bool   // evaluation: no flip or transposition, crops from the middle, each epoch the same
	Cache  *Cache // for decoded pictures of both folders; nil: one of DefaultCacheBytes
	// KeepDamaged leaves pairs with a damaged file in, as samples that are an error (a Concat may pass
	// over them: see Part.Skip). Else one is an error of NewPaired.
	KeepDamaged bool
}

// Paired reads degraded and clean pictures from two folders, in the order of the degraded names.
type Paired struct {
	cfg    PairedConfig
	lq, gt *Images
	match  []int // of degraded picture i, its clean one
}

// NewPaired lists both folders, matches names and compares sizes (reading only the headers), so
// that every problem of the data is reported at once and before training.
func NewPaired(cfg PairedConfig) (*Paired, error) {
	d, err := matchFolders(cfg)
	if err != nil {
		return nil, err
	}
	return d, d.checkSizes()
}

// Pair is the files of a degraded picture and of its clean one.
type Pair struct{ LQ, GT string }

// ListPairs returns the files in two folders that belong together by a rule (see PairedConfig), in the
// order of the degraded names. It opens none of them.
func ListPairs(lq, gt, rule string) ([]Pair, error) {
	d, err := matchFolders(PairedConfig{LQ: lq, GT: gt, Rule: rule})
	if err != nil {
		return nil, err
	}
	pairs := make([]Pair, d.Len())
	for i, j := range d.match {
		pairs[i] = Pair{d.lq.Name(i), d.gt.Name(j)}
	}
	return pairs, nil
}

// matchFolders lists both folders and matches names.
func matchFolders(cfg PairedConfig) (*Paired, error) {
	if cfg.Rule == "" {
		cfg.Rule = PairSame
	}
	if cfg.Rule != PairSame && cfg.Rule != PairPrefix && cfg.Rule != PairRain {
		return nil, fmt.Errorf("unknown pairing rule %q: possible are %q, %q, %q", cfg.Rule, PairSame, PairPrefix, PairRain)
	}
	if cfg.Patch < 0 {
		return nil, fmt.Errorf("patch size is %d, must not be negative", cfg.Patch)
	}
	d := &Paired{cfg: cfg}
	var err error
	if d.lq, err = FromDir(cfg.LQ); err != nil {
		return nil, fmt.Errorf("degraded pictures: %w", err)
	}
	if d.gt, err = FromDir(cfg.GT); err != nil {
		return nil, fmt.Errorf("clean pictures: %w", err)
	}
	if cfg.Cache != nil {
		d.lq.UseCache(cfg.Cache)
	}
	d.gt.UseCache(d.lq.cache)
	return d, d.pair()
}

// pair fills match.
func (d *Paired) pair() error {
	clean := make(map[string][]int, d.gt.Len())
	for i := range d.gt.Len() {
		key := d.cleanKey(i)
		clean[key] = append(clean[key], i)
	}
	var problems []string
	used := make([]bool, d.gt.Len())
	for i := range d.lq.Len() {
		key, err := d.lqKey(i)
		if err != nil {
			problems = append(problems, err.Error())
			continue
		}
		at, problem := d.choose(i, key, clean[key])
		if problem != "" {
			problems = append(problems, problem)
			continue
		}
		used[at] = true
		d.match = append(d.match, at)
	}
	for i, ok := range used {
		if !ok && d.cfg.Rule != PairPrefix && len(clean[d.cleanKey(i)]) == 1 {
			problems = append(problems, fmt.Sprintf("%s has no degraded partner in %s", d.gt.Name(i), d.cfg.LQ))
		}
	}
	return d.report("cannot be paired (rule \""+d.cfg.Rule+"\")", problems)
}

// choose returns the clean picture for degraded picture i among the candidates of its key.
func (d *Paired) choose(i int, key string, candidates []int) (at int, problem string) {
	switch len(candidates) {
	case 0:
		return 0, fmt.Sprintf("%s has no clean partner named %s.* in %s", d.lq.Name(i), key, d.cfg.GT)
	case 1:
		return candidates[0], ""
	}
	for _, c := range candidates { // the same name in several formats: prefer the same extension
		if path.Ext(d.gt.names[c]) == path.Ext(d.lq.names[i]) {
			return c, ""
		}
	}
	return 0, fmt.Sprintf("%s has several clean partners: %s and %s", d.lq.Name(i), d.gt.Name(candidates[0]), d.gt.Name(candidates[1]))
}

// cleanKey is what identifies a clean picture.
func (d *Paired) cleanKey(i int) string {
	if d.cfg.Rule == PairSame {
		return withoutExt(d.gt.names[i])
	}
	return d.gt.stem(i)
}

// lqKey is the cleanKey that degraded picture i asks for.
func (d *Paired) lqKey(i int) (string, error) {
	switch d.cfg.Rule {
	case PairPrefix:
		key, _, _ := strings.Cut(d.lq.stem(i), "_")
		return key, nil
	case PairRain:
		number, ok := strings.CutPrefix(d.lq.stem(i), "rain-")
		if !ok {
			return "", fmt.Errorf("%s is not named rain-NUMBER", d.lq.Name(i))
		}
		return "norain-" + number, nil
	}
	return withoutExt(d.lq.names[i]), nil
}

func withoutExt(name string) string { return strings.TrimSuffix(name, path.Ext(name)) }

// checkSizes compares the dimensions of all pairs.
func (d *Paired) checkSizes() error {
	var problems []string
	for i, j := range d.match {
		w, h, err := d.lq.size(i)
		var gw, gh int
		if err == nil {
			gw, gh, err = d.gt.size(j)
		}
		if d.cfg.KeepDamaged && isDamaged(err) {
			continue
		}
		if err != nil {
			return err
		}
		if w != gw || h != gh {
			problems = append(problems, fmt.Sprintf("%s has %dx%d pixels, %s has %dx%d", d.lq.Name(i), w, h, d.gt.Name(j), gw, gh))
		}
	}
	return d.report("differ in size", problems)
}

// report turns problems into one error that lists the first few.
func (d *Paired) report(what string, problems []string) error {
	if len(problems) == 0 {
		return nil
	}
	return fmt.Errorf("pictures in %s and %s %s: %s. See \"godcpt data check %s\" for the layout that is expected", d.cfg.LQ, d.cfg.GT, what,
		enumerate(problems), filepath.Dir(filepath.Clean(d.cfg.LQ)))
}

// Len is the number of degraded pictures.
func (d *Paired) Len() int { return len(d.match) }

// Classes returns the one class.
func (d *Paired) Classes() []string {
	if d.cfg.Class != "" {
		return []string{d.cfg.Class}
	}
	return []string{path.Base(strings.TrimRight(strings.ReplaceAll(d.cfg.LQ, "\\", "/"), "/"))}
}

// Sample implements Dataset. Name is the file of the degraded picture.
func (d *Paired) Sample(epoch, index int) (Sample, error) {
	lq, err := d.lq.load(index)
	if err != nil {
		return Sample{}, err
	}
	gt, err := d.gt.load(d.match[index])
	if err != nil {
		return Sample{}, err
	}
	s := Sample{Name: d.lq.Name(index)}
	if lq.w != gt.w || lq.h != gt.h { // a file was replaced since the check
		return s, fmt.Errorf("%s has %dx%d pixels, %s has %dx%d: pairs must be equal in size", s.Name, lq.w, lq.h, d.gt.Name(d.match[index]), gt.w, gt.h)
	}
	rng := stream(d.cfg.Seed, epoch, index)
	x, y, w, h := 0, 0, lq.w, lq.h
	if d.cfg.Patch > 0 {
		w, h = d.cfg.Patch, d.cfg.Patch
		x, y = place(lq.w, lq.h, d.cfg.Patch, d.cfg.Eval, rng)
	}
	s.LQ, s.GT = lq.crop(x, y, w, h), gt.crop(x, y, w, h)
	if !d.cfg.Eval {
		if aug := drawAugmentation(rng); aug != unchanged {
			s.LQ, s.GT = aug.cut(s.LQ, 0, 0, w, h), aug.cut(s.GT, 0, 0, w, h)
		}
	}
	return s, nil
}
