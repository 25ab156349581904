package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/dustin/go-humanize"

	"stretcher/internal/archive"
	"stretcher/internal/cli"
	"stretcher/internal/journal/runlog"
	"stretcher/internal/manifest"
	"stretcher/internal/strategy/filter"
	"stretcher/internal/strategy/mirror"
	"stretcher/internal/text/failure"
)

// plan is what a deployment would do.
type plan struct {
	dest     string
	strategy string
	changes  []mirror.Change
	bytes    int64          // to write
	commands map[string]int // how many would run, by point
}

// runPlan compares what a manifest describes with dest and prints what a
// deployment would change. It runs nothing and writes nothing.
func runPlan(ctx context.Context, o cli.ManifestOptions) (changes bool, err error) {
	log, closeLog := o.Open(o.Stderr)
	defer closeLog()
	r, err := newReader(o, log)
	if err != nil {
		return false, err
	}
	defer r.store.Close()
	p, err := r.plan(ctx)
	if err != nil {
		return false, maskedFailure(log, err)
	}
	if o.JSON {
		err = p.printJSON(o.Stdout)
	} else {
		p.print(o.Stdout)
	}
	return len(p.changes) > 0, err
}

// plan finds out what a deployment would do.
func (r *run) plan(ctx context.Context) (*plan, error) {
	if err := r.loadManifest(ctx, manifestRules()); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	if err := r.accept(); err != nil {
		return nil, err
	}
	m := r.manifest
	p := &plan{dest: m.Dest, strategy: m.SyncStrategy, commands: map[string]int{}}
	for _, point := range m.Commands.Points() {
		if point.Name == "failure" {
			continue
		}
		p.commands[point.Name] = len(point.Commands)
	}
	if !r.hasSrc() {
		return p, nil
	}
	if err := cmp.Or(r.strategy.checkLayout(r), r.strategy.check(r)); err != nil {
		return nil, err
	}
	f, err := r.fetcher(r.planPlaces).Archive(ctx, m.Src, m.Checksum, int64(m.Limits.Archive))
	if err != nil {
		return nil, fmt.Errorf("fetch: %w", err)
	}
	defer f.Close()
	return p, r.compare(ctx, f.File, p)
}

// planPlaces are those that may hold an archive that is looked at only.
func (r *run) planPlaces(int64) []string { return append([]string{os.TempDir()}, r.tempParents()...) }

// compare fills in what differs between the archive and what is deployed.
func (r *run) compare(ctx context.Context, f *os.File, p *plan) error {
	dest := r.live()
	if s, ok := r.strategy.(*releaseStrategy); ok && s.before != "" {
		dest = s.dir.Path(s.before) // which may be gone
	}
	opts, err := mirrorOptions(r.manifest, nil)
	if err != nil {
		return err
	}
	switch r.manifest.SyncStrategy {
	case strategyReleases: // a new release has its own content, whatever its times
		opts.Checksum = true
	case strategyRsync:
		opts.Checksum = false
	}
	text, err := r.planExcludeFrom(ctx, f)
	if err != nil {
		return err
	}
	at, release, err := openPlace(dest)
	if err != nil {
		return err
	}
	defer release()
	stage := mirror.NewStage(at.Dir, nil, opts)
	defer stage.Close()
	entries, err := r.scanPlan(ctx, f, stage)
	if err != nil {
		return err
	}
	if entries, opts.Excludes, err = r.planTree(entries, text); err != nil {
		return err
	}
	opts.Differs = stage.Differs
	diff, err := mirror.Compare(ctx, entries, at, opts)
	if err != nil {
		return err
	}
	p.changes, p.bytes = diff.Changes(), diff.Bytes()
	if r.manifest.SyncStrategy == strategyReleases && len(p.changes) > 0 {
		p.bytes = sizeOf(entries) // each release is whole
	}
	return nil
}

// scanPlan reads the archive from its beginning.
func (r *run) scanPlan(ctx context.Context, f *os.File, sink archive.Sink) ([]archive.Entry, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	entries, res, err := archive.Scan(ctx, f, r.archiveOptions(), sink)
	if err != nil {
		return nil, r.archiveError(err)
	}
	if !res.HasRoot {
		entries[0].Mode = fs.ModeDir | r.destMode()
	}
	return entries, nil
}

// planExcludeFrom returns the exclude list that is in the archive. That takes
// a reading of its own, and one more when symlinks lead to the list: the
// other reading compares the list as any file.
func (r *run) planExcludeFrom(ctx context.Context, f *os.File) ([]byte, error) {
	name := r.manifest.ExcludeFrom
	if name == "" {
		return nil, nil
	}
	for want := path.Clean(name); ; {
		sink := &textSink{want: want}
		entries, err := r.scanPlan(ctx, f, sink)
		if err != nil || sink.found {
			return sink.text.Bytes(), err
		}
		next, err := resolve(entries, want)
		if err == nil && next == want {
			err = failure.Malformed("exclude_from %q is not in the archive", name)
		}
		if err != nil {
			return nil, err
		}
		want = next
	}
}

