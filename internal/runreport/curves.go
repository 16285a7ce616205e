package runreport

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/godcpt/godcpt/dcpt"
	"github.com/godcpt/godcpt/internal/metricslog"
	"github.com/godcpt/godcpt/internal/report"
)

// stageTitle names a stage in sentences.
var stageTitle = map[string]string{dcpt.StagePretrain: "Pre-training", dcpt.StageFinetune: "Fine-tuning"}

// chart is a diagram of some columns of metrics.csv, left out where a stage has none of them.
type chart struct {
	title, label string
	log          bool
	columns      []column
}

type column struct{ name, label string }

var charts = []chart{
	{"losses", "loss", true, []column{{"loss_pixel", "pixels"}, {"loss_classify", "classification"}}},
	{"accuracy of the classifier", "fraction told rightly", false, []column{{"accuracy", "training batches"}, {"val_accuracy", "validation"}}},
	{"PSNR on validation images", "dB", false, []column{{"val_psnr", "PSNR"}}},
	{"SSIM on validation images", "SSIM", false, []column{{"val_ssim", "SSIM"}}},
	{"gradient norm", "L2 norm", true, []column{{"grad_norm", "network"}, {"grad_norm_classifier", "classifier"}}},
	{"learning rate", "rate", false, []column{{"lr", "network"}, {"lr_classifier", "classifier"}}},
}

// smoothing is how many values of a chart the eye takes in: means over a longer stretch are drawn.
const smoothing = 40

// mainCharts is how many of the charts tell how well it goes; the others are for who trains.
const mainCharts = 4

// MainCurves are the first of Curves: losses and scores.
func MainCurves(runDir, stage string) ([]report.Curve, error) {
	return curves(runDir, stage, charts[:mainCharts])
}

// Curves returns the diagrams of a stage from its metrics.csv.
func Curves(runDir, stage string) ([]report.Curve, error) { return curves(runDir, stage, charts) }

func curves(runDir, stage string, charts []chart) ([]report.Curve, error) {
	table, err := metricslog.Read(filepath.Join(runDir, stage, "metrics.csv"))
	if err != nil {
		return nil, err
	}
	var curves []report.Curve
	for _, c := range charts {
		curve := report.Curve{
			Title: fmt.Sprintf("%s: %s", stageTitle[stage], c.title), XLabel: "iteration", YLabel: c.label, LogY: c.log,
		}
		longest := 0
		for _, column := range c.columns {
			x, y := table.Series(column.name)
			if len(x) == 0 {
				continue
			}
			longest = max(longest, len(x))
			curve.Series = append(curve.Series, report.Series{Name: column.label, X: x, Y: y})
			curve.LogY = curve.LogY && slices.Min(y) > 0 // the PSNR loss is negative
		}
		if len(curve.Series) == 0 {
			continue
		}
		if c.log || slices.ContainsFunc(c.columns, func(c column) bool { return c.name == "accuracy" }) {
			curve.Smooth = longest / smoothing
		}
		curves = append(curves, curve)
	}
	return curves, nil
}
