package datasets

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Skipped is a damaged file that a Concat passed over: see Part.Skip.
type Skipped struct {
	Part int    `yaml:"part"` // position of its data set in the Concat
	File string `yaml:"file"`
	Err  error  `yaml:"-"` // what is wrong with it

	set skippingSet
}

// skippingSet is what the account of skipped files needs to know of their data set.
type skippingSet struct {
	name       string
	limit, len int
}

// TooManyDamagedError says that more files of a data set are damaged than may be skipped.
type TooManyDamagedError struct {
	Part  int // position of the data set in the Concat
	Set   string
	Files []string // that were found, in the order in which batches needed them
	Limit int      // that may be skipped
	Len   int      // samples of the data set
}

func (e *TooManyDamagedError) Error() string {
	return fmt.Sprintf("data set %s has %d samples, of whose files at most %d may be damaged; found: %s",
		e.Set, e.Len, e.Limit, enumerate(e.Files))
}

// enumerate lists the first few of many texts.
func enumerate(texts []string) string {
	const show = 5
	more := ""
	if len(texts) > show {
		more = fmt.Sprintf("; and %d more", len(texts)-show)
	}
	return strings.Join(texts[:min(show, len(texts))], "; ") + more
}

// account counts damaged files, each once.
type account struct {
	mu    sync.Mutex
	files map[int][]string // of each part
}

func newAccount(known []Skipped) *account {
	a := &account{files: map[int][]string{}}
	for _, s := range known {
		a.files[s.Part] = append(a.files[s.Part], s.File)
	}
	return a
}

// add counts files and returns those that are new. More of a part than it may have are an error.
func (a *account) add(skipped []Skipped) (found []Skipped, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range skipped {
		if slices.Contains(a.files[s.Part], s.File) {
			continue
		}
		a.files[s.Part] = append(a.files[s.Part], s.File)
		found = append(found, s)
		if len(a.files[s.Part]) > s.set.limit {
			return nil, &TooManyDamagedError{s.Part, s.set.name, slices.Clone(a.files[s.Part]), s.set.limit, s.set.len}
		}
	}
	return found, nil
}
