package dcpt

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/godcpt/godcpt/datasets"
	"github.com/godcpt/godcpt/datasets/degrade"
	"github.com/godcpt/godcpt/datasets/sample"
	"github.com/godcpt/godcpt/internal/suggest"
)

// Recipe is one experiment as data: what the YAML files in recipes/ hold.
type Recipe struct {
	Name        string        `yaml:"name"`
	Description string        `yaml:"description,omitempty"`
	Seed        int64         `yaml:"seed"`                 // of initial weights and data
	Network     NetworkConfig `yaml:"network"`              // preset or architecture
	Classifier  Classifier    `yaml:"classifier,omitempty"` // of the degradation, for pre-training
	Data        Data          `yaml:"data"`
	Pretrain    *StageConfig  `yaml:"pretrain,omitempty"`
	Finetune    *StageConfig  `yaml:"finetune,omitempty"`
}

// Data names the images. A relative folder is below Root; a relative Root is below the current folder.
type Data struct {
	Root      string   `yaml:"root,omitempty"`
	Sampling  string   `yaml:"sampling,omitempty"`   // how the training sets are mixed: SamplingConcat (default), SamplingBalanced or SamplingWeighted
	Epoch     int      `yaml:"epoch,omitempty"`      // samples of an epoch (balanced, weighted); 0 means the sum over the sets
	MaxBroken *float64 `yaml:"max_broken,omitempty"` // share of a training set's files that may be damaged, 0 to 1; nil means DefaultMaxBroken
	Cache     string   `yaml:"cache,omitempty"`      // memory for decoded images, such as "4GiB"; empty means a quarter of what is free
	Train     []Set    `yaml:"train"`
	Test      []Set    `yaml:"test,omitempty"` // whole images, never trained on
}

// Set is one data set: clean images to degrade (Images, Degrade), a folder of pairs (LQ, GT), shards of
// pairs (Shards), or a published set by its name (Benchmark; with Degrade if its images are clean and are
// not to be degraded as usual).
// In the training list the sets of one name are one class of the degradation classifier.
type Set struct {
	Name    string         `yaml:"name"`
	Images  string         `yaml:"images,omitempty"`  // folder or shards of clean images, or sample:train, sample:test
	Degrade map[string]any `yaml:"degrade,omitempty"` // kind and its parameters: see package degrade
	LQ      string         `yaml:"lq,omitempty"`      // folder of degraded images
	GT      string         `yaml:"gt,omitempty"`      // folder of clean images
	Shards  string         `yaml:"shards,omitempty"`  // shards of pairs: a pattern such as pairs-*.tar, or their folder
	Pair    string         `yaml:"pair,omitempty"`    // same (default), name, prefix, rain, two patterns: see datasets.PairedConfig
	List    string         `yaml:"list,omitempty"`    // text file that names the images or pairs to use: see datasets.FromList
	Enlarge int            `yaml:"enlarge,omitempty"` // times the set is repeated in an epoch; 0 means 1
	Weight  float64        `yaml:"weight,omitempty"`  // of a training set: its share of the samples (weighted)
	Patch   int            `yaml:"patch,omitempty"`   // of a training set: side of its crops; 0 means the stage's patch

	Benchmark string `yaml:"benchmark,omitempty"` // SET or SET/SPLIT of package benchmark
	Dir       string `yaml:"dir,omitempty"`       // folder of the benchmark; default: that of its name

	trimGT int // of a benchmark, when it was located
}

// Stages of a recipe.
const (
	StagePretrain = "pretrain"
	StageFinetune = "finetune"
)

// Stage returns the configuration of a stage.
func (r *Recipe) Stage(name string) (StageConfig, error) {
	stages := map[string]*StageConfig{StagePretrain: r.Pretrain, StageFinetune: r.Finetune}
	config, ok := stages[name]
	if !ok {
		return StageConfig{}, suggest.Unknown("stage", name, sortedKeys(stages))
	}
	if config == nil {
		return StageConfig{}, fmt.Errorf("recipe %s has no stage %s", r.Name, name)
	}
	return *config, nil
}

