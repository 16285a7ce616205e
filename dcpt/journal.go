package dcpt

import (
	"errors"
	"fmt"
	"image"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gomlx/gomlx/ui/plot"

	"github.com/godcpt/godcpt/internal/metricslog"
	"github.com/godcpt/godcpt/internal/plotpoints"
	"github.com/godcpt/godcpt/internal/progress"
	"github.com/godcpt/godcpt/internal/tfevents"
)

// journal tells people what happens: on the screen, above the progress bar while there is one, and in
// log.txt.
type journal struct {
	mu   sync.Mutex
	out  io.Writer
	file *os.File
	bar  *progress.Bar
}

func openJournal(path string, out io.Writer) (*journal, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("cannot open the run's log: %w", err)
	}
	return &journal{out: out, file: file}, nil
}

// message writes a line.
func (j *journal) message(text string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	fmt.Fprintf(j.file, "%s %s\n", time.Now().Format(time.RFC3339), text)
	if j.bar != nil {
		j.bar.Note(text)
		return
	}
	fmt.Fprintln(j.out, text)
}

func (j *journal) setBar(bar *progress.Bar) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.bar = bar
}

func (j *journal) close() error { return j.file.Close() }

// figures are the numbers of a stage: metrics.csv, TensorBoard events and GoMLX's plot points.
type figures struct {
	table  *metricslog.Log
	events *tfevents.Writer
	points *plotpoints.Writer
}

// The columns of metrics.csv behind the step.
const (
	columnPixel        = "loss_pixel"
	columnClassify     = "loss_classify"
	columnAccuracy     = "accuracy"
	columnGradNorm     = "grad_norm"
	columnClassifyNorm = "grad_norm_classifier"
	columnLR           = "lr"
	columnClassifierLR = "lr_classifier"
	columnValPSNR      = "val_psnr"
	columnValSSIM      = "val_ssim"
	columnValAccuracy  = "val_accuracy"
)

// metricType groups columns in GoMLX's plots and TensorBoard.
var metricType = map[string]string{
	columnPixel: "loss", columnClassify: "loss",
	columnAccuracy: "accuracy", columnValAccuracy: "accuracy",
	columnGradNorm: "gradient", columnClassifyNorm: "gradient",
	columnLR: "learning rate", columnClassifierLR: "learning rate",
	columnValPSNR: "PSNR", columnValSSIM: "SSIM",
}

func columns(config StageConfig) []string {
	network, classifier := config.trainsNetwork(), config.trainsClassifier()
	var names []string
	for _, column := range []struct {
		name string
		used bool
	}{
		{columnPixel, network}, {columnClassify, config.classifies()}, {columnAccuracy, config.classifies()},
		{columnGradNorm, network}, {columnClassifyNorm, classifier}, {columnLR, network}, {columnClassifierLR, classifier},
		{columnValAccuracy, classifier}, {columnValPSNR, !classifier}, {columnValSSIM, !classifier},
	} {
		if column.used {
			names = append(names, column.name)
		}
	}
	return names
}

// flushEvery is how many rows may be lost to a kill; those since a checkpoint are made again anyway.
const flushEvery = 20

func openFigures(dir string, iteration int, config StageConfig) (*figures, error) {
	points := filepath.Join(dir, checkpointDir)
	if err := os.MkdirAll(points, 0o755); err != nil {
		return nil, fmt.Errorf("cannot make the checkpoint folder: %w", err)
	}
	last := iteration
	if iteration == 0 {
		last = -1
	}
	f := &figures{}
	var err error
	if f.table, err = metricslog.Open(filepath.Join(dir, metricsFile), columns(config), last, flushEvery); err != nil {
		return nil, err
	}
	if f.points, err = plotpoints.Open(points, last, flushEvery); err != nil {
		return nil, errors.Join(err, f.close())
	}
	if f.events, err = tfevents.Create(filepath.Join(dir, eventsDir), last); err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

// add records the values of an iteration, by column.
func (f *figures) add(iteration int, values map[string]float64) error {
	errs := []error{f.table.Append(iteration, values)}
	for _, column := range sortedKeys(values) {
		kind := metricType[column]
		errs = append(errs,
			f.points.Add(plot.Point{MetricName: column, Short: column, MetricType: kind, Step: float64(iteration), Value: values[column]}),
			f.events.Scalar(iteration, kind+"/"+column, values[column]))
	}
	return errors.Join(errs...)
}

func (f *figures) image(iteration int, tag string, picture image.Image) error {
	return f.events.Image(iteration, tag, picture)
}

func (f *figures) flush() error {
	return errors.Join(f.table.Flush(), f.points.Flush(), f.events.Flush())
}

func (f *figures) close() error {
	var errs []error
	if f.table != nil {
		errs = append(errs, f.table.Close())
	}
	if f.points != nil {
		errs = append(errs, f.points.Close())
	}
	if f.events != nil {
		errs = append(errs, f.events.Close())
	}
	return errors.Join(errs...)
}
