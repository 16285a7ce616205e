package dcpt

import (
	"encoding/json"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/godcpt/godcpt/internal/paritytest"
)

// paritySchedule is the scheduler entry of a lr_schedules case: the official constructor's
// arguments, where eta_min may be one number.
type paritySchedule struct {
	Type           string          `json:"type"`
	Periods        []int           `json:"periods"`
	RestartWeights []float64       `json:"restart_weights"`
	EtaMin         json.RawMessage `json:"eta_min"`
	Milestones     []int           `json:"milestones"`
	Gamma          float64         `json:"gamma"`
	Restarts       []int           `json:"restarts"`
}

// schedule translates the entry.
func (p paritySchedule) schedule(t *testing.T, warmup int) Schedule {
	t.Helper()
	s := Schedule{
		Kind: p.Type, Periods: p.Periods, RestartWeights: p.RestartWeights,
		Milestones: p.Milestones, Gamma: p.Gamma, Restarts: p.Restarts, WarmupIter: warmup,
	}
	if len(p.EtaMin) > 0 && p.EtaMin[0] != '[' {
		var one float64
		if err := json.Unmarshal(p.EtaMin, &one); err != nil {
			t.Fatal(err)
		}
		s.EtaMin = []float64{one}
	} else if len(p.EtaMin) > 0 {
		if err := json.Unmarshal(p.EtaMin, &s.EtaMin); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// TestParitySchedules compares with rates that the official schedulers produced. Both are float64
// formulas of the same terms, so they agree far better than the case's tolerance (1e-9).
func TestParitySchedules(t *testing.T) {
	for _, dir := range paritytest.Cases(t, "lr_schedules") {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			var file struct {
				Cases []struct {
					ID        string         `json:"id"`
					Scheduler paritySchedule `json:"scheduler"`
					Warmup    int            `json:"warmup_iter"`
					Base      float64        `json:"initial_lr"`
					Rates     []float64      `json:"lr_at_iteration_1_to_n"`
				} `json:"cases"`
				Tolerance struct {
					Rel float64 `json:"rel"`
				} `json:"tolerance"`
			}
			paritytest.Case(t, dir, &file)
			if file.Tolerance.Rel == 0 || len(file.Cases) == 0 {
				t.Fatal("no cases or no tolerance in case.json")
			}
			for _, c := range file.Cases {
				t.Run(c.ID, func(t *testing.T) {
					s := c.Scheduler.schedule(t, c.Warmup)
					if err := s.Validate(len(c.Rates)); err != nil {
						t.Fatal(err)
					}
					for i, want := range c.Rates {
						if got := s.LR(c.Base, i+1); !(math.Abs(got-want) <= file.Tolerance.Rel*math.Abs(want)) {
							t.Errorf("iteration %d: rate %v, want %v", i+1, got, want)
						}
					}
				})
			}
		})
	}
}

func TestScheduleLR(t *testing.T) {
	for _, c := range []struct {
		name string
		s    Schedule
		iter int
		want float64 // for base 1
	}{
		{"zero value", Schedule{}, 1000, 1},
		{"constant in warm-up", Schedule{WarmupIter: 10}, 3, 0.3},
		{"constant at the end of warm-up", Schedule{WarmupIter: 10}, 10, 1},
		{"cosine without weights or eta", Schedule{Kind: "CosineAnnealingRestartLR", Periods: []int{10, 10}}, 6, 0.5},
		{"border belongs to the earlier period", Schedule{Kind: "CosineAnnealingRestartLR", Periods: []int{10, 10}}, 11, 0},
		{"after the last period", Schedule{Kind: "CosineAnnealingRestartLR", Periods: []int{10}, EtaMin: []float64{0.25}}, 99, 0.25},
		{"default gamma", Schedule{Kind: "MultiStepLR", Milestones: []int{5}}, 6, 0.1},
		{"before the milestone", Schedule{Kind: "MultiStepLR", Milestones: []int{5}}, 5, 1},
		{"restart hides a milestone", Schedule{Kind: "MultiStepLR", Milestones: []int{2, 5}, Restarts: []int{5}}, 6, 1},
		{"start hides a milestone", Schedule{Kind: "MultiStepLR", Milestones: []int{0}}, 3, 1},
		{"start with a weight", Schedule{Kind: "MultiStepLR", RestartWeights: []float64{0.5}}, 3, 0.5},
		{"milestone within warm-up is lost", Schedule{Kind: "MultiStepLR", Milestones: []int{2}, WarmupIter: 5}, 9, 0.8},
		{"unsorted", Schedule{Kind: "MultiStepLR", Milestones: []int{6, 2}, Gamma: 0.5}, 7, 0.25},
	} {
		if err := c.s.Validate(0); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		// A handful of float64 operations: a few units in the last place.
		if got := c.s.LR(1, c.iter); math.Abs(got-c.want) > 1e-14 {
			t.Errorf("%s: rate %v, want %v", c.name, got, c.want)
		}
	}
}

func TestScheduleValidate(t *testing.T) {
	const cosine = "CosineAnnealingRestartLR"
	for _, c := range []struct {
		name  string
		s     Schedule
		total int
		want  string // in the message; "" for no error
	}{
		{"last position is the end of the last period", Schedule{Kind: cosine, Periods: []int{20, 30}}, 51, ""},
		{"too long a run", Schedule{Kind: cosine, Periods: []int{20, 30}}, 52, "cover 50 iterations"},
		{"typing error", Schedule{Kind: "CosineAnealingRestartLR"}, 0, `did you mean "CosineAnnealingRestartLR"`},
		{"unlike any", Schedule{Kind: "x"}, 0, "MultiStepRestartLR"},
		{"no periods", Schedule{Kind: cosine}, 0, "periods is missing"},
		{"zero period", Schedule{Kind: cosine, Periods: []int{0}}, 0, "period of 0"},
		{"eta_min per period", Schedule{Kind: cosine, Periods: []int{5, 5}, EtaMin: []float64{1e-6}}, 0, "eta_min has 1 values for 2"},
		{"weight per period", Schedule{Kind: cosine, Periods: []int{5, 5}, RestartWeights: []float64{1}}, 0, "restart_weights has 1 values for 2 periods"},
		{"weight per restart", Schedule{Kind: "MultiStepLR", Restarts: []int{0}, RestartWeights: []float64{1, 1}}, 0, "for 1 restarts"},
		{"restart twice", Schedule{Kind: "MultiStepLR", Restarts: []int{3, 3}}, 0, "twice"},
		{"negative milestone", Schedule{Kind: "MultiStepLR", Milestones: []int{-3}}, 0, "negative"},
		{"NaN", Schedule{Kind: cosine, Periods: []int{5}, EtaMin: []float64{math.NaN()}}, 0, "NaN"},
		{"field of another kind", Schedule{Kind: "MultiStepLR", Periods: []int{3}}, 0, "periods has no effect"},
		{"kind forgotten", Schedule{Milestones: []int{3}}, 0, "milestones has no effect"},
		{"warm-up", Schedule{WarmupIter: -2}, 0, "warmup_iter"},
	} {
		err := c.s.Validate(c.total)
		if c.want == "" && err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want a message with %q", c.name, err, c.want)
		}
	}
}