// Classes lists the names of the degradations: of the training sets, in order.
func (r *Recipe) Classes() []string {
	var names []string
	for _, s := range r.Data.Train {
		if !slices.Contains(names, s.Name) {
			names = append(names, s.Name)
		}
	}
	return names
}

// LoadRecipe reads a recipe file and applies settings of the form "key=value", where key is a path
// such as "pretrain.optimizer.lr" or "data.train.0.enlarge" and value is YAML.
func LoadRecipe(path string, settings ...string) (*Recipe, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the recipe: %w", err)
	}
	r, err := ParseRecipe(data, settings...)
	if err != nil {
		return nil, fmt.Errorf("recipe %s: %w", path, err)
	}
	return r, nil
}

// ParseRecipe is LoadRecipe for a recipe in memory.
func ParseRecipe(data []byte, settings ...string) (*Recipe, error) {
	var tree map[string]any
	if err := yaml.Unmarshal(data, &tree); err != nil {
		return nil, fmt.Errorf("not valid YAML: %w", err)
	}
	if tree == nil { // an empty file
		tree = map[string]any{}
	}
	for _, s := range settings {
		if err := applySetting(tree, s); err != nil {
			return nil, fmt.Errorf("setting %q: %w", s, err)
		}
	}
	if err := checkTree("", tree, reflect.TypeFor[Recipe]()); err != nil {
		return nil, err
	}
	merged, err := yaml.Marshal(tree)
	if err != nil {
		return nil, err
	}
	r := &Recipe{}
	if err := yaml.NewDecoder(bytes.NewReader(merged), yaml.Strict()).Decode(r); err != nil {
		return nil, err
	}
	for _, config := range []*StageConfig{r.Pretrain, r.Finetune} {
		if config != nil {
			*config = config.complete()
		}
	}
	return r, r.Validate()
}

// YAML returns the recipe as it was resolved: settings applied.
func (r *Recipe) YAML() ([]byte, error) { return yaml.Marshal(r) }

// Validate reports everything that can be wrong before data is read.
func (r *Recipe) Validate() error {
	network, err := NewNetwork(r.Network)
	if err != nil {
		return err
	}
	if r.Name == "" {
		return errors.New("the recipe has no name")
	}
	if r.Pretrain == nil && r.Finetune == nil {
		return errors.New("the recipe has no stage: give pretrain, finetune or both")
	}
	var problems []error
	for name, config := range map[string]*StageConfig{StagePretrain: r.Pretrain, StageFinetune: r.Finetune} {
		if config == nil {
			continue
		}
		if methods := stageMethods[name]; !slices.Contains(methods, config.Method) {
			problems = append(problems, fmt.Errorf("%s: %w", name, suggest.Unknown("training method", config.Method, methods)))
			continue
		}
		if err := config.Validate(network); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", name, err))
		}
	}
	if len(r.Data.Train) == 0 {
		problems = append(problems, errors.New("data: no training set"))
	}
	for _, s := range r.Data.Train {
		problems = append(problems, s.validate())
	}
	problems = append(problems, r.Data.ValidateTest())
	problems = append(problems, r.Data.validate(network))
	if r.Pretrain != nil {
		problems = append(problems, r.checkClassifier(network))
	}
	return errors.Join(problems...)
}

// checkClassifier checks that the classifier fits the network's features and the data.
func (r *Recipe) checkClassifier(network Network) error {
	classes := r.Classes()
	c, dims := r.Classifier.Complete(network, len(classes)), Classifier{}.Complete(network, len(classes)).FeatureDims
	if err := c.Validate(); err != nil {
		return err
	}
	if !slices.Equal(c.FeatureDims, dims) {
		return fmt.Errorf("classifier: feature_dims are %v, the network's features have %v channels: leave feature_dims out", c.FeatureDims, dims)
	}
	if c.Classes != len(classes) {
		return fmt.Errorf("classifier: classes is %d, the training sets have %d names (%s): leave classes out", c.Classes, len(classes), strings.Join(classes, ", "))
	}
	return nil
}

