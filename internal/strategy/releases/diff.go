package releases

import (
	"context"
	"path"
	"slices"
	"strings"

	"stretcher/internal/archive"
	"stretcher/internal/strategy"
	"stretcher/internal/strategy/filter"
	"stretcher/internal/strategy/mirror"
	"stretcher/internal/strategy/preview"
	"stretcher/internal/strategy/staging"
)

// Diff compares with the release that is live, by content: a new release has
// its own, whatever its times.
func (d *deployment) Diff(ctx context.Context, in archive.Input) (strategy.Changes, error) {
	live := mirror.Place{Path: d.Live(), Name: currentName}
	if d.before != "" {
		if dir, err := d.dir.release(d.before); err == nil { // it may be gone
			defer dir.Close()
			live.Dir = dir.Root()
		}
	}
	return preview.Diff(ctx, &d.t, in, preview.Options{
		Excludes: true, Checksum: true, Whole: true, Live: &live, Tree: d.planned,
	})
}

// planned is the tree of a release: it does not have what is excluded, nor
// what is shared but as links. The list says what of the tree is left alone.
func (d *deployment) planned(entries []archive.Entry, excludes *filter.List) ([]archive.Entry, *filter.List, error) {
	entries = withoutExcluded(entries, excludes)
	if err := d.dir.CheckEntries(entries, d.t.Releases.Shared); err != nil {
		return nil, nil, explained(err)
	}
	links := strategy.Target{}
	for _, shared := range d.t.Releases.Shared {
		links.Excludes = append(links.Excludes, "/"+escapePattern(strings.TrimSuffix(shared, "/")))
	}
	list, err := staging.Excludes(&links, nil)
	return entries, list, err
}

// withoutExcluded leaves out excluded entries with all that is in them.
func withoutExcluded(entries []archive.Entry, list *filter.List) []archive.Entry {
	gone := map[string]bool{}
	return slices.DeleteFunc(entries, func(e archive.Entry) bool {
		out := gone[path.Dir(e.Path)] || list.Excluded(e.Path, e.Mode.IsDir())
		if out && e.Mode.IsDir() {
			gone[e.Path] = true
		}
		return out
	})
}

// escapePattern makes an exclude pattern that matches just name.
func escapePattern(name string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(name)
}
