package benchmark

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"os"
	"runtime"
	"sync"

	"github.com/godcpt/godcpt/datasets/imageio"
	"github.com/godcpt/godcpt/internal/parallel"
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
	done := 0
	var mu sync.Mutex // of done, and of the calls of progress
	err := parallel.Each(ctx, len(files), runtime.GOMAXPROCS(0), func(i int) error {
		found[i] = readPicture(files[i])
		mu.Lock()
		defer mu.Unlock()
		done++
		if progress != nil {
			progress(done, len(files))
		}
		return nil
	})
	if err != nil {
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
