package recipes

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gomlx/gomlx/ml/model"

	"github.com/godcpt/godcpt/dcpt"
	"github.com/godcpt/godcpt/internal/backend/backendtest"
)

// parameters of networks that must be those of an official one.
var parameters = map[string]int{"nafnet-5d": 67_888_835}

func TestShippedRecipes(t *testing.T) {
	for _, name := range Names() {
		t.Run(name, func(t *testing.T) {
			r, err := Load(name)
			if err != nil {
				t.Fatal(err)
			}
			if r.Name != name {
				t.Errorf("the recipe in %s.yaml is named %q", name, r.Name)
			}
			for _, stage := range []string{dcpt.StagePretrain, dcpt.StageFinetune} {
				if _, err := r.Stage(stage); err != nil {
					t.Error(err)
				}
			}
			var tested []string
			for _, s := range r.Data.Test {
				tested = append(tested, s.Name)
			}
			if !slices.Equal(r.Classes(), tested) {
				t.Errorf("trained on %v, tested on %v", r.Classes(), tested)
			}
			network, err := dcpt.NewNetwork(r.Network)
			if err != nil {
				t.Fatal(err)
			}
			store := model.NewStore()
			if err := dcpt.InitNetwork(backendtest.Go(t), store, dcpt.NetworkScope, network); err != nil {
				t.Fatal(err)
			}
			want, pinned := parameters[name]
			if got := dcpt.CountParameters(store, dcpt.NetworkScope); pinned && got != want {
				t.Errorf("%d parameters, want %d", got, want)
			}
		})
	}
}

// The order of the official test option file: Rain100L, CBSD68, SOTS, GoPro, LOL.
func TestClassesOf5D(t *testing.T) {
	r, err := Load("nafnet-5d", "data.root=/elsewhere")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := r.Classes(), []string{"rain", "noise", "haze", "blur", "lowlight"}; !slices.Equal(got, want) {
		t.Errorf("classes %v, want %v", got, want)
	}
	if r.Data.Root != "/elsewhere" {
		t.Errorf("root %q", r.Data.Root)
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	data, err := FS.ReadFile("quickstart.yaml")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "mine.yaml")
	if err := os.WriteFile(file, []byte(strings.Replace(string(data), "name: quickstart", "name: mine", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	if err := os.WriteFile("plain", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, setting, want string }{
		{file, "seed=3", ""},
		{"mine.yaml", "seed=3", ""},
		{"quickstart", "seed=3", ""},
		{"quick-start", "seed=3", `unknown recipe "quick-start" (did you mean "quickstart"?); known: nafnet-5d, quickstart`},
		{"plain", "seed=3", "write ./plain"},
		{"other.yaml", "seed=3", "cannot read the recipe: open other.yaml"},
		{"quickstart", "finetune.optimiser.lr=1", `recipe quickstart: finetune: unknown key "optimiser" (did you mean "optimizer"?)`},
		{"quickstart", "network.preset=nafnet-tinny", `(did you mean "nafnet-tiny"?)`},
		{"quickstart", "seed", `setting "seed": must have the form key=value`},
	} {
		r, err := Load(test.name, test.setting)
		if test.want != "" {
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s, %s: %v, want %q", test.name, test.setting, err, test.want)
			}
			continue
		}
		if err != nil || r.Seed != 3 {
			t.Errorf("%s: %+v, %v", test.name, r, err)
		}
	}
}