func (s Set) validate() error {
	synthetic, paired := s.Images != "" || s.Degrade != nil && s.Benchmark == "", s.LQ != "" || s.GT != ""
	switch {
	case s.Name == "":
		return errors.New("data: a set has no name")
	case s.Shards != "":
		if err := s.validateShards(); err != nil {
			return err
		}
	case s.Benchmark != "":
		if err := s.validateBenchmark(); err != nil {
			return fmt.Errorf("data set %s: %w", s.Name, err)
		}
		synthetic = s.Degrade != nil
	case s.Dir != "":
		return fmt.Errorf("data set %s: dir belongs to benchmark", s.Name)
	case synthetic == paired:
		return fmt.Errorf("data set %s: give images and degrade, or lq and gt, or shards, or benchmark", s.Name)
	case synthetic && (s.Images == "" || s.Degrade == nil):
		return fmt.Errorf("data set %s: images and degrade belong together", s.Name)
	case paired && (s.LQ == "" || s.GT == ""):
		return fmt.Errorf("data set %s: lq and gt belong together", s.Name)
	case synthetic && s.Pair != "":
		return fmt.Errorf("data set %s: pair belongs to lq and gt", s.Name)
	case strings.HasPrefix(s.Images, samplePrefix) && s.List != "":
		return fmt.Errorf("data set %s: list belongs to a folder", s.Name)
	}
	if s.Enlarge < 0 {
		return fmt.Errorf("data set %s: enlarge is %d; it must not be negative", s.Name, s.Enlarge)
	}
	if err := datasets.CheckPairRule(s.Pair); err != nil {
		return fmt.Errorf("data set %s: %w", s.Name, err)
	}
	if synthetic {
		if _, err := s.degradation(); err != nil {
			return fmt.Errorf("data set %s: %w", s.Name, err)
		}
	}
	return nil
}

func (s Set) degradation() (degrade.Degradation, error) {
	kind, ok := s.Degrade["kind"].(string)
	if !ok {
		return nil, fmt.Errorf("degrade has no kind; known: %s", strings.Join(degrade.Kinds(), ", "))
	}
	params := make(map[string]any, len(s.Degrade))
	for key, value := range s.Degrade {
		if key != "kind" {
			params[key] = value
		}
	}
	return degrade.New(kind, params)
}

// TrainingSet opens the training sets as one: random crops of the given side (of that of the set, where
// it has one), flips and transpositions.
func (r *Recipe) TrainingSet(patch int) (datasets.Dataset, error) { return r.pictures().train(patch) }

// ValidateTest reports what is wrong with the test sets before any file is read, for data without a
// recipe.
func (d Data) ValidateTest() error {
	var problems []error
	for _, s := range d.Test {
		problems = append(problems, s.validate())
	}
	return errors.Join(problems...)
}

// TestSet opens the test sets as one: whole images, degraded the same way each time.
func (r *Recipe) TestSet() (datasets.Dataset, error) {
	if len(r.Data.Test) == 0 {
		return nil, fmt.Errorf("recipe %s names no test set: add data.test", r.Name)
	}
	return r.pictures().test(0)
}

// ValidationSet opens the centre of every test image, patch pixels wide, for scores during training.
func (r *Recipe) ValidationSet(patch int) (datasets.Dataset, error) { return r.pictures().test(patch) }

// pictures opens data sets that have their decoded images in common.
type pictures struct {
	Data
	seed   uint64
	cache  *datasets.Cache
	images map[string]*datasets.Images // by name, so that an image is decoded once
}

func (r *Recipe) pictures() *pictures {
	return &pictures{r.Data, uint64(r.Seed), datasets.NewCache(r.Data.cacheBytes()), map[string]*datasets.Images{}}
}

func (p *pictures) train(patch int) (datasets.Dataset, error) {
	var parts []datasets.Part
	for i, s := range p.Train {
		side := orDefault(s.Patch, patch)
		ds, err := p.open(s, i, side, false)
		if err != nil {
			return nil, err
		}
		parts = append(parts, datasets.Part{
			Dataset: ds, Enlarge: s.Enlarge, Class: s.Name, Size: side, Seed: p.setSeed(i), Skip: p.maxBroken(ds.Len()),
		})
	}
	return p.mix(parts)
}

