package datasets

import (
	"cmp"
	"fmt"
	"path"
	"path/filepath"
	"strings"
)

// PairedConfig configures Paired. LQ and GT are required.
type PairedConfig struct {
	LQ, GT string // folders of degraded and clean pictures, or patterns of folders: see FromDir
	Rule   string // PairSame (also if empty), PairName, PairPrefix, PairRain, PairOrder or two patterns
	List   string // file that names the pictures to use, or the pairs: see FromList; "": all
	TrimGT int    // pixels that are cut at each side of clean pictures if they are larger by just that
	Class  string // class name; empty: the name of folder LQ
	Patch  int    // side of the square crops in pixels; 0: whole pictures
	Seed   uint64
	Eval   bool   // evaluation: no flip or transposition, crops from the middle, each epoch the same
	Cache  *Cache // for decoded pictures of both folders; nil: one of DefaultCacheBytes
	// KeepDamaged leaves pairs with a damaged file in, as samples that are an error (a Concat may pass
	// over them: see Part.Skip). Else one is an error of NewPaired.
	KeepDamaged bool
}

// Pairing says which pictures of two folders belong together.
type Pairing struct {
	LQ, GT   *Images
	Pairs    []PairIndex    // in the order of the degraded pictures
	Unpaired []UnpairedFile // in the order of the degraded pictures, then of the clean ones
}

// PairIndex is a pair by the positions of its pictures.
type PairIndex struct{ LQ, GT int }

// UnpairedFile is a picture without a partner, or a line of a list that names no pair.
type UnpairedFile struct {
	File    string
	Problem string // names the file
}

// Pair lists both folders and matches names; of cfg it reads LQ, GT, Rule and List. Pictures without a
// partner are no error here, folders without pictures are.
func Pair(cfg PairedConfig) (*Pairing, error) {
	rule, err := parsePairRule(cfg.Rule)
	if err != nil {
		return nil, err
	}
	p := &Pairing{}
	if p.LQ, err = FromDir(cfg.LQ); err != nil {
		return nil, fmt.Errorf("degraded pictures: %w", err)
	}
	if p.GT, err = FromDir(cfg.GT); err != nil {
		return nil, fmt.Errorf("clean pictures: %w", err)
	}
	switch {
	case filepath.Clean(cfg.LQ) != filepath.Clean(cfg.GT):
		p.separate()
	case rule.splits():
		p.split(rule)
	}
	if cfg.List == "" {
		p.byRule(rule, cfg.GT)
		return p, nil
	}
	lines, err := readList(cfg.List)
	if err != nil {
		return nil, err
	}
	if len(lines[0]) == 2 {
		p.byList(lines, cfg.List)
		return p, nil
	}
	if rule.order {
		return nil, fmt.Errorf("%s names single pictures, which have no partner by their order (rule %q): name pairs in it", cfg.List, PairOrder)
	}
	for _, name := range p.LQ.restrict(lines) {
		p.unpaired(name, "%s, which %s names, is not in %s", name, cfg.List, cfg.LQ)
	}
	rule.shared = true // the list leaves clean pictures over
	p.byRule(rule, cfg.GT)
	return p, nil
}

func (p *Pairing) unpaired(file, problem string, args ...any) {
	p.Unpaired = append(p.Unpaired, UnpairedFile{file, fmt.Sprintf(problem, args...)})
}

// split tells degraded and clean pictures in one folder apart, and from others that may lie there.
func (p *Pairing) split(rule pairRule) {
	var lq, gt []string
	for i, name := range p.LQ.names {
		if _, degraded := rule.lq.cut(p.LQ.stem(i)); degraded {
			lq = append(lq, name)
		} else if _, clean := rule.gt.cut(p.LQ.stem(i)); clean {
			gt = append(gt, name)
		}
	}
	p.LQ.setNames(lq)
	p.GT.setNames(gt)
}

