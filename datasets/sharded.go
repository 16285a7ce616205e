package datasets

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// sharded is implemented by file systems whose files lie in shards (package shards): large files that
// are best read one after the other.
type sharded interface {
	Shard(name string) int // number of the shard, from 0, that a file is in
	Together() int         // how many shards may be read at a time
	Losses() []string      // what of the shards cannot be read
}

// ShardOrdered is a data set whose pictures lie in shards, as an Ordered one: see InShardOrder.
type ShardOrdered struct {
	Dataset
	images *Images
	times  int // samples for each picture
}

// InShardOrder returns ds so that a Loader and a Concat read it shard after shard, if it is a Synthetic
// or Paired whose pictures lie in the shards of shards.FS, and ds itself if not.
func InShardOrder(ds Dataset) Dataset {
	out := &ShardOrdered{Dataset: ds}
	switch d := ds.(type) {
	case *Synthetic:
		out.images, out.times = d.images, len(d.cfg.Degradations)*d.cfg.Enlarge
	case *Paired:
		out.images, out.times = d.lq, 1
	default:
		return ds
	}
	if _, ok := out.images.fsys.(sharded); !ok {
		return ds
	}
	return out
}

// Order implements Ordered. The shards are taken in random order, some at a time, and the samples of
// these are shuffled as one: a shuffle buffer that is filled with whole shards. So each shard is read
// in one stretch of the epoch.
func (d *ShardOrdered) Order(seed uint64, epoch int) []int {
	files := d.images.fsys.(sharded)
	var shards [][]int // pictures of each
	for i, name := range d.images.names {
		n := files.Shard(name)
		for len(shards) <= n {
			shards = append(shards, nil)
		}
		shards[n] = append(shards[n], i)
	}
	rng := epochRand(seed, epoch)
	rng.Shuffle(len(shards), func(i, j int) { shards[i], shards[j] = shards[j], shards[i] })
	n := d.images.Len()
	order := make([]int, 0, n*d.times)
	for some := range slices.Chunk(shards, files.Together()) {
		start := len(order)
		for _, i := range slices.Concat(some...) {
			for t := range d.times {
				order = append(order, t*n+i) // as Synthetic numbers them
			}
		}
		buffer := order[start:]
		rng.Shuffle(len(buffer), func(i, j int) { buffer[i], buffer[j] = buffer[j], buffer[i] })
	}
	return order
}

// Losses says, a line for each, which parts of its shards a data set does without, because they are
// damaged (see shards.Config).
func Losses(ds Dataset) []string {
	switch d := ds.(type) {
	case *ShardOrdered:
		return d.images.fsys.(sharded).Losses()
	case *Concat:
		var all []string
		for _, p := range d.parts {
			for _, loss := range Losses(p.Dataset) {
				if !slices.Contains(all, loss) { // several parts may have the same shards
					all = append(all, loss)
				}
			}
		}
		return all
	}
	return nil
}

// What stands between the key and the format in the names of pairs in shards: KEY.lq.png belongs to
// KEY.gt.png.
const (
	ShardLQ = ".lq."
	ShardGT = ".gt."
)

// PairedFromFS returns the pairs in a file system such as shards.FS: the pictures KEY.lq.EXT and
// KEY.gt.EXT of each KEY, which holds the folder. Pictures without partner are an error. LQ, GT and
// Rule of the configuration belong to folders and must be empty, Class must be set. Sizes are
// compared when a sample is read, since a look at every file would read all shards.
func PairedFromFS(fsys fs.FS, cfg PairedConfig) (*Paired, error) {
	switch {
	case cfg.LQ != "" || cfg.GT != "" || cfg.Rule != "":
		return nil, errors.New("pairs of a file system have no folders and no pairing rule")
	case cfg.Class == "":
		return nil, errors.New("pairs of a file system need a class name")
	case cfg.Patch < 0:
		return nil, fmt.Errorf("patch size is %d, must not be negative", cfg.Patch)
	}
	all, err := FromFS(fsys)
	if err != nil {
		return nil, err
	}
	if cfg.Cache != nil {
		all.UseCache(cfg.Cache)
	}
	lq, gt := all.with(ShardLQ), all.with(ShardGT)
	cfg.LQ, cfg.GT = all.place(), all.place() // for messages
	d := &Paired{cfg: cfg, lq: lq, gt: gt}
	if lq.Len() == 0 && gt.Len() == 0 {
		return nil, fmt.Errorf("no pairs in %s: pictures of pairs are named KEY%spng and KEY%spng", all.place(), ShardLQ, ShardGT)
	}
	return d, d.pairByKey()
}

// with returns the pictures whose base name holds a part.
func (s *Images) with(part string) *Images {
	out := &Images{fsys: s.fsys, root: s.root, cache: s.cache}
	var names []string
	for _, name := range s.names {
		if _, _, ok := cutKey(name, part); ok {
			names = append(names, name)
		}
	}
	out.setNames(names)
	return out
}

// cutKey splits a name at the first dot of its base name, if part stands there.
func cutKey(name, part string) (key, ext string, ok bool) {
	base := strings.LastIndexByte(name, '/') + 1
	dot := strings.IndexByte(name[base:], '.')
	if dot < 0 {
		return "", "", false
	}
	ext, ok = strings.CutPrefix(name[base+dot:], part)
	return name[:base+dot], ext, ok
}

// pairByKey fills pairs for names with keys.
func (d *Paired) pairByKey() error {
	clean := make(map[string]int, d.gt.Len())
	var problems []string
	for i, name := range d.gt.names {
		key, _, _ := cutKey(name, ShardGT)
		if other, taken := clean[key]; taken {
			problems = append(problems, fmt.Sprintf("%s and %s have one key", d.gt.Name(other), d.gt.Name(i)))
		}
		clean[key] = i
	}
	used := make([]bool, d.gt.Len())
	for i, name := range d.lq.names {
		key, _, _ := cutKey(name, ShardLQ)
		j, ok := clean[key]
		if !ok || used[j] {
			problems = append(problems, fmt.Sprintf("%s has no clean partner of its own named %s%s*", d.lq.Name(i), key, ShardGT))
			continue
		}
		used[j] = true
		d.pairs = append(d.pairs, PairIndex{i, j})
	}
	for i, ok := range used {
		if !ok {
			problems = append(problems, fmt.Sprintf("%s has no degraded partner", d.gt.Name(i)))
		}
	}
	return d.cfg.report("cannot be paired", problems)
}
