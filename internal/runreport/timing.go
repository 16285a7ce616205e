package runreport

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/godcpt/godcpt/internal/atomicfile"
	"github.com/godcpt/godcpt/internal/memory"
)

// Cost is what a run has taken so far, over all the processes that worked on it.
type Cost struct {
	Seconds      float64 `json:"seconds"`
	PeakMemoryMB float64 `json:"peak_memory_mb"` // 1e6 bytes; of the process that took most; 0: not known
	Processes    int     `json:"processes"`
}

// costFile holds the Cost in the folder of a run or of a stage.
const costFile = "timing.json"

// Clock measures the Cost of the work on a folder, from when it is started. What a killed process has
// taken is not recorded.
type Clock struct {
	path    string
	before  Cost
	started time.Time
}

// StartClock goes on from the cost that is recorded in a folder, which need not exist yet.
func StartClock(dir string) (*Clock, error) {
	before, err := ReadCost(dir)
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return &Clock{path: filepath.Join(dir, costFile), before: before, started: time.Now()}, err
}

// ReadCost reads the cost that is recorded in a folder.
func ReadCost(dir string) (Cost, error) {
	var c Cost
	path := filepath.Join(dir, costFile)
	text, err := os.ReadFile(path)
	if err != nil {
		return c, fmt.Errorf("cannot read the time taken so far: %w", err)
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return c, fmt.Errorf("cannot read the time taken so far: %s: %w (remove the file to begin at 0)", path, err)
	}
	return c, nil
}

// Cost returns what was taken until now.
func (c *Clock) Cost() Cost {
	return Cost{
		Seconds:      c.before.Seconds + time.Since(c.started).Seconds(),
		PeakMemoryMB: max(c.before.PeakMemoryMB, float64(memory.Peak())/1e6),
		Processes:    c.before.Processes + 1,
	}
}

// Save records the cost until now in the folder, if the work has made one.
func (c *Clock) Save() error {
	if _, err := os.Stat(filepath.Dir(c.path)); err != nil {
		return nil
	}
	text, err := json.Marshal(c.Cost())
	if err != nil {
		return err
	}
	return atomicfile.WriteBytes(c.path, append(text, '\n'))
}

// Duration writes seconds for people: "4 min 10 s".
func Duration(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	h, m, s := int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60
	switch {
	case h > 0:
		return fmt.Sprintf("%d h %d min", h, m)
	case m > 0:
		return fmt.Sprintf("%d min %d s", m, s)
	}
	return fmt.Sprintf("%.1f s", seconds)
}
