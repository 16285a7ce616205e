package degrade

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"

	"github.com/godcpt/godcpt/internal/suggest"
)

// param is one parameter of a degradation as recipes name it.
type param struct {
	key    string
	dst    any // *Range, *float64, *bool, *[]float64 or word
	lo, hi float64
}

// word is where a parameter goes that is one of a few words.
type word struct {
	dst   *string
	known []string
}

// builder makes a degradation of default values: its parameters, and the finished value.
type builder func() (params []param, done func() Degradation)

// kinds are all degradations, in the order in which people are shown them. The parameters of each are
// in its own file.
var kinds = []struct {
	name  string
	build builder
}{
	{"noise", gaussianNoiseParams},
	{"rain", rainParams},
	{"snow", snowParams},
	{"haze", hazeParams},
	{"blur", motionBlurParams},
	{"lowlight", lowLightParams},
	{"poisson", poissonNoiseParams},
	{"camera", cameraNoiseParams},
	{"defocus", defocusParams},
	{"jpeg", jpegParams},
	{"demosaick", demosaickParams},
	{"inpaint", inpaintParams},
	{"downscale", downscaleParams},
}

// Kinds returns the names New knows.
func Kinds() []string {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = k.name
	}
	return names
}

// New returns the degradation of a kind with the parameters of a recipe; those not named keep their
// defaults. Keys are the field names in lower case ("sigma", "beta", "a"). A Range is given as a
// number or as [min, max]. "preset" names a set of parameters, see Presets. Unknown kinds and keys, wrong
// types and values out of range are errors that say what is possible.
//
// Kinds joined by "+" ("lowlight+haze") are applied together, with their defaults, and so are the steps
// of kind "compose", a list of kinds with their parameters: see Compose.
func New(kind string, params map[string]any) (Degradation, error) {
	if composed(kind) {
		return newCompose(kind, params)
	}
	_, done, err := resolve(kind, params)
	if err != nil {
		return nil, err
	}
	return done(), nil
}

// Parameters returns all parameters of the degradation that New returns, as New takes them: those given
// and the defaults of the others. A list that is empty is left out.
func Parameters(kind string, params map[string]any) (map[string]any, error) {
	if composed(kind) {
		return composeParameters(kind, params)
	}
	known, _, err := resolve(kind, params)
	if err != nil {
		return nil, err
	}
	all := map[string]any{}
	storeValues(all, known)
	return all, nil
}

// storeValues puts the values of parameters into a map.
func storeValues(to map[string]any, known []param) {
	for _, p := range known {
		if v := p.value(); v != nil {
			to[p.key] = v
		}
	}
}

// resolve returns the parameters of a kind with the values they have, and what makes the degradation.
func resolve(kind string, params map[string]any) ([]param, func() Degradation, error) {
	at := slices.Index(Kinds(), kind)
	if at < 0 {
		return nil, nil, suggest.Unknown("degradation", kind, Kinds())
	}
	params, err := withPreset(kind, params)
	if err != nil {
		return nil, nil, err
	}
	known, done := kinds[at].build()
	keys := make([]string, len(known))
	for i, p := range known {
		keys[i] = p.key
	}
	if len(presets[kind]) > 0 {
		keys = append(keys, presetKey) // withPreset has taken it out of params
	}
	for _, key := range slices.Sorted(maps.Keys(params)) {
		i := slices.Index(keys, key)
		if i < 0 {
			return nil, nil, suggest.Unknown("parameter of degradation "+kind, key, keys)
		}
		if err := known[i].set(params[key]); err != nil {
			return nil, nil, fmt.Errorf("degradation %q, parameter %q: %w", kind, key, err)
		}
	}
	return known, done, nil
}

// set stores a decoded recipe value.
func (p param) set(value any) error {
	switch dst := p.dst.(type) {
	case *bool:
		b, ok := value.(bool)
		if !ok {
			return fmt.Errorf("is %v, must be true or false", value)
		}
		*dst = b
	case word:
		w, ok := value.(string)
		if !ok || !slices.Contains(dst.known, w) {
			return fmt.Errorf("is %v, must be one of %s", value, strings.Join(dst.known, ", "))
		}
		*dst.dst = w
	case *float64:
		v, err := p.number(value)
		if err != nil {
			return err
		}
		*dst = v
	case *Range:
		vs, err := p.numbers(value)
		if err != nil {
			return err
		}
		if len(vs) > 2 || vs[0] > vs[len(vs)-1] {
			return fmt.Errorf("is %v, must be a number or [min, max] with min <= max", value)
		}
		*dst = Range{vs[0], vs[len(vs)-1]}
	case *[]float64:
		vs, err := p.numbers(value)
		if err != nil {
			return err
		}
		*dst = vs
	}
	return nil
}

// value returns what is stored, as set takes it; nil for an empty list, which set refuses.
func (p param) value() any {
	switch dst := p.dst.(type) {
	case *Range:
		if dst.Min == dst.Max {
			return dst.Min
		}
		return []float64{dst.Min, dst.Max}
	case *[]float64:
		if len(*dst) == 0 {
			return nil
		}
		return slices.Clone(*dst)
	case word:
		return *dst.dst
	}
	return reflect.ValueOf(p.dst).Elem().Interface()
}

// numbers accepts one number or a list of at least one.
func (p param) numbers(value any) ([]float64, error) {
	var list []any
	switch v := value.(type) {
	case []any:
		list = v
	case []float64:
		for _, x := range v {
			list = append(list, x)
		}
	default:
		list = []any{value}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("is an empty list")
	}
	out := make([]float64, len(list))
	for i, x := range list {
		v, err := p.number(x)
		if err != nil {
			return nil, err
		}
		out[i] = v
	}
	return out, nil
}

func (p param) number(value any) (float64, error) {
	var v float64
	switch x := value.(type) {
	case float64:
		v = x
	case int:
		v = float64(x)
	case int64:
		v = float64(x)
	case uint64:
		v = float64(x)
	default:
		return 0, fmt.Errorf("is %v (%T), must be a number", value, value)
	}
	if math.IsNaN(v) || v < p.lo || v > p.hi {
		return 0, fmt.Errorf("is %g, must lie in %g..%g", v, p.lo, p.hi)
	}
	return v, nil
}