// separate leaves the pictures of a folder out of the other one if it lies in that.
func (p *Pairing) separate() {
	drop := func(from, inner *Images) {
		in := make(map[string]bool, inner.Len())
		for i := range inner.Len() {
			in[inner.Name(i)] = true
		}
		var kept []string
		for i, name := range from.names {
			if !in[from.Name(i)] {
				kept = append(kept, name)
			}
		}
		from.setNames(kept)
	}
	if p.LQ.Len() < p.GT.Len() {
		drop(p.GT, p.LQ)
	} else {
		drop(p.LQ, p.GT)
	}
}

// byOrder pairs the first degraded picture with the first clean one, and so on.
func (p *Pairing) byOrder() {
	if p.LQ.Len() != p.GT.Len() {
		p.unpaired(p.LQ.place(), "there are %d degraded and %d clean pictures, which cannot be paired by their order", p.LQ.Len(), p.GT.Len())
		return
	}
	for i := range p.LQ.Len() {
		p.Pairs = append(p.Pairs, PairIndex{i, i})
	}
}

// byRule pairs by names. The folder of the clean pictures is for messages.
func (p *Pairing) byRule(rule pairRule, gtDir string) {
	if rule.order {
		p.byOrder()
		return
	}
	key := func(s *Images, i int) string {
		if rule.folders {
			return s.key(i)
		}
		return s.stem(i)
	}
	clean := make(map[string][]int, p.GT.Len())
	for i := range p.GT.Len() {
		k := key(p.GT, i)
		clean[k] = append(clean[k], i)
	}
	used := make([]bool, p.GT.Len())
	for i := range p.LQ.Len() {
		dir, stem := path.Split(key(p.LQ, i))
		stem, err := rule.cleanStem(stem)
		if err != nil {
			p.unpaired(p.LQ.Name(i), "%s %v", p.LQ.Name(i), err)
			continue
		}
		at, problem := p.choose(i, dir+stem, gtDir, clean[dir+stem])
		if problem != "" {
			p.unpaired(p.LQ.Name(i), "%s", problem)
			continue
		}
		used[at] = true
		p.Pairs = append(p.Pairs, PairIndex{i, at})
	}
	for i, ok := range used {
		if !ok && !rule.shared && len(clean[key(p.GT, i)]) == 1 {
			p.unpaired(p.GT.Name(i), "%s has no degraded partner", p.GT.Name(i))
		}
	}
}

// choose returns the clean picture for degraded picture i among the candidates of its key.
func (p *Pairing) choose(i int, key, gtDir string, candidates []int) (at int, problem string) {
	switch len(candidates) {
	case 0:
		return 0, fmt.Sprintf("%s has no clean partner named %s.* in %s", p.LQ.Name(i), key, gtDir)
	case 1:
		return candidates[0], ""
	}
	for _, c := range candidates { // the same name in several formats: prefer the same extension
		if path.Ext(p.GT.names[c]) == path.Ext(p.LQ.names[i]) {
			return c, ""
		}
	}
	return 0, fmt.Sprintf("%s has several clean partners: %s and %s", p.LQ.Name(i), p.GT.Name(candidates[0]), p.GT.Name(candidates[1]))
}

// byList pairs as a list file says.
func (p *Pairing) byList(lines [][]string, file string) {
	lqBase, gtBase := p.LQ.byBase(), p.GT.byBase()
	for _, line := range lines {
		lq, gt, ok := p.listedPair(lqBase, gtBase, line)
		if !ok {
			p.unpaired(line[0], "%s and %s, which %s names, are not both there", line[0], line[1], file)
			continue
		}
		p.Pairs = append(p.Pairs, PairIndex{lq, gt})
	}
}

// Paired reads degraded and clean pictures from two folders, in the order of the degraded names.
type Paired struct {
	cfg    PairedConfig
	lq, gt *Images
	pairs  []PairIndex
}

// NewPaired lists both folders, matches names and compares sizes (reading only the headers), so
// that every problem of the data is reported at once and before training.
func NewPaired(cfg PairedConfig) (*Paired, error) {
	if cfg.Patch < 0 || cfg.TrimGT < 0 {
		return nil, fmt.Errorf("patch size %d and trim %d must not be negative", cfg.Patch, cfg.TrimGT)
	}
	p, err := pairAll(cfg)
	if err != nil {
		return nil, err
	}
	d := &Paired{cfg: cfg, lq: p.LQ, gt: p.GT, pairs: p.Pairs}
	if cfg.Cache != nil {
		d.lq.UseCache(cfg.Cache)
	}
	d.gt.UseCache(d.lq.cache)
	return d, d.checkSizes()
}