func (p *pictures) test(patch int) (datasets.Dataset, error) {
	var parts []datasets.Part
	for i, s := range p.Test {
		ds, err := p.open(s, i, patch, true)
		if err != nil {
			return nil, err
		}
		parts = append(parts, datasets.Part{Dataset: ds, Enlarge: s.Enlarge, Class: s.Name})
	}
	return datasets.NewConcat(parts...)
}

// setSeed is the seed of the set at a position of its list.
func (p *pictures) setSeed(position int) uint64 { return p.seed + uint64(position) }

func (p *pictures) open(s Set, position, patch int, eval bool) (datasets.Dataset, error) {
	ds, err := p.openSet(s, p.setSeed(position), patch, eval)
	if err == nil {
		ds, err = inShardOrder(ds, eval)
	}
	if err != nil {
		return nil, fmt.Errorf("data set %s: %w", s.Name, err)
	}
	return ds, nil
}

func (p *pictures) openSet(s Set, seed uint64, patch int, eval bool) (datasets.Dataset, error) {
	byName := s.Benchmark != ""
	s, err := p.locate(s)
	switch {
	case err != nil:
		return nil, err
	case s.Shards != "":
		return shardPairs(p.path(s.Shards), datasets.PairedConfig{Class: s.Name, Patch: patch, Seed: seed, Eval: eval, Cache: p.cache})
	case s.LQ != "":
		pairs, err := p.openPairs(s, seed, patch, eval)
		if !byName && (err != nil || s.LQ == s.GT) { // each image would be its own partner
			err = p.explain(s, err)
		}
		return pairs, err
	default:
		return p.openSynthetic(s, seed, patch, eval)
	}
}

func (p *pictures) openPairs(s Set, seed uint64, patch int, eval bool) (*datasets.Paired, error) {
	if namesShards(p.path(s.LQ)) {
		return nil, fmt.Errorf("lq and gt are folders, but %s is of shards: give shards of pairs with the key shards", s.LQ)
	}
	cfg := datasets.PairedConfig{
		LQ: p.path(s.LQ), GT: p.path(s.GT), Rule: s.Pair, TrimGT: s.trimGT, Class: s.Name, Patch: patch, Seed: seed, Eval: eval,
		Cache: p.cache, KeepDamaged: !eval && p.skipsDamaged(),
	}
	if s.List != "" {
		cfg.List = p.path(s.List)
	}
	return datasets.NewPaired(cfg)
}

func (p *pictures) openSynthetic(s Set, seed uint64, patch int, eval bool) (datasets.Dataset, error) {
	degradation, err := s.degradation()
	if err != nil {
		return nil, err
	}
	key := s.Images + "\n" + s.List
	images := p.images[key]
	if images == nil {
		if images, err = p.list(s); err != nil {
			return nil, err
		}
		images.UseCache(p.cache)
		p.images[key] = images
	}
	return datasets.NewSynthetic(images, datasets.SyntheticConfig{
		Degradations: []degrade.Degradation{degradation}, Classes: []string{s.Name}, Patch: patch, Seed: seed, Eval: eval,
	})
}

// samplePrefix marks the images that ship with the module.
const samplePrefix = "sample:"

// list lists the pictures of a folder, of shards, or those that ship.
func (d Data) list(s Set) (*datasets.Images, error) {
	part, ok := strings.CutPrefix(s.Images, samplePrefix)
	switch folder := d.path(s.Images); {
	case ok:
	case namesShards(folder) && s.List != "":
		return nil, errors.New("list belongs to a folder of images, not to shards: pack the images that it names")
	case namesShards(folder):
		return shardImages(folder)
	case s.List != "":
		return datasets.FromList(folder, d.path(s.List))
	default:
		if err := d.explain(s, nil); err != nil { // a folder of pairs, all of which would be taken for clean
			return nil, err
		}
		return datasets.FromDir(folder)
	}
	patterns := map[string]string{"train": sample.Train, "test": sample.Test}
	pattern, ok := patterns[part]
	if !ok {
		return nil, suggest.Unknown("sample set", part, sortedKeys(patterns))
	}
	return datasets.FromFS(sample.FS, pattern)
}

