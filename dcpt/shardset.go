package dcpt

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/godcpt/godcpt/datasets"
	"github.com/godcpt/godcpt/datasets/shards"
)

// namesShards tells whether a path means shards: files *.tar, or a folder that holds nothing else.
func namesShards(path string) bool {
	if strings.HasSuffix(path, shards.Extension) {
		info, err := os.Stat(path)
		return err != nil || !info.IsDir() // a folder may be called so
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return false
	}
	found := false
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if e.IsDir() || filepath.Ext(e.Name()) != shards.Extension {
			return false
		}
		found = true
	}
	return found
}

// shardImages lists the clean images in shards.
func shardImages(path string) (*datasets.Images, error) {
	files, err := shards.OpenFiles(path, shards.Config{})
	if err != nil {
		return nil, err
	}
	return datasets.FromFS(files)
}

// shardPairs opens the pairs in shards.
func shardPairs(path string, cfg datasets.PairedConfig) (*datasets.Paired, error) {
	files, err := shards.OpenFiles(path, shards.Config{})
	if err != nil {
		return nil, err
	}
	return datasets.PairedFromFS(files, cfg)
}

// inShardOrder makes a set of images in shards one that is read shard after shard. A test set must be
// whole: scores of what is left of it mean something else.
func inShardOrder(ds datasets.Dataset, eval bool) (datasets.Dataset, error) {
	ds = datasets.InShardOrder(ds)
	if lost := datasets.Losses(ds); eval && len(lost) > 0 {
		return nil, fmt.Errorf("the shards of a test set must be whole: %s: copy or download them again", lost[0])
	}
	return ds, nil
}

// validateShards reports what does not go together with the key shards.
func (s Set) validateShards() error {
	if s.Images != "" || s.Degrade != nil || s.LQ != "" || s.GT != "" || s.Pair != "" || s.List != "" || s.Benchmark != "" || s.Dir != "" {
		return fmt.Errorf("data set %s: shards are of pairs and need no other key that says where images lie; for clean images in shards give images and degrade", s.Name)
	}
	return nil
}
