package datasets

import (
	"fmt"
	"strings"
)

// Rules by which the clean picture of a degraded one is found. Extensions never matter.
//
// Beside these, "LQ*=GT*" is a rule: two patterns of file names without extension, with one star each
// that stands for the same characters, in equal folders. "low*=normal*" pairs low00690 with normal00690
// (LOL v2), "*x2=*" pairs norain-1x2 with norain-1 (Rain200L), "blur_*=gt_*" is RealBlur. If degraded
// and clean pictures lie in one folder, such a rule tells them apart.
const (
	// PairSame: equal path below the two folders, whose stars (see FromDir) stand for the same.
	PairSame = "same"
	// PairName: equal file name, in whatever sub-folder, as in HIDE, whose clean pictures lie in one
	// folder. Clean ones without a degraded one are left out.
	PairName = "name"
	// PairPrefix: the clean name is the degraded name up to its first "_", in whatever sub-folder, as in
	// RESIDE (0001_0.8_0.2.jpg belongs to 0001.png). Several degraded pictures may share a clean one,
	// and clean ones without a degraded one are left out.
	PairPrefix = "prefix"
	// PairRain: rain-NNN belongs to norain-NNN, as in Rain100L. It is short for "rain-*=norain-*".
	PairRain = "rain"
	// PairOrder: the pictures of equal position when both folders are sorted by name, as in DPDD, where
	// 1P0A0917 belongs to 1P0A0916. Nothing tells if a picture is missing on each side.
	PairOrder = "order"
)

// pairRule tells which clean name a degraded name asks for.
type pairRule struct {
	name    string
	lq, gt  namePattern // what names have to look like
	prefix  bool        // the degraded name counts up to its first "_"
	order   bool        // names do not count
	folders bool        // sub-folders must be equal, too
	shared  bool        // clean pictures may have any number of degraded ones, also none
}

// namePattern is a file name without extension with a star in it.
type namePattern struct{ before, after string }

// cut returns what the star stands for.
func (p namePattern) cut(stem string) (string, bool) {
	if len(stem) <= len(p.before)+len(p.after) || !strings.HasPrefix(stem, p.before) || !strings.HasSuffix(stem, p.after) {
		return "", false
	}
	return stem[len(p.before) : len(stem)-len(p.after)], true
}

func (p namePattern) with(star string) string { return p.before + star + p.after }

// CheckPairRule says what is wrong with a rule; "" is PairSame.
func CheckPairRule(rule string) error {
	_, err := parsePairRule(rule)
	return err
}

func parsePairRule(name string) (pairRule, error) {
	switch name {
	case PairSame, "":
		return pairRule{name: PairSame, folders: true}, nil
	case PairName:
		return pairRule{name: name, shared: true}, nil
	case PairPrefix:
		return pairRule{name: name, prefix: true, shared: true}, nil
	case PairOrder:
		return pairRule{name: name, order: true}, nil
	case PairRain:
		return pairRule{name: name, lq: namePattern{before: "rain-"}, gt: namePattern{before: "norain-"}, folders: true}, nil
	}
	lq, gt, ok := strings.Cut(name, "=")
	r := pairRule{name: name, folders: true}
	if ok = ok && r.lq.parse(lq) && r.gt.parse(gt); !ok {
		return r, fmt.Errorf("unknown pairing rule %q: possible are %q, %q, %q, %q, %q, and two patterns such as %q (degraded name = clean name)",
			name, PairSame, PairName, PairPrefix, PairRain, PairOrder, "low*=normal*")
	}
	return r, nil
}

func (p *namePattern) parse(text string) (ok bool) {
	p.before, p.after, ok = strings.Cut(text, "*")
	return ok && !strings.ContainsAny(text, `/\`) && !strings.Contains(p.after, "*")
}

// cleanStem returns the name, without extension, of the clean picture that a degraded name asks for.
func (r pairRule) cleanStem(stem string) (string, error) {
	if r.prefix {
		stem, _, _ = strings.Cut(stem, "_")
		return stem, nil
	}
	star, ok := r.lq.cut(stem)
	if !ok {
		return "", fmt.Errorf("is not named %s", r.lq.with("*"))
	}
	return r.gt.with(star), nil
}

// splits reports whether the rule tells degraded and clean pictures in one folder apart.
func (r pairRule) splits() bool { return r.lq != r.gt }
