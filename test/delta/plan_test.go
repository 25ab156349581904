package delta

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// plan asks what a deployment would change: a line for each path. Nothing of the
// archive is fetched for that, and nothing becomes another.
func (h *host) plan(o *origin, name, url string) string {
	h.tb.Helper()
	before := h.now()
	status, out := h.deploy("plan", "--json", url)
	at := strings.LastIndex("\n"+out, "\n{")
	if status != 0 && status != 10 || at < 0 {
		h.tb.Fatalf("plan: exit status %d\n%s", status, out)
	}
	var p struct {
		Changes []struct {
			Path string
			Raw  []byte
			What []string
		}
	}
	check(h.tb, json.Unmarshal([]byte(out[at:]), &p))
	var all []string
	for _, c := range p.Changes {
		if c.Raw != nil {
			c.Path = string(c.Raw)
		}
		if len(c.What) != 1 || c.What[0] != "links" { // a look does not tell these
			all = append(all, fmt.Sprintf("%q\n", filepath.Clean(c.Path)))
		}
	}
	if sent := o.bytesOf("/" + name + ".tar"); sent > 0 {
		h.tb.Errorf("plan: %d bytes of the archive were fetched\n%s", sent, out)
	}
	if after := h.now(); after != before {
		h.tb.Errorf("plan: changed:\n%s", difference(after, before))
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.recount()
	slices.Sort(all)
	return strings.Join(all, "")
}

// now is what is live; "" = nothing is.
func (h *host) now() string {
	if _, err := os.Stat(h.dest()); errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	return look(h.tb, h.live())
}

// changed are the paths of what is in one of two looks and not in the other, as a
// plan tells them: directories get their times back when something in them changes.
func changed(before, after string) string {
	times := regexp.MustCompile(`(?m)(" d[^ ]*) .*$`)
	var all []string
	before, after = times.ReplaceAllString(before, "$1"), times.ReplaceAllString(after, "$1")
	for line := range strings.Lines(difference(after, before)) {
		quoted, _, _ := strings.Cut(line[2:], "\" ")
		all = append(all, quoted+"\"\n")
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), "")
}
