package degrade

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/godcpt/godcpt/datasets/imageio"
	"github.com/godcpt/godcpt/datasets/sample"
)

// extremes returns, for a kind, the values of a recipe in which each parameter in turn is as small and as
// large as it may be, the others with their defaults, and those in which all of them are.
func extremes(t testing.TB, kind string) map[string]map[string]any {
	t.Helper()
	known, _, err := resolve(kind, nil)
	if err != nil {
		t.Fatal(err)
	}
	sets := map[string]map[string]any{"all lowest": {}, "all highest": {}}
	add := func(p param, name string, value any) {
		sets[fmt.Sprintf("%s %v", p.key, value)] = map[string]any{p.key: value}
		if name != "" {
			sets[name][p.key] = value
		}
	}
	for _, p := range known {
		switch dst := p.dst.(type) {
		case *bool:
			add(p, "all lowest", false)
			add(p, "all highest", true)
		case word:
			for _, w := range dst.known {
				add(p, "", w)
			}
		case *Range:
			add(p, "", []float64{p.lo, p.hi})
			add(p, "all lowest", p.lo)
			add(p, "all highest", p.hi)
		default:
			add(p, "all lowest", p.lo)
			add(p, "all highest", p.hi)
		}
	}
	return sets
}

// Every value that a recipe may give works, on pictures of any size.
func TestExtremes(t *testing.T) {
	whole := photo(t, sample.TrainImages()[0])
	pictures := []*imageio.Image{whole.Crop(10, 20, 48, 40), whole.Crop(5, 5, 1, 1), whole.Crop(5, 5, 20, 3), whole.Crop(5, 5, 2, 7)}
	grey := imageio.New(20, 20)
	grey.Gray = true
	for i := range grey.Pix {
		grey.Pix[i] = float32(i/3%256) / 255
	}
	for _, kind := range Kinds() {
		sets := extremes(t, kind)
		for _, name := range slices.Sorted(maps.Keys(sets)) {
			d, err := New(kind, sets[name])
			if err != nil {
				t.Errorf("%s, %s: %v", kind, name, err)
				continue
			}
			if out := d.Apply(grey, newRNG(40)); out.Gray {
				for i, v := range out.Pix {
					if v != out.Pix[i/3*3] {
						t.Fatalf("%s, %s: is grey and has colour", kind, name)
					}
				}
			}
			for i, im := range pictures {
				out := d.Apply(im, newRNG(40))
				if out.W != im.W || out.H != im.H {
					t.Fatalf("%s, %s: %dx%d pixels became %dx%d", kind, name, im.W, im.H, out.W, out.H)
				}
				for _, v := range out.Pix {
					if v != v || math.IsInf(float64(v), 0) || kind != "noise" && (v < 0 || v > 1) {
						t.Fatalf("%s, %s, picture %d: value %v", kind, name, i, v)
					}
				}
			}
		}
	}
}

// Each key of a recipe sets the field of its name, and no other.
func TestKeysAreFields(t *testing.T) {
	for _, kind := range Kinds() {
		standard, err := New(kind, nil)
		if err != nil {
			t.Fatal(err)
		}
		was := reflect.ValueOf(standard)
		keys := map[string]bool{}
		for name, values := range extremes(t, kind) {
			if len(values) != 1 { // all at once
				continue
			}
			d, err := New(kind, values)
			if err != nil {
				t.Fatal(err)
			}
			for key := range values {
				keys[key] = true
				for i := range was.NumField() {
					field := was.Type().Field(i).Name
					changed := !reflect.DeepEqual(reflect.ValueOf(d).Field(i).Interface(), was.Field(i).Interface())
					if changed && strings.ToLower(field) != key {
						t.Errorf("%s, %s: sets %s", kind, name, field)
					}
				}
			}
		}
		for i := range was.NumField() {
			if field := was.Type().Field(i).Name; !keys[strings.ToLower(field)] {
				t.Errorf("%s: no key sets %s", kind, field)
			}
		}
	}
}
