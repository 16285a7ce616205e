package dcpt

import (
	"fmt"

	"github.com/godcpt/godcpt/layers"
)

// TLC makes a network take the statistics that it takes of a whole image, the averages of NAFNet's
// channel attention and Restormer's attention, of a window instead when it restores: the test-time
// local converter (see layers.Window). The published scores of NAFNet on GoPro and REDS are with it. It
// changes no weights. Both sizes are height and width in pixels of the image; all 0 means off.
type TLC struct {
	Train  [2]int `yaml:"train,omitempty" json:"train"`   // the crops that the network was trained on
	Window [2]int `yaml:"window,omitempty" json:"window"` // 0: 1.5 times Train, as published
}

// IsZero reports whether TLC is off.
func (t TLC) IsZero() bool { return t == TLC{} }

func (t TLC) validate() error {
	for i := range t.Train {
		if t.Train[i] < 0 || t.Window[i] < 0 || !t.IsZero() && t.Train[i] == 0 {
			return fmt.Errorf("tlc: train %v, window %v: give the height and width of the training crops", t.Train, t.Window)
		}
	}
	return nil
}

// level is the window for features whose sides are those of an image that is padded to a multiple, over
// stride. As in the official code it follows from the size of a feature of a training crop.
func (t TLC) level(stride, multiple int) layers.Window {
	var window layers.Window
	for i, train := range t.Train {
		if train == 0 {
			return layers.Window{}
		}
		base := orDefault(t.Window[i], train*3/2)
		feature := (train + multiple - 1) / multiple * multiple / stride
		window[i] = feature * base / train
	}
	return window
}