// textSink keeps the text of one file of an archive.
type textSink struct {
	want  string
	found bool
	text  bytes.Buffer
}

// File reads the file that is wanted.
func (s *textSink) File(e archive.Entry, content *archive.Content) error {
	if e.Path != s.want {
		return nil
	}
	if e.Size > maxExcludeFrom {
		return failure.Refused("exclude_from is larger than %d bytes", maxExcludeFrom)
	}
	s.found = true
	s.text.Reset()
	_, err := io.Copy(&s.text, content)
	return err
}

// Link is told of a hard link.
func (s *textSink) Link(archive.Entry, string) error { return nil }

// Drop is told that a file has been replaced.
func (s *textSink) Drop(path string) error {
	s.found = s.found && path != s.want
	return nil
}

// planTree applies the excludes to the tree of an archive as the strategy
// does, and returns what of dest is left alone. A release does not have what is
// excluded, nor has it what is shared but as links.
func (r *run) planTree(entries []archive.Entry, text []byte) ([]archive.Entry, *filter.List, error) {
	m := *r.manifest
	if m.SyncStrategy == strategyMv {
		return entries, nil, nil
	}
	list, err := excludeList(&m, text)
	s, ok := r.strategy.(*releaseStrategy)
	if err != nil || !ok {
		return entries, list, err
	}
	entries = withoutExcluded(entries, list)
	if err := s.dir.CheckEntries(entries, m.Releases.Shared); err != nil {
		return nil, nil, sharedError(err)
	}
	m.Excludes = nil
	for _, shared := range m.Releases.Shared {
		m.Excludes = append(m.Excludes, "/"+escapePattern(strings.TrimSuffix(shared, "/")))
	}
	list, err = excludeList(&m, nil)
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

func sizeOf(entries []archive.Entry) (n int64) {
	for _, e := range entries {
		n += e.Size
	}
	return n
}

// print prints the plan for people.
func (p *plan) print(w io.Writer) {
	count := map[mirror.Kind]int{}
	for _, c := range p.changes {
		count[c.Kind]++
		text := describeChange(c)
		if c.Bytes > 0 {
			text += "  " + humanize.IBytes(uint64(c.Bytes))
		}
		fmt.Fprintln(w, text)
	}
	if p.dest != "" && len(p.changes) == 0 {
		fmt.Fprintf(w, "%s: nothing to change\n", printable(p.dest))
	} else if p.dest != "" {
		fmt.Fprintf(w, "%s: %d to add, %d to change, %d to delete, %s to write (%s)\n", printable(p.dest),
			count[mirror.Add], count[mirror.Modify], count[mirror.Delete], humanize.IBytes(uint64(p.bytes)), p.strategy)
	}
	var run []string
	for _, point := range new(manifest.Commands).Points() {
		if n := p.commands[point.Name]; n > 0 {
			run = append(run, fmt.Sprintf("%d %s", n, point.Name))
		}
	}
	if len(run) > 0 {
		fmt.Fprintf(w, "commands that would run: %s\n", strings.Join(run, ", "))
	}
}

// planChange is one change in JSON.
type planChange struct {
	Kind  string   `json:"kind"`
	Path  string   `json:"path"`
	Raw   []byte   `json:"raw,omitempty"` // base64 of a path that is not UTF-8
	Dir   bool     `json:"dir,omitempty"`
	What  []string `json:"what,omitempty"`
	Bytes int64    `json:"bytes,omitempty"`
}

// printJSON prints the plan as one object on one line.
func (p *plan) printJSON(w io.Writer) error {
	out := struct {
		Dest     string         `json:"dest"`
		Strategy string         `json:"sync_strategy"`
		Changes  []planChange   `json:"changes"`
		Bytes    int64          `json:"bytes"`
		Commands map[string]int `json:"commands"`
	}{p.dest, p.strategy, []planChange{}, p.bytes, p.commands}
	for _, c := range p.changes {
		row := planChange{Kind: c.Kind.String(), Path: c.Path, Dir: c.Dir, What: c.What, Bytes: c.Bytes}
		if !utf8.ValidString(c.Path) {
			row.Raw = []byte(c.Path)
		}
		out.Changes = append(out.Changes, row)
	}
	return json.NewEncoder(w).Encode(out)
}

// maskedFailure keeps values of the environment out of an error.
func maskedFailure(log *runlog.Log, err error) error {
	return failure.Hinted(cli.Hint(err), failure.Retold(log.Masked(oneLine(failure.Text(err))), err))
}
