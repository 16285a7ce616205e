package datasets

import (
	"errors"
	"fmt"
	"slices"

	"github.com/godcpt/godcpt/datasets/degrade"
)

// SyntheticConfig configures Synthetic. Only Degradations is required.
type SyntheticConfig struct {
	Degradations []degrade.Degradation
	Classes      []string // class name of each degradation; equal names share a label; nil: the kinds
	Patch        int      // side of the square crops in pixels; 0: whole pictures
	Enlarge      int      // samples per picture and degradation in one epoch; 0: 1
	Seed         uint64
	// Eval makes an evaluation set: every epoch is the same, nothing is flipped or transposed, crops
	// come from the middle, and picture i is degraded with the same random numbers whatever else is
	// in the set.
	Eval bool
}

// Synthetic degrades clean pictures. Its samples are, for each degradation in turn, all pictures,
// Enlarge times. In training each sample of each epoch has its own crop, flip, transposition and
// degradation.
type Synthetic struct {
	images  *Images
	cfg     SyntheticConfig
	classes []string
	labels  []int // of each degradation
}

// NewSynthetic returns the data set of images with the given degradations.
func NewSynthetic(images *Images, cfg SyntheticConfig) (*Synthetic, error) {
	if len(cfg.Degradations) == 0 {
		return nil, errors.New("a synthetic data set needs at least one degradation")
	}
	if cfg.Patch < 0 || cfg.Enlarge < 0 {
		return nil, fmt.Errorf("patch size %d and enlarge %d must not be negative", cfg.Patch, cfg.Enlarge)
	}
	cfg.Enlarge = max(cfg.Enlarge, 1)
	d := &Synthetic{images: images, cfg: cfg}
	names := cfg.Classes
	if names == nil {
		for _, deg := range cfg.Degradations {
			if slices.Contains(names, deg.Kind()) {
				return nil, fmt.Errorf("two degradations of kind %q: say by class names whether they are one class or two", deg.Kind())
			}
			names = append(names, deg.Kind())
		}
	}
	if len(names) != len(cfg.Degradations) {
		return nil, fmt.Errorf("%d class names for %d degradations: give one for each", len(names), len(cfg.Degradations))
	}
	for _, name := range names {
		var label int
		d.classes, label = classLabel(d.classes, name)
		d.labels = append(d.labels, label)
	}
	return d, nil
}

// classLabel returns the position of name in classes, appending it if it is new.
func classLabel(classes []string, name string) ([]string, int) {
	if i := slices.Index(classes, name); i >= 0 {
		return classes, i
	}
	return append(classes, name), len(classes)
}

// Len is pictures x degradations x Enlarge.
func (d *Synthetic) Len() int {
	return d.images.Len() * len(d.cfg.Degradations) * d.cfg.Enlarge
}

// Classes returns the class names, in the order of their first degradation.
func (d *Synthetic) Classes() []string { return d.classes }

// Sample implements Dataset. Name is the file of the clean picture.
func (d *Synthetic) Sample(epoch, index int) (Sample, error) {
	n := d.images.Len()
	which, i := index/(n*d.cfg.Enlarge), index%n
	pic, err := d.images.load(i)
	if err != nil {
		return Sample{}, err
	}
	rng := stream(d.cfg.Seed, epoch, index)
	if d.cfg.Eval {
		rng = stream(d.cfg.Seed, 0, i)
	}

	x, y, w, h := 0, 0, pic.w, pic.h
	if d.cfg.Patch > 0 {
		w, h = d.cfg.Patch, d.cfg.Patch
		x, y = place(pic.w, pic.h, d.cfg.Patch, d.cfg.Eval, rng)
	}
	aug := unchanged
	if !d.cfg.Eval {
		aug = drawAugmentation(rng)
	}

	deg := d.cfg.Degradations[which]
	m := 0
	if d.cfg.Patch > 0 { // a whole picture has nothing around it
		m = degrade.Margin(deg)
	}
	clean := pic.crop(x-m, y-m, w+2*m, h+2*m)
	lq := degrade.ApplyWindow(deg, clean, degrade.Window{X: x - m, Y: y - m, W: pic.w, H: pic.h}, rng)
	gt := clean
	if m > 0 || aug != unchanged {
		lq, gt = aug.cut(lq, m, m, w, h), aug.cut(clean, m, m, w, h)
	}
	return Sample{LQ: lq, GT: gt, Label: d.labels[which], Name: d.images.Name(i)}, nil
}
