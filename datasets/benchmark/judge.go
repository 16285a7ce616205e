package benchmark

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/godcpt/godcpt/internal/suggest"
)

// judge compares what was found with what should be there.
func (p *Part) judge(pictures map[string]picture) {
	p.judgeCorrupt(pictures)
	p.judgePairs(pictures)
	p.judgeNames()
	p.judgeSizes(pictures)
	p.judgeDuplicates(pictures)
	if p.Official > 0 && p.Found > p.Official {
		p.problem(Surplus, nil, "remove what does not belong to the set, or name another set with --as",
			"%d %s, where the set has %d", p.Found, p.Noun(), p.Official)
	}
}

func (p *Part) problem(kind string, files []string, do, text string, args ...any) {
	p.Problems = append(p.Problems, Problem{Kind: kind, Text: fmt.Sprintf(text, args...), Files: files, Do: do})
}

func (p *Part) note(text string, args ...any) { p.Notes = append(p.Notes, fmt.Sprintf(text, args...)) }

// short is the path of a file within the folder.
func (p *Part) short(file string) string {
	if rel, err := filepath.Rel(p.Dir, file); err == nil && within(file, p.Dir) {
		return filepath.ToSlash(rel)
	}
	return file
}

// count is "1 picture" or "7 pictures".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func (p *Part) judgeCorrupt(pictures map[string]picture) {
	var bad []string
	for _, side := range [][]string{p.lq, p.gt} {
		for _, f := range side {
			if err := pictures[f].err; err != nil {
				bad = append(bad, strings.ReplaceAll(err.Error(), f, p.short(f)))
			}
		}
	}
	slices.Sort(bad)
	if bad = slices.Compact(bad); len(bad) > 0 {
		p.problem(Corrupt, bad, "copy or download them again", "%s cannot be read", count(len(bad), "file"))
	}
}

// judgePairs looks at partners, their sizes and whether they differ at all.
func (p *Part) judgePairs(pictures map[string]picture) {
	if p.pairing == nil {
		return
	}
	var alone, unequal, equal []string
	for _, u := range p.pairing.Unpaired {
		alone = append(alone, p.short(u.File))
	}
	if p.swappedNames() {
		p.problem(Swapped, nil, p.exchange(), "degraded and clean pictures are in each other's folder, as their names say")
		return
	}
	if len(alone) > 0 {
		p.problem(Unpaired, alone, fmt.Sprintf("fetch the partners, or move these elsewhere (pairs are found by the rule %q)", p.Pair),
			"%s without a partner", count(len(alone), "picture"))
	}
	trimmed := 0
	for _, pair := range p.pairing.Pairs {
		lq, gt := p.lq[pair.LQ], p.gt[pair.GT]
		a, b := pictures[lq], pictures[gt]
		border := 2 * p.layout.TrimGT
		switch {
		case a.err != nil || b.err != nil:
		case a.pixels == b.pixels:
			equal = append(equal, p.short(lq))
		case a.w == b.w && a.h == b.h:
		case a.w+border == b.w && a.h+border == b.h:
			trimmed++
		default:
			unequal = append(unequal, fmt.Sprintf("%s (%dx%d) and %s (%dx%d)", p.short(lq), a.w, a.h, p.short(gt), b.w, b.h))
		}
	}
	if trimmed > 0 && len(unequal) == 0 && trimmed == len(p.pairing.Pairs) {
		p.note("clean pictures are larger by %d pixels at each side, as published: they are trimmed when read by `benchmark:`", p.layout.TrimGT)
	} else if trimmed > 0 {
		p.problem(Unequal, nil, "fetch the set again: it is a mixture of two copies", "%s trimmed, the others not", count(len(p.pairing.Pairs)-trimmed, "clean picture"))
	}
	if len(unequal) > 0 {
		p.problem(Unequal, unequal, "fetch both folders from one source: one of them was cut or resized", "%s unequal in size", count(len(unequal), "pair"))
	}
	if len(equal) > 0 {
		p.problem(Undegraded, equal, "copy the degraded pictures again: clean ones are in their place", "%s equal to the clean one", count(len(equal), "degraded picture"))
	}
	p.judgeSwapped(pictures)
}

