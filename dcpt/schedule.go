package dcpt

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// Kinds of learning rate schedules, named as the official classes.
const (
	scheduleConstant    = "Constant"
	scheduleCosine      = "CosineAnnealingRestartLR"
	scheduleMultiStep   = "MultiStepLR"
	scheduleMultiStepRe = "MultiStepRestartLR" // the same class as MultiStepLR
)

// scheduleKinds in the order of their messages.
var scheduleKinds = []string{scheduleConstant, scheduleCosine, scheduleMultiStep, scheduleMultiStepRe}

// Schedule gives the learning rate of every iteration. It follows the schedules of the official
// DCPT code, with their quirks (parity case lr_schedules), and keeps no state: a resumed run
// needs the iteration's number only. The zero value is a constant rate.
//
// Iterations count from 1, and iteration n stands at position n-1 of the schedule. While
// n < WarmupIter the rate is base/WarmupIter*n instead.
type Schedule struct {
	// Kind is "Constant" (the default), "CosineAnnealingRestartLR", "MultiStepLR" or
	// "MultiStepRestartLR" (both names of one schedule).
	Kind string `yaml:"kind,omitempty"`

	// Periods are the lengths, in iterations, of the cosine's periods. A position on the border
	// of two periods belongs to the earlier one.
	Periods []int `yaml:"periods,omitempty"`
	// EtaMin is the rate at the end of each cosine period; empty means 0 for all.
	EtaMin []float64 `yaml:"eta_min,omitempty"`

	// Milestones are the positions after which the multi-step rate is multiplied by Gamma; one
	// that is named k times multiplies by Gamma^k.
	Milestones []int `yaml:"milestones,omitempty"`
	// Gamma is the factor at a milestone; 0 means 0.1.
	Gamma float64 `yaml:"gamma,omitempty"`
	// Restarts are the positions at which the multi-step rate becomes base*weight again; empty
	// means position 0 only. A milestone at the same position has no effect, as in the official
	// code.
	Restarts []int `yaml:"restarts,omitempty"`

	// RestartWeights scale the base rate, one for each cosine period or multi-step restart; empty
	// means 1 for all.
	RestartWeights []float64 `yaml:"restart_weights,omitempty"`

	// WarmupIter is the iteration at which the linear warm-up ends; 0 or -1 means none.
	WarmupIter int `yaml:"warmup_iter,omitempty"`
}

// Validate checks the schedule for a run of total iterations (0: not known yet). The official code
// stops with an error in the middle of a run that outlasts a cosine's periods; here that is an
// error before the first step.
func (s Schedule) Validate(total int) error {
	if !slices.Contains(scheduleKinds, s.kind()) {
		return unknownKind("schedule", s.Kind, scheduleKinds)
	}
	if s.WarmupIter < -1 {
		return fmt.Errorf("schedule %s: warmup_iter is %d; use 0 for no warm-up", s.kind(), s.WarmupIter)
	}
	if err := s.checkUnused(); err != nil {
		return fmt.Errorf("schedule %s: %w", s.kind(), err)
	}
	if err := s.checkValues(); err != nil {
		return fmt.Errorf("schedule %s: %w", s.kind(), err)
	}
	if s.kind() == scheduleCosine {
		if err := s.checkPeriods(total); err != nil {
			return fmt.Errorf("schedule %s: %w", s.kind(), err)
		}
	}
	return nil
}

// kind returns the kind with the default filled in.
func (s Schedule) kind() string {
	if s.Kind == "" {
		return scheduleConstant
	}
	return s.Kind
}

// restarts returns the positions with the default filled in.
func (s Schedule) restarts() []int {
	if len(s.Restarts) == 0 {
		return []int{0}
	}
	return s.Restarts
}

// checkUnused refuses fields that the kind would silently ignore.
func (s Schedule) checkUnused() error {
	cosine, multi := s.kind() == scheduleCosine, s.kind() == scheduleMultiStep || s.kind() == scheduleMultiStepRe
	for _, f := range []struct {
		name      string
		set, used bool
	}{
		{"periods", len(s.Periods) > 0, cosine},
		{"eta_min", len(s.EtaMin) > 0, cosine},
		{"milestones", len(s.Milestones) > 0, multi},
		{"gamma", s.Gamma != 0, multi},
		{"restarts", len(s.Restarts) > 0, multi},
		{"restart_weights", len(s.RestartWeights) > 0, cosine || multi},
	} {
		if f.set && !f.used {
			return fmt.Errorf("%s has no effect with this kind; remove it or choose another kind", f.name)
		}
	}
	return nil
}

