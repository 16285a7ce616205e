package datasets

import "sync/atomic"

// DefaultCacheBytes is how much memory the decoded pictures of an Images take that shares no Cache with
// others: 1 GiB holds 2300 pictures of 481x321 pixels.
const DefaultCacheBytes = 1 << 30

// Cache bounds the memory that decoded pictures take, in all the Images that share it: each picture is
// kept as 8-bit RGB, 3 bytes a pixel, until there is no room for the next one.
//
// Nothing is ever thrown out. Training asks for pictures in random order, where which ones are kept
// makes no difference; those of small sets that are repeated often come early and so are mostly among
// them. Validation asks for all in turn, where throwing out the oldest would keep just the wrong ones.
type Cache struct {
	limit int64
	used  atomic.Int64
}

// NewCache returns a cache for so many bytes of pictures; with 0 or less nothing is kept.
func NewCache(limit int64) *Cache { return &Cache{limit: limit} }

// Used returns the bytes that are taken, never more than the limit.
func (c *Cache) Used() int64 { return c.used.Load() }

// reserve takes n bytes if they are there.
func (c *Cache) reserve(n int64) bool {
	for {
		used := c.used.Load()
		if n > c.limit-used {
			return false
		}
		if c.used.CompareAndSwap(used, used+n) {
			return true
		}
	}
}
