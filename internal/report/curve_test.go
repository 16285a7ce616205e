package report

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"
)

func labels(ticks []tick) []string {
	var l []string
	for _, t := range ticks {
		l = append(l, t.Label)
	}
	return l
}

func TestTicks(t *testing.T) {
	tests := []struct {
		axis axis
		want string
	}{
		{axis{0, 3000, false}, "0 500 1000 1500 2000 2500 3000"},
		{axis{1, 3000, false}, "500 1000 1500 2000 2500 3000"},
		{axis{0, 750000, false}, "0 200k 400k 600k"},
		{axis{0, 2e7, false}, "0 5M 10M 15M 20M"},
		{axis{20.1, 31.3, false}, "22 24 26 28 30"},
		{axis{-0.3, 0.3, false}, "−0.3 −0.2 −0.1 0 0.1 0.2 0.3"},
		{axis{0.91, 0.925, false}, "0.910 0.912 0.914 0.916 0.918 0.920 0.922 0.924"},
		{axis{0, 2e-4, false}, "0 0.5e-4 1.0e-4 1.5e-4 2.0e-4"},
		{axis{0.005, 3, true}, "0.01 0.1 1"},
		{axis{0.04, 0.6, true}, "0.05 0.1 0.2 0.5"},
		{axis{0.31, 0.39, true}, "0.32 0.34 0.36 0.38"},
		{axis{1e-12, 1, true}, "1e-12 1e-10 1e-8 1e-6 0.0001 0.01 1"},
	}
	for _, tt := range tests {
		ticks := tt.axis.ticks()
		if got := strings.Join(labels(ticks), " "); got != tt.want {
			t.Errorf("%v: %s, want %s", tt.axis, got, tt.want)
		}
		for i, tick := range ticks {
			if tick.At < 0 || tick.At > 100 || i > 0 && tick.At <= ticks[i-1].At {
				t.Errorf("%v: mark %q at %g %%", tt.axis, tick.Label, tick.At)
			}
		}
	}
}

func TestPath(t *testing.T) {
	nan := math.NaN()
	d, err := newCurve(Curve{Title: "C", XLabel: "step", Series: []Series{
		{"a", []float64{0, 1, 2, 3, 4}, []float64{0, 100, nan, math.Inf(1), 50}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	// The vertical axis goes from 0, not below as no value does, to 6 % above 100.
	if got, want := d.Lines[0].Path, "M0 1000L250 56.6M1000 528.3"; got != want {
		t.Errorf("path %s, want %s", got, want)
	}
	if got, want := d.Lines[0].Dots, "M0 1000h0M250 56.6h0M1000 528.3h0"; got != want {
		t.Errorf("dots %s, want %s", got, want)
	}
	if got, want := d.Summary, "C over step: a ends at 50"; got != want {
		t.Errorf("summary %q, want %q", got, want)
	}
	hover, err := json.Marshal(d.Hover)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(hover), `{"x":[0,4],"y":[0,106],"log":false,"label":"step","series":[{"name":"a","colour":0,"x":[0,1,4],"y":[0,100,50]}]}`; got != want {
		t.Errorf("hover %s, want %s", got, want)
	}
}

func TestLogAxisLeavesOutWhatIsNotPositive(t *testing.T) {
	d, err := newCurve(Curve{LogY: true, Series: []Series{{"a", []float64{0, 1, 2, 3}, []float64{1, 0, -1, 0.01}}}})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(d.Lines[0].Path, "NaN") || strings.Count(d.Lines[0].Path, "M") != 2 {
		t.Errorf("path %s, want two points apart", d.Lines[0].Path)
	}
	if got := d.Hover.Series[0].Y; !slices.Equal(got, []figure{1, 0.01}) {
		t.Errorf("points %v, want the positive ones", got)
	}
}

func TestDegenerateCurves(t *testing.T) {
	for name, c := range map[string]Curve{
		"no series":      {},
		"no points":      {Series: []Series{{"a", nil, nil}}},
		"no points, log": {LogY: true, Series: []Series{{"a", []float64{1}, []float64{-1}}}},
		"only NaN":       {Series: []Series{{"a", []float64{1, 2}, []float64{math.NaN(), math.NaN()}}}},
		"one point":      {Series: []Series{{"a", []float64{5}, []float64{3}}}},
		"one at zero":    {Series: []Series{{"a", []float64{0}, []float64{0}}}},
		"constant":       {Series: []Series{{"a", []float64{1, 2}, []float64{-2, -2}}}},
		"constant, log":  {LogY: true, Series: []Series{{"a", []float64{1, 2}, []float64{2, 2}}}},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := newCurve(c)
			if err != nil {
				t.Fatal(err)
			}
			if len(d.XTicks) < 2 || len(d.YTicks) < 2 {
				t.Errorf("%d and %d marks", len(d.XTicks), len(d.YTicks))
			}
			for _, l := range d.Lines {
				if strings.Contains(l.Path+d.Grid, "NaN") || strings.Contains(l.Path+d.Grid, "Inf") {
					t.Errorf("bad path %q, grid %q", l.Path, d.Grid)
				}
			}
			if _, err := json.Marshal(d.Hover); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestManyPointsAreThinned(t *testing.T) {
	var s Series
	for i := range 100000 {
		s.X = append(s.X, float64(i))
		s.Y = append(s.Y, math.Sin(float64(i)/1000))
	}
	s.Y[777], s.Y[55555], s.Y[5] = 9, -9, math.NaN()
	points := thin(clean(s, false))
	if len(points) > maxPoints+1 {
		t.Errorf("%d points are left, want at most %d", len(points), maxPoints+1)
	}
	for _, want := range []point{{777, 9}, {55555, -9}, {99999, s.Y[99999]}} {
		if !slices.Contains(points, want) {
			t.Errorf("the point %v got lost", want)
		}
	}
	if !slices.IsSortedFunc(points, func(a, b point) int { return int(a.x - b.x) }) {
		t.Error("the points are out of order")
	}
}

func TestRunningMean(t *testing.T) {
	nan := math.NaN()
	got := runningMean([]point{{0, 1}, {1, 3}, {2, nan}, {3, 5}, {4, 9}}, 3)
	want := []float64{1, 2, nan, 4, 7}
	for i, w := range want {
		if g := got[i].y; g != w && !(math.IsNaN(g) && math.IsNaN(w)) {
			t.Errorf("mean %d = %g, want %g", i, g, w)
		}
	}
	d, err := newCurve(Curve{Smooth: 2, Series: []Series{{"a", []float64{0, 1, 2}, []float64{0, 4, 8}}}})
	if err != nil {
		t.Fatal(err)
	}
	if d.Lines[0].Faint == "" || d.Lines[0].Last != "6" {
		t.Errorf("faint line %q, last value %s; want the points, and 6", d.Lines[0].Faint, d.Lines[0].Last)
	}
}

func TestShort(t *testing.T) {
	for v, want := range map[float64]string{0.031234: "0.03123", 1e-6: "1e-6", 1.5e-12: "1.5e-12", 123456: "1.235e5", 1e100: "1e100", 12: "12"} {
		if got := short(v); got != want {
			t.Errorf("short(%g) = %s, want %s", v, got, want)
		}
	}
}