// checkValues checks the fields shared by several kinds, and those of multi-step schedules.
func (s Schedule) checkValues() error {
	parts, what := len(s.Periods), "periods"
	if s.kind() != scheduleCosine {
		parts, what = len(s.restarts()), "restarts"
	}
	if n := len(s.RestartWeights); n > 0 && n != parts {
		return fmt.Errorf("restart_weights has %d values for %d %s; it needs one for each", n, parts, what)
	}
	for _, list := range [][]float64{s.RestartWeights, s.EtaMin, {s.Gamma}} {
		for _, v := range list {
			if !(v >= 0) || math.IsInf(v, 0) {
				return fmt.Errorf("%v is no valid value of restart_weights, eta_min or gamma; they must not be negative", v)
			}
		}
	}
	for _, positions := range [][]int{s.Milestones, s.Restarts} {
		if len(positions) > 0 && slices.Min(positions) < 0 {
			return fmt.Errorf("position %d of milestones or restarts is negative", slices.Min(positions))
		}
	}
	sorted := slices.Sorted(slices.Values(s.Restarts))
	if len(slices.Compact(sorted)) != len(s.Restarts) {
		return errors.New("restarts names a position twice")
	}
	return nil
}

// checkPeriods checks what only the cosine schedule has.
func (s Schedule) checkPeriods(total int) error {
	if len(s.Periods) == 0 {
		return errors.New("periods is missing: give the length of each period in iterations")
	}
	sum := 0
	for _, p := range s.Periods {
		if p <= 0 {
			return fmt.Errorf("a period of %d iterations is not possible", p)
		}
		sum += p
	}
	if n := len(s.EtaMin); n > 0 && n != len(s.Periods) {
		return fmt.Errorf("eta_min has %d values for %d periods; it needs one for each", n, len(s.Periods))
	}
	// Position 0 belongs to the first period, so the last position is the sum itself.
	if total > sum+1 {
		return fmt.Errorf("the periods cover %d iterations, fewer than the run's %d; lengthen the last period", sum, total)
	}
	return nil
}

// LR returns the learning rate of iteration iter, counted from 1, for the optimiser's base rate.
// The schedule must be valid for the run's length: after its last period a cosine stays at the
// end of that period.
func (s Schedule) LR(base float64, iter int) float64 {
	if iter < s.WarmupIter {
		return base / float64(s.WarmupIter) * float64(iter)
	}
	switch s.kind() {
	case scheduleCosine:
		return s.cosine(base, iter-1)
	case scheduleMultiStep, scheduleMultiStepRe:
		return s.multiStep(base, iter-1)
	}
	return base
}

// cosine returns the rate at a position (from 0).
func (s Schedule) cosine(base float64, position int) float64 {
	i, start := 0, 0
	for i < len(s.Periods)-1 && position > start+s.Periods[i] {
		start += s.Periods[i]
		i++
	}
	weight, eta := 1.0, 0.0
	if len(s.RestartWeights) > 0 {
		weight = s.RestartWeights[i]
	}
	if len(s.EtaMin) > 0 {
		eta = s.EtaMin[i]
	}
	t := min(float64(position-start)/float64(s.Periods[i]), 1)
	return eta + weight*0.5*(base-eta)*(1+math.Cos(math.Pi*t))
}

// multiStep returns the rate at a position (from 0). The official class changes the CURRENT rate
// at a milestone. So after a warm-up it starts from the warm-up's last value, (w-1)/w of the base
// rate, and milestones within the warm-up are lost.
func (s Schedule) multiStep(base float64, position int) float64 {
	rate, from := base, 0
	if w := s.WarmupIter; w > 1 {
		rate, from = base/float64(w)*float64(w-1), w-1
	}
	for i, restart := range s.restarts() {
		if restart >= from && restart <= position {
			rate, from = base, restart+1
			if len(s.RestartWeights) > 0 {
				rate *= s.RestartWeights[i]
			}
		}
	}
	gamma := s.Gamma
	if gamma == 0 {
		gamma = 0.1
	}
	for _, m := range s.Milestones {
		if m >= from && m <= position {
			rate *= gamma
		}
	}
	return rate
}
