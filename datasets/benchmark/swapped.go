package benchmark

import (
	"path/filepath"

	"github.com/godcpt/godcpt/datasets"
)

// look is what a picture looks like, as far as it tells degraded from clean pictures.
type look struct {
	light  float64 // mean of green, 0 to 255
	detail float64 // mean difference of green to the pixel on the right
}

// lookAt measures 8-bit RGB pixels.
func lookAt(w, h int, pix []uint8) look {
	var light, detail int64
	for y := range h {
		row := pix[3*w*y : 3*w*(y+1)]
		for i := 1; i < len(row); i += 3 {
			light += int64(row[i])
			if i > 3 {
				d := int64(row[i]) - int64(row[i-3])
				detail += max(d, -d)
			}
		}
	}
	n := float64(w * h)
	return look{float64(light) / n, float64(detail) / n}
}

// degradedBy returns by what factor a degradation has changed the picture in the direction in which it changes
// pictures: below 1 if the degraded one looks like the clean one of the two. It is false where the direction is
// not known: lossy compression and drops on the lens take detail here and add it there.
func degradedBy(task string, lq, gt look) (float64, bool) {
	const least = 0.1 // of black or even pictures
	ratio := func(a, b float64) float64 { return max(a, least) / max(b, least) }
	switch task {
	case "lowlight":
		return ratio(gt.light, lq.light), true
	case "blur", "defocus", "haze":
		return ratio(gt.detail, lq.detail), true
	case "noise", "rain", "snow":
		return ratio(lq.detail, gt.detail), true
	}
	return 0, false
}

// judgeSwapped looks whether the degraded pictures are in the place of the clean ones, which no name tells
// where both are called the same. Light rain hardly changes some photos, so that half of the pairs must tell,
// and next to none the contrary.
func (p *Part) judgeSwapped(pictures map[string]picture) {
	const (
		clear = 1.05 // factor of a pair that tells
		few   = 3    // pairs are no evidence below that
	)
	pairs, swapped, right := 0, 0, 0
	for _, pair := range p.pairing.Pairs {
		a, b := pictures[p.lq[pair.LQ]], pictures[p.gt[pair.GT]]
		if a.err != nil || b.err != nil {
			continue
		}
		factor, known := degradedBy(p.Task, a.look, b.look)
		if !known {
			return
		}
		pairs++
		switch {
		case factor < 1/clear:
			swapped++
		case factor > clear:
			right++
		}
	}
	if pairs >= few && 2*swapped > pairs && 20*right <= pairs {
		p.problem(Swapped, nil, p.exchange(), "the degraded pictures look like the clean ones, and the clean ones degraded (in %d of %d pairs)", swapped, pairs)
	}
}

// swappedNames reports whether nothing pairs as it is, but most would if the folders were exchanged.
func (p *Part) swappedNames() bool {
	if len(p.pairing.Pairs) > 0 || p.LQ == p.GT {
		return false
	}
	cfg := p.layout.config()
	cfg.LQ, cfg.GT = cfg.GT, cfg.LQ
	other, err := datasets.Pair(cfg)
	return err == nil && len(other.Pairs) > len(other.Unpaired)
}

// exchange says what to do with folders that are in each other's place.
func (p *Part) exchange() string {
	return "exchange " + p.short(filepath.Clean(p.LQ)) + " and " + p.short(filepath.Clean(p.GT))
}
