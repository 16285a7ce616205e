package degrade

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/godcpt/godcpt/datasets/imageio"
)

// Compose is several degradations of one picture. They are applied in the order in which they befall the
// light, whatever the order in which they are listed: the scene is dark, something falls through the air,
// the air is hazy, the lens blurs, the sensor is noisy, the file is compressed. That is the order of
// CDD-11 (OneRestore, Guo et al., ECCV 2024: low light with its noise, then rain, snow, haze; the official
// code does the same), and of a camera after it. Steps of one kind keep their order.
type Compose struct{ Steps []Degradation }

// lightPath are the kinds in the order in which they befall the light.
var lightPath = []string{
	"lowlight", "rain", "snow", "haze", // scene and air
	"defocus", "blur", // lens and camera
	"poisson", "camera", "noise", "demosaick", // sensor
	"downscale", "jpeg", "inpaint", // file
}

// Kind returns the kinds of the steps as they are listed, joined by "+".
func (d Compose) Kind() string {
	kinds := make([]string, len(d.Steps))
	for i, step := range d.Steps {
		kinds[i] = step.Kind()
	}
	return strings.Join(kinds, kindSeparator)
}

// inOrder returns the steps as they are applied. Kinds that are not ours come last.
func (d Compose) inOrder() []Degradation {
	place := func(step Degradation) int {
		if at := slices.Index(lightPath, step.Kind()); at >= 0 {
			return at
		}
		return len(lightPath)
	}
	steps := slices.Clone(d.Steps)
	slices.SortStableFunc(steps, func(a, b Degradation) int { return place(a) - place(b) })
	return steps
}

// Margin implements Margined: each step spoils its margin of what the one before has left whole.
func (d Compose) Margin() int {
	sum := 0
	for _, step := range d.Steps {
		sum += Margin(step)
	}
	return sum
}

// Apply implements Degradation: all steps draw from one generator, one after another.
func (d Compose) Apply(im *imageio.Image, rng *rand.Rand) *imageio.Image {
	return d.ApplyWindow(im, Window{W: im.W, H: im.H}, rng)
}

// ApplyWindow implements Windowed. Where im goes beyond the whole picture, a step that looks at neighbours
// finds there the reflection of what the steps before it made of the picture, as in the whole picture.
func (d Compose) ApplyWindow(im *imageio.Image, win Window, rng *rand.Rand) *imageio.Image {
	out := im.Clone()
	for i, step := range d.inOrder() {
		if i > 0 && Margin(step) > 0 {
			reflectOutside(out, win)
		}
		out = ApplyWindow(step, out, win, rng)
	}
	return out
}

// reflectOutside makes the pixels of im outside of the whole picture the reflection of those inside.
func reflectOutside(im *imageio.Image, win Window) {
	if win.X >= 0 && win.Y >= 0 && win.X+im.W <= win.W && win.Y+im.H <= win.H {
		return
	}
	columns, rows := reflected(win.X, im.W, win.W, win.X, im.W), reflected(win.Y, im.H, win.H, win.Y, im.H)
	for y, row := range rows {
		for x, column := range columns {
			copy(im.Pix[(y*im.W+x)*3:][:3], im.Pix[(row*im.W+column)*3:][:3])
		}
	}
}

const (
	composeKind   = "compose"
	stepsKey      = "steps"
	kindSeparator = "+"
)

// composed reports whether a kind of a recipe is a composition.
func composed(kind string) bool { return kind == composeKind || strings.Contains(kind, kindSeparator) }

// recipeStep is a step of a composition as recipes name it.
type recipeStep struct {
	kind   string
	params map[string]any
}

// recipeSteps returns the steps of a composition: {kind: compose, steps: [{kind: …, parameters}, …]}, or
// the kinds joined by "+", which has no parameters.
func recipeSteps(kind string, params map[string]any) ([]recipeStep, error) {
	if kind != composeKind {
		if len(params) > 0 {
			return nil, fmt.Errorf("degradation %q takes no parameters: write {kind: %s, %s: [{kind: …, …}, …]} to give them to its parts", kind, composeKind, stepsKey)
		}
		var steps []recipeStep
		for name := range strings.SplitSeq(kind, kindSeparator) {
			steps = append(steps, recipeStep{kind: name})
		}
		return steps, nil
	}
	list, ok := params[stepsKey].([]any)
	if !ok || len(list) == 0 || len(params) != 1 {
		return nil, fmt.Errorf("degradation %q has %s and nothing else: a list of degradations, as in [{kind: lowlight}, {kind: haze, beta: 1}]", composeKind, stepsKey)
	}
	var steps []recipeStep
	for i, item := range list {
		step, _ := item.(map[string]any)
		name, ok := step["kind"].(string)
		if !ok {
			return nil, fmt.Errorf("degradation %q: step %d is %v, must be a degradation with a kind", composeKind, i+1, item)
		}
		own := map[string]any{}
		for key, value := range step {
			if key != "kind" {
				own[key] = value
			}
		}
		steps = append(steps, recipeStep{name, own})
	}
	return steps, nil
}

// newCompose is New for compositions.
func newCompose(kind string, params map[string]any) (Degradation, error) {
	steps, err := recipeSteps(kind, params)
	if err != nil {
		return nil, err
	}
	var d Compose
	for i, s := range steps {
		_, done, err := resolve(s.kind, s.params)
		if err != nil {
			return nil, fmt.Errorf("step %d: %w", i+1, err)
		}
		d.Steps = append(d.Steps, done())
	}
	return d, nil
}

// composeParameters is Parameters for compositions.
func composeParameters(kind string, params map[string]any) (map[string]any, error) {
	steps, err := recipeSteps(kind, params)
	if err != nil {
		return nil, err
	}
	var list []any
	for i, s := range steps {
		all := map[string]any{"kind": s.kind}
		known, _, err := resolve(s.kind, s.params)
		if err != nil {
			return nil, fmt.Errorf("step %d: %w", i+1, err)
		}
		storeValues(all, known)
		list = append(list, all)
	}
	return map[string]any{stepsKey: list}, nil
}

// Class is a degradation with the name of its class in a benchmark.
type Class struct {
	Name string
	Degradation
}

// CDD11 returns the eleven classes of CDD-11, the composite degradation data set of OneRestore, in its
// order and with the names of its folders. The parameters are the defaults of the kinds.
func CDD11() []Class {
	names := []string{
		"low", "haze", "rain", "snow", "low_haze", "low_rain", "low_snow", "haze_rain", "haze_snow", "low_haze_rain", "low_haze_snow",
	}
	parts := map[string]Degradation{"low": DefaultLowLight(), "haze": DefaultHaze(), "rain": DefaultRain(), "snow": DefaultSnow()}
	classes := make([]Class, len(names))
	for i, name := range names {
		var steps []Degradation
		for part := range strings.SplitSeq(name, "_") {
			steps = append(steps, parts[part])
		}
		classes[i] = Class{name, Compose{steps}}
		if len(steps) == 1 {
			classes[i].Degradation = steps[0]
		}
	}
	return classes
}
