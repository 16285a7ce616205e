package download

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/godcpt/godcpt/internal/atomicfile"
)

// origin is where the bytes of a part came from: what it takes to ask for the rest of the same file.
type origin struct {
	URL          string `json:"url"` // without a password
	ETag         string `json:"etag,omitempty"`
	LastModified string `json:"last_modified,omitempty"`
	Size         int64  `json:"size,omitempty"` // of the whole file, 0 if unknown
}

// originOf reads the origin from an answer whose body begins at byte start of the file.
func originOf(address *url.URL, resp *http.Response, start int64) origin {
	o := origin{URL: address.Redacted(), LastModified: resp.Header.Get("Last-Modified")}
	// A weak tag only says that files mean the same, not that their bytes are equal.
	if tag := resp.Header.Get("ETag"); !strings.HasPrefix(tag, "W/") {
		o.ETag = tag
	}
	if resp.ContentLength > 0 {
		o.Size = start + resp.ContentLength
	}
	return o
}

// validator is what tells the server which version of the file the part belongs to; "" if nothing does.
func (o origin) validator() string {
	if o.ETag != "" {
		return o.ETag
	}
	return o.LastModified
}

// checkRange says whether an answer (206) is the rest of the same file, from byte have on: servers
// that ignore If-Range send the rest of whatever file they have now.
func (o origin) checkRange(header http.Header, have int64) error {
	text := header.Get("Content-Range")
	span, total, _ := strings.Cut(strings.TrimPrefix(text, "bytes "), "/")
	first, _, _ := strings.Cut(span, "-")
	if start, err := strconv.ParseInt(first, 10, 64); err != nil || start != have {
		return fmt.Errorf("the server sends another part of the file than asked for (%q)", text)
	}
	changed := errors.New("the file on the server has changed")
	if size, err := strconv.ParseInt(total, 10, 64); err == nil && o.Size > 0 && size != o.Size {
		return changed
	}
	if tag := header.Get("ETag"); o.ETag != "" && tag != "" && tag != o.ETag {
		return changed
	}
	if date := header.Get("Last-Modified"); o.ETag == "" && date != "" && date != o.LastModified {
		return changed
	}
	return nil
}

// partFile is an unfinished file and, beside it, its origin.
type partFile struct{ path string }

func (p partFile) originPath() string { return p.path + ".json" }

func (p partFile) exists() bool {
	_, err := os.Stat(p.path)
	return err == nil
}

// length returns how much of the file is there.
func (p partFile) length() int64 {
	info, err := os.Stat(p.path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// load returns how much is there and from where; false if that is not known.
func (p partFile) load() (int64, origin, bool) {
	var o origin
	data, err := os.ReadFile(p.originPath())
	if err != nil || json.Unmarshal(data, &o) != nil {
		return 0, origin{}, false
	}
	return p.length(), o, true
}

// begin empties the part and notes its origin. The order makes sure that bytes are never taken for
// those of another origin.
func (p partFile) begin(o origin) error {
	p.remove()
	if o.validator() == "" {
		return nil
	}
	data, err := json.Marshal(o)
	if err != nil {
		return err
	}
	return atomicfile.WriteBytes(p.originPath(), data)
}

// removeUnlessResumable removes bytes that cannot be of use any more.
func (p partFile) removeUnlessResumable() {
	if have, _, ok := p.load(); !ok || have == 0 {
		p.remove()
	}
}

func (p partFile) remove() {
	os.Remove(p.path)
	os.Remove(p.originPath())
}
