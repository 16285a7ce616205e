package benchmark

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"os"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/godcpt/godcpt/datasets/imageio"
)

// picture is what was found in a file.
type picture struct {
	w, h   int
	bytes  [sha256.Size]byte // checksum of the file
	pixels [sha256.Size]byte // checksum of size and 8-bit pixels
	look   look
	err    error // nil if it could be decoded as a whole
}

// examine decodes files, in parallel. Progress, if not nil, is told how many are done.
func examine(ctx context.Context, files []string, progress func(done, total int)) (map[string]picture, error) {
	found := make([]picture, len(files))
	var next, done atomic.Int64
	var mu sync.Mutex // calls progress one at a time
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(files)) {
		workers.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(files) {
					return
				}
				found[i] = readPicture(files[i])
				if progress != nil {
					mu.Lock()
					progress(int(done.Add(1)), len(files))
					mu.Unlock()
				}
			}
		})
	}
	workers.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	all := make(map[string]picture, len(files))
	for i, file := range files {
		all[file] = found[i]
	}
	return all, nil
}

func readPicture(file string) (p picture) {
	data, err := os.ReadFile(file)
	if err != nil {
		return picture{err: err}
	}
	p.bytes = sha256.Sum256(data)
	w, h, pix, err := imageio.DecodeBytes(bytes.NewReader(data), file)
	if err != nil {
		p.err = err
		return p
	}
	p.w, p.h, p.look = w, h, lookAt(w, h, pix)
	sum := sha256.New()
	var size [8]byte
	binary.LittleEndian.PutUint32(size[:4], uint32(w))
	binary.LittleEndian.PutUint32(size[4:], uint32(h))
	sum.Write(size[:])
	sum.Write(pix)
	sum.Sum(p.pixels[:0])
	return p
}
