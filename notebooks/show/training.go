package show

import (
	"bytes"
	"errors"
	"fmt"
	"image/png"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/janpfeifer/gonb/gonbui"
	"github.com/janpfeifer/gonb/gonbui/protocol"

	"github.com/godcpt/godcpt/dcpt"
	"github.com/godcpt/godcpt/internal/report"
	"github.com/godcpt/godcpt/internal/runreport"
)

const (
	pollEvery   = time.Second // how often Training looks for new figures
	chartWidth  = 460         // pixels, of one chart
	chartHeight = 260
)

// shown are the titles of the charts that a notebook shows: the losses, and what they are for.
var shown = []string{"losses", "accuracy of the classifier", "PSNR on validation images"}

// Training shows the curves of a run and draws them anew while it trains, from the metrics.csv that
// it writes. Call it before run.Train, and the returned function after it: that draws the curves for
// the last time, which is the picture that the notebook keeps.
func Training(run *dcpt.Run) (done func() error, err error) {
	w := &watcher{run: run, id: gonbui.UniqueId()}
	if err := w.draw(); err != nil {
		return nil, err
	}
	stop := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(pollEvery):
				// A failure now may be gone at the end, whose error counts.
				_ = w.draw()
			}
		}
	})
	return sync.OnceValue(func() error {
		close(stop)
		watching.Wait()
		return w.draw()
	}), nil
}

// watcher draws the metrics.csv of a run.
type watcher struct {
	run   *dcpt.Run
	id    string // of the notebook's output
	drawn string // state of the file when it was drawn
}

// draw shows the curves, unless the file is as it was when it was last drawn.
func (w *watcher) draw() error {
	info, err := os.Stat(filepath.Join(w.run.Dir, w.run.Stage, "metrics.csv"))
	state := "not there yet"
	switch {
	case err == nil:
		state = fmt.Sprint(info.Size(), info.ModTime())
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("cannot draw the curves: %w", err)
	}
	if state == w.drawn {
		return nil
	}
	curves, err := curves(w.run)
	if err != nil {
		return err
	}
	picture, err := report.Charts(chartWidth*len(curves), chartHeight, curves...)
	if err != nil {
		return err
	}
	var data bytes.Buffer
	if err := png.Encode(&data, picture); err != nil {
		return fmt.Errorf("cannot draw the curves: %w", err)
	}
	w.drawn = state
	display(w.id, protocol.MIMEImagePNG, data.Bytes())
	return nil
}

// curves returns what is shown of a run; empty axes before its first figures.
func curves(run *dcpt.Run) ([]report.Curve, error) {
	list, err := runreport.Curves(run.Dir, run.Stage)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(c report.Curve) bool {
		return !slices.ContainsFunc(shown, func(title string) bool { return strings.HasSuffix(c.Title, title) })
	})
	if len(list) == 0 {
		list = []report.Curve{{Title: run.Stage + ": no figures yet", XLabel: "iteration"}}
	}
	return list, nil
}