// judgeNames compares with the official names.
func (p *Part) judgeNames() {
	if p.split == nil {
		return
	}
	sides := []struct {
		files   []string
		pattern string
		count   int
	}{{p.lq, p.split.Pattern.LQ, p.split.LQ}, {p.gt, p.split.Pattern.GT, p.split.GT}}
	var wrong, lossy []string
	total, strange := 0, 0
	for _, side := range sides {
		if side.pattern == "" {
			continue
		}
		official := newOfficialNames(side.pattern, side.count)
		var misnamed []string
		for _, f := range side.files {
			ok, ext := official.has(filepath.Base(f))
			switch {
			case !ok:
				misnamed = append(misnamed, f)
			case ext != "" && isJPEG(filepath.Ext(f)) && !isJPEG(ext):
				lossy = append(lossy, p.short(f))
			}
		}
		missing := official.missing(side.files)
		total, strange = total+len(side.files), strange+len(misnamed)
		for _, f := range misnamed {
			text := p.short(f)
			if near := suggest.Nearest(filepath.Base(f), missing); near != "" {
				text += " (" + near + "?)"
			}
			wrong = append(wrong, text)
		}
		if len(side.files) > len(misnamed) { // else all would be missing
			p.Missing = append(p.Missing, missing...)
		}
	}
	if len(lossy) > 0 {
		p.problem(Recompressed, lossy, "fetch the original files: JPEG has changed their pixels", "%s in place of lossless ones", count(len(lossy), "JPEG file"))
	}
	switch {
	case strange == 0:
	case 2*strange > total:
		p.note("%d of %d file names are not the official ones: a renamed copy, or other pictures", strange, total)
	default:
		p.problem(Misnamed, wrong, "rename them", "%s without an official name", count(len(wrong), "file"))
	}
}

func isJPEG(ext string) bool {
	ext = strings.ToLower(ext)
	return ext == ".jpg" || ext == ".jpeg"
}

// judgeSizes compares with the sizes of the official pictures and of known copies.
func (p *Part) judgeSizes(pictures map[string]picture) {
	if p.split == nil || p.split.Sizes == nil {
		return
	}
	side := p.gt
	if p.LQ != "" {
		side = p.lq
	}
	variants := make([]int, len(p.set.Variants))
	var others []string
	readable := 0
	for _, f := range side {
		pic := pictures[f]
		if pic.err != nil {
			continue
		}
		readable++
		size := fmt.Sprintf("%dx%d", pic.w, pic.h)
		if slices.Contains(p.split.Sizes, size) {
			continue
		}
		i := slices.IndexFunc(p.set.Variants, func(v Variant) bool { return slices.Contains(v.Sizes, size) })
		if i >= 0 {
			variants[i]++
			continue
		}
		others = append(others, fmt.Sprintf("%s (%s)", p.short(f), size))
	}
	for i, n := range variants {
		switch {
		case n == readable && n > 0:
			p.Variant = p.set.Variants[i].About
		case n > 0:
			p.note("%d of %d pictures as in a known copy: %s", n, readable, p.set.Variants[i].About)
		}
	}
	if len(others) > 0 {
		p.problem(Resized, others, "fetch the original pictures: scores on these cannot be compared with published ones",
			"%s of another size than the official %s", count(len(others), "picture"), strings.Join(p.split.Sizes, ", "))
	}
}

// judgeDuplicates looks for equal pictures. Clean pictures that serve several pairs may lie there twice:
// some official sets have that.
func (p *Part) judgeDuplicates(pictures map[string]picture) {
	const do = "keep one of each, unless the set is published so"
	if p.LQ == "" {
		if equal := p.equal(p.gt, pictures); len(equal) > 0 {
			p.problem(Duplicated, equal, do, "%s more than once", count(len(equal), "picture"))
		}
		return
	}
	if equal := p.equal(p.lq, pictures); len(equal) > 0 {
		p.problem(Duplicated, equal, do, "%s more than once", count(len(equal), "degraded picture"))
	}
	if equal := p.equal(p.gt, pictures); len(equal) > 0 {
		p.note("%s more than once: %s", count(len(equal), "clean picture"), strings.Join(equal, "; "))
	}
}

// equal lists the groups of files with the same pixels.
func (p *Part) equal(files []string, pictures map[string]picture) []string {
	groups := map[[32]byte][]string{}
	for _, f := range files {
		if pic := pictures[f]; pic.err == nil {
			groups[pic.pixels] = append(groups[pic.pixels], f)
		}
	}
	var all []string
	for _, group := range groups {
		if len(group) < 2 {
			continue
		}
		same, names := true, []string(nil)
		for _, f := range group {
			same = same && pictures[f].bytes == pictures[group[0]].bytes
			names = append(names, p.short(f))
		}
		text := strings.Join(names, " = ")
		if !same {
			text += " (equal pixels in different files)"
		}
		all = append(all, text)
	}
	slices.Sort(all)
	return all
}