func (d Data) path(p string) string {
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(d.Root, p)
}

// applySetting sets one "path=value" in a tree of maps and lists.
func applySetting(tree map[string]any, setting string) error {
	path, text, ok := strings.Cut(setting, "=")
	if !ok {
		return errors.New("must have the form key=value")
	}
	var value any
	if err := yaml.Unmarshal([]byte(text), &value); err != nil {
		return fmt.Errorf("the value is not valid YAML: %w", err)
	}
	keys := strings.Split(path, ".")
	var node any = tree
	for i, key := range keys {
		last := i == len(keys)-1
		switch parent := node.(type) {
		case map[string]any:
			if last {
				parent[key] = value
				return nil
			}
			if parent[key] == nil {
				parent[key] = map[string]any{}
			}
			node = parent[key]
		case []any:
			index, err := strconv.Atoi(key)
			if err != nil || index < 0 || index >= len(parent) {
				return fmt.Errorf("%q is not the number of an entry: %s has %d, counted from 0", key, strings.Join(keys[:i], "."), len(parent))
			}
			if last {
				parent[index] = value
				return nil
			}
			node = parent[index]
		default:
			return fmt.Errorf("%s is a value, it has no %q", strings.Join(keys[:i], "."), key)
		}
	}
	return nil
}

// checkTree compares a decoded YAML tree with the type it is for, so that an unknown key or a wrong
// value is reported by its path, a key with the nearest known one. A missing value (null) is the
// default everywhere. Free-form maps are left to their owners.
func checkTree(path string, node any, t reflect.Type) error {
	if node == nil {
		return nil
	}
	wrong := func(want string) error {
		return fmt.Errorf("%s is %v; it must be %s", strings.TrimSuffix(path, "."), node, want)
	}
	list, isList := node.([]any)
	tree, isTree := node.(map[string]any)
	switch kind := t.Kind(); kind {
	case reflect.Pointer:
		return checkTree(path, node, t.Elem())
	case reflect.Slice, reflect.Array:
		if !isList {
			return wrong("a list")
		}
		if kind == reflect.Array && len(list) != t.Len() {
			return wrong(fmt.Sprintf("a list of %d", t.Len()))
		}
		for i, entry := range list {
			if err := checkTree(path+strconv.Itoa(i)+".", entry, t.Elem()); err != nil {
				return err
			}
		}
	case reflect.Struct:
		if !isTree {
			return wrong("keys with values")
		}
		return checkFields(path, tree, t)
	case reflect.Map:
		if !isTree {
			return wrong("keys with values")
		}
	case reflect.Bool:
		if _, ok := node.(bool); !ok {
			return wrong("true or false")
		}
	case reflect.Int, reflect.Int64:
		if v, ok := number(node); !ok || v != math.Trunc(v) || math.Abs(v) > 1<<53 {
			return wrong("a whole number")
		}
	case reflect.Float64:
		if text, isText := node.(string); isText { // the decoder leaves 1e-3, without a point, a text
			if _, err := strconv.ParseFloat(text, 64); err != nil {
				return wrong("a number")
			}
		} else if _, ok := number(node); !ok {
			return wrong("a number")
		}
	case reflect.String:
		if isList || isTree {
			return wrong("a text")
		}
	}
	return nil
}

// checkFields is checkTree for the keys of a struct.
func checkFields(path string, tree map[string]any, t reflect.Type) error {
	known := yamlKeys(reflect.New(t).Elem().Interface())
	for _, key := range sortedKeys(tree) {
		if !slices.Contains(known, key) {
			err := suggest.Unknown("key", key, known)
			if path != "" {
				err = fmt.Errorf("%s: %w", strings.TrimSuffix(path, "."), err)
			}
			return err
		}
		if err := checkTree(path+key+".", tree[key], fieldByKey(t, key).Type); err != nil {
			return err
		}
	}
	return nil
}

// number is the value of a number in a decoded YAML tree.
func number(node any) (float64, bool) {
	switch v := node.(type) {
	case int64:
		return float64(v), true
	case uint64:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}
