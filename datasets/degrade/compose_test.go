package degrade

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/godcpt/godcpt/datasets/sample"
)

// mixtures returns the classes of CDD-11 and the kinds with each of their presets.
func mixtures(t testing.TB) []Degradation {
	t.Helper()
	var out []Degradation
	for _, c := range CDD11() {
		out = append(out, c.Degradation)
	}
	for _, kind := range Kinds() {
		for _, preset := range Presets(kind) {
			d, err := New(kind, map[string]any{"preset": preset})
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, d)
		}
	}
	return out
}

// A composition is its steps, one after another, from one generator, in the order of the light.
func TestComposeIsItsSteps(t *testing.T) {
	im := photo(t, sample.TrainImages()[4]).Crop(30, 40, 80, 60)
	for _, test := range []struct{ kind, order string }{
		{"haze+rain", "rain haze"},
		{"haze+snow+lowlight", "lowlight snow haze"},
		{"noise+blur+haze", "haze blur noise"},
	} {
		d, err := New(test.kind, nil)
		if err != nil {
			t.Fatal(err)
		}
		if d.Kind() != test.kind {
			t.Errorf("kind %q makes %q", test.kind, d.Kind())
		}
		rng := newRNG(30)
		want := im
		for kind := range strings.FieldsSeq(test.order) {
			step, err := New(kind, nil)
			if err != nil {
				t.Fatal(err)
			}
			want = step.Apply(want, rng)
		}
		if got := d.Apply(im, newRNG(30)); !slices.Equal(got.Pix, want.Pix) {
			t.Errorf("%s is not %s, one after another", test.kind, test.order)
		}
	}
}

// A crop with the margin of the whole composition, at its place, gets what the whole picture gets there, as
// far as its parts do; so does the mist of rain. At the border its margin holds the reflection of the picture,
// of which each step must see what the steps before it made.
func TestCompositionCropEqualsWhole(t *testing.T) {
	im := photo(t, sample.TrainImages()[1])
	mist := DefaultRain()
	mist.Density, mist.Mist = Fixed(0), Fixed(1)
	for name, d := range map[string]Degradation{
		"mist":        mist,
		"placed":      Compose{[]Degradation{DefaultHaze(), DefaultSnow()}},
		"two margins": Compose{[]Degradation{DefaultMotionBlur(), DefaultMotionBlur()}},
		"all":         Compose{[]Degradation{DefaultMotionBlur(), DefaultHaze(), DefaultSnow(), mist}},
		"lens":        Compose{[]Degradation{DefaultHaze(), DefaultDefocus(), Demosaick{}, Downscale{Fixed(2)}}},
		"file":        Compose{[]Degradation{DefaultSnow(), DefaultMotionBlur(), JPEG{Quality: Fixed(30)}}},
	} {
		const side = 64
		m := Margin(d)
		whole := d.Apply(im, newRNG(31))
		for _, at := range [][2]int{{130, 100}, {0, 0}, {im.W - side, im.H - side}, {3, im.H - side - 5}} {
			x, y := at[0], at[1]
			tolerance := 0.0 // at the border sums may be rounded in another order, and levels with them
			if x-m < 0 || y-m < 0 || x+side+m > im.W || y+side+m > im.H {
				tolerance = 1e-5
				if name == "lens" || name == "file" {
					tolerance = 3. / 255
				}
			}
			crop := ApplyWindow(d, reflectCrop(im, x-m, y-m, side+2*m, side+2*m), Window{x - m, y - m, im.W, im.H}, newRNG(31)).Crop(m, m, side, side)
			if diff := worst(whole.Crop(x, y, side, side), crop); diff > tolerance {
				t.Errorf("%s: the crop at %v differs from the whole picture by %v", name, at, diff)
			}
		}
	}
}

func TestLightPathHasAllKinds(t *testing.T) {
	for _, kind := range Kinds() {
		if !slices.Contains(lightPath, kind) {
			t.Errorf("lightPath does not say when %q befalls the light", kind)
		}
	}
}