// PairFiles is the files of a degraded picture and of its clean one.
type PairFiles struct{ LQ, GT string }

// ListPairs returns the files in two folders that belong together, in the order of the degraded names; of cfg
// it reads LQ, GT, Rule and List. It opens none of them. A picture without a partner is an error.
func ListPairs(cfg PairedConfig) ([]PairFiles, error) {
	p, err := pairAll(cfg)
	if err != nil {
		return nil, err
	}
	pairs := make([]PairFiles, len(p.Pairs))
	for i, pair := range p.Pairs {
		pairs[i] = PairFiles{p.LQ.Name(pair.LQ), p.GT.Name(pair.GT)}
	}
	return pairs, nil
}

// pairAll is Pair where a picture without a partner is an error.
func pairAll(cfg PairedConfig) (*Pairing, error) {
	p, err := Pair(cfg)
	if err != nil {
		return nil, err
	}
	var problems []string
	for _, u := range p.Unpaired {
		problems = append(problems, u.Problem)
	}
	return p, cfg.report("cannot be paired (rule \""+cmp.Or(cfg.Rule, PairSame)+"\")", problems)
}

// checkSizes compares the dimensions of all pairs.
func (d *Paired) checkSizes() error {
	var problems []string
	first := true
	for _, pair := range d.pairs {
		w, h, err := d.lq.size(pair.LQ)
		var gw, gh int
		if err == nil {
			gw, gh, err = d.gt.size(pair.GT)
		}
		if d.cfg.KeepDamaged && isDamaged(err) {
			continue
		}
		if err != nil {
			return err
		}
		if border := 2 * d.cfg.TrimGT; first && border > 0 && gw == w+border && gh == h+border {
			d.gt.trim, gw, gh = d.cfg.TrimGT, w, h // in copies that were trimmed already, there is nothing to cut
		}
		first = false
		if w != gw || h != gh {
			problems = append(problems, fmt.Sprintf("%s has %dx%d pixels, %s has %dx%d", d.lq.Name(pair.LQ), w, h, d.gt.Name(pair.GT), gw, gh))
		}
	}
	return d.cfg.report("differ in size", problems)
}

// report turns problems into one error that lists the first few.
func (cfg PairedConfig) report(what string, problems []string) error {
	if len(problems) == 0 {
		return nil
	}
	return fmt.Errorf("pictures in %s and %s %s: %s. See \"godcpt data check %s\" for the layout that is expected", cfg.LQ, cfg.GT, what,
		enumerate(problems), filepath.Dir(filepath.Clean(cfg.LQ)))
}

// Len is the number of pairs.
func (d *Paired) Len() int { return len(d.pairs) }

// Classes returns the one class.
func (d *Paired) Classes() []string {
	if d.cfg.Class != "" {
		return []string{d.cfg.Class}
	}
	return []string{path.Base(strings.TrimRight(strings.ReplaceAll(d.cfg.LQ, "\\", "/"), "/"))}
}

// Sample implements Dataset. Name is the file of the degraded picture.
func (d *Paired) Sample(epoch, index int) (Sample, error) {
	pair := d.pairs[index]
	lq, err := d.lq.load(pair.LQ)
	if err != nil {
		return Sample{}, err
	}
	gt, err := d.gt.load(pair.GT)
	if err != nil {
		return Sample{}, err
	}
	s := Sample{Name: d.lq.Name(pair.LQ)}
	if lq.w != gt.w || lq.h != gt.h { // a file was replaced since the check
		return s, fmt.Errorf("%s has %dx%d pixels, %s has %dx%d: pairs must be equal in size", s.Name, lq.w, lq.h, d.gt.Name(pair.GT), gt.w, gt.h)
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