func TestComposeOfARecipe(t *testing.T) {
	steps := []any{
		map[string]any{"kind": "haze", "beta": 1},
		map[string]any{"kind": "rain", "preset": "heavy", "far": 3},
		map[string]any{"kind": "blur"},
		map[string]any{"kind": "blur", "length": uint64(9)},
	}
	d, err := New("compose", map[string]any{"steps": steps})
	if err != nil {
		t.Fatal(err)
	}
	if d.Kind() != "haze+rain+blur+blur" {
		t.Errorf("kind %q", d.Kind())
	}
	parts := d.(Compose).Steps
	if haze := parts[0].(Haze); haze.Beta != Fixed(1) || haze.A != DefaultHaze().A {
		t.Errorf("haze %+v", haze)
	}
	if rain := parts[1].(Rain); rain.Far != Fixed(3) || rain.Mist.Max == 0 || rain.Angle != DefaultRain().Angle {
		t.Errorf("rain %+v", rain)
	}
	if m := Margin(d); m != Margin(parts[2])+Margin(parts[3]) || m <= Margin(parts[2]) {
		t.Errorf("margin %d of %d and %d", m, Margin(parts[2]), Margin(parts[3]))
	}
	// All parameters, written out, make the same.
	all, err := Parameters("compose", map[string]any{"steps": steps})
	if err != nil {
		t.Fatal(err)
	}
	if again, err := New("compose", all); err != nil || !reflect.DeepEqual(again, d) {
		t.Errorf("its parameters %v make %+v (%v)", all, again, err)
	}
}

// Parameters of every kind and preset make what they are of.
func TestParameters(t *testing.T) {
	for _, kind := range append(Kinds(), "lowlight+haze") {
		for _, preset := range append(Presets(kind), "") {
			var params map[string]any
			if preset != "" {
				params = map[string]any{"preset": preset}
			}
			want, err := New(kind, params)
			if err != nil {
				t.Fatal(err)
			}
			all, err := Parameters(kind, params)
			if err != nil || all["preset"] != nil {
				t.Fatal(all, err)
			}
			if composed(kind) {
				kind = "compose"
			}
			if got, err := New(kind, all); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s %s: %v makes %+v (%v), want %+v", kind, preset, all, got, err, want)
			}
		}
	}
	if all, err := Parameters("haze", map[string]any{"beta": 2}); err != nil || all["beta"] != 2. || !reflect.DeepEqual(all["a"], []float64{0.7, 1}) {
		t.Errorf("got %v, %v", all, err)
	}
}

func TestComposeRejects(t *testing.T) {
	step := func(kind string) map[string]any { return map[string]any{"kind": kind} }
	for _, c := range []struct {
		kind   string
		params map[string]any
		want   string
	}{
		{"haze+rian", nil, `step 2: unknown degradation "rian" (did you mean "rain"?)`},
		{"haze+", nil, `step 2: unknown degradation ""`},
		{"haze+rain", map[string]any{"beta": 1}, "{kind: compose, steps:"},
		{"compose", nil, "a list of degradations"},
		{"compose", map[string]any{"steps": []any{}}, "a list of degradations"},
		{"compose", map[string]any{"steps": []any{step("haze")}, "beta": 1}, "nothing else"},
		{"compose", map[string]any{"steps": []any{step("haze"), "rain"}}, "step 2 is rain"},
		{"compose", map[string]any{"steps": []any{step("hase")}}, `did you mean "haze"`},
		{"compose", map[string]any{"steps": []any{step("haze+rain")}}, `step 1: unknown degradation "haze+rain"`},
		{"compose", map[string]any{"steps": []any{map[string]any{"kind": "haze", "bet": 1}}}, `did you mean "beta"`},
		{"rain", map[string]any{"preset": "heavi"}, `did you mean "heavy"`},
		{"rain", map[string]any{"preset": 3}, "must be a name"},
		{"blur", map[string]any{"preset": "heavy"}, "unknown parameter"},
		{"rain", map[string]any{"prest": "heavy"}, `did you mean "preset"`},
	} {
		_, err := New(c.kind, c.params)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("New(%q, %v): error %v, want it to say %q", c.kind, c.params, err, c.want)
		}
		if _, again := Parameters(c.kind, c.params); again == nil || again.Error() != err.Error() {
			t.Errorf("Parameters says %v, New %v", again, err)
		}
	}
}

// CDD-11 has the names of the official folders, and the parts that they say.
func TestCDD11(t *testing.T) {
	names := map[string]string{"low": "lowlight"}
	seen := map[string]bool{}
	for _, c := range CDD11() {
		var kinds []string
		for part := range strings.SplitSeq(c.Name, "_") {
			if long, ok := names[part]; ok {
				part = long
			}
			kinds = append(kinds, part)
		}
		if c.Kind() != strings.Join(kinds, "+") {
			t.Errorf("class %s is %s", c.Name, c.Kind())
		}
		seen[c.Name] = true
	}
	if len(seen) != 11 || !seen["low_haze_snow"] || seen["rain_snow"] {
		t.Errorf("classes %v", seen)
	}
}
