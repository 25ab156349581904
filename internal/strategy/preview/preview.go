// Package preview tells what a deployment would change, without unpacking the
// archive or writing anything: the archive is read and compared with what is
// live.
//
// Its words are those of packages strategy and mirror. It imports these,
// staging, filter, archive, disk and text/*.
package preview

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"stretcher/internal/archive"
	"stretcher/internal/disk"
	"stretcher/internal/strategy"
	"stretcher/internal/strategy/filter"
	"stretcher/internal/strategy/mirror"
	"stretcher/internal/strategy/staging"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/runid"
)

// Options say how a strategy compares. The zero value compares with dest, by
// size, time and content, and leaves nothing alone.
type Options struct {
	Excludes bool // excluded paths are left alone on both sides
	Checksum bool // content counts, not time
	Whole    bool // when anything changes, all of the tree is written

	// Quick lets size and time decide, as rsync does, unless it gives a note
	// that says why content counts. It is told of the archive's entries, and of
	// what would change by size and time. nil: content counts.
	Quick func(entries []archive.Entry, plan *mirror.Plan) (note string)

	// Where the tree will be staged, which decides the groups of an ordinary
	// user's files; nil: beside dest.
	Where *strategy.Where
	// Live is what to compare with instead of dest.
	Live *mirror.Place
	// Tree changes the entries, and what of the live tree is left alone. It is
	// given the excludes.
	Tree func(entries []archive.Entry, excludes *filter.List) ([]archive.Entry, *filter.List, error)
}

// Diff reads the archive, from its beginning, and compares.
func Diff(ctx context.Context, t *strategy.Target, in archive.Input, o Options) (strategy.Changes, error) {
	p := &preview{t: t, in: in, opts: o, live: PlaceOf(t.Dest)}
	if o.Live != nil {
		p.live = *o.Live
	}
	return p.diff(ctx)
}

// PlaceOf is dest as package mirror takes it.
func PlaceOf(d *disk.Dest) mirror.Place {
	p := mirror.Place{Path: d.Given, Parent: d.Parent.Root(), Name: d.Name}
	if d.Dir != nil {
		p.Dir = d.Dir.Root()
	}
	return p
}

type preview struct {
	t    *strategy.Target
	in   archive.Input
	opts Options
	live mirror.Place

	ownMode bool // the archive's root has the mode that dest gets
}

func (p *preview) diff(ctx context.Context) (changes strategy.Changes, err error) {
	opts := mirror.Options{
		Checksum: p.opts.Checksum, Aside: p.opts.Whole, Owners: os.Geteuid() == 0, Protect: runid.IsTemp,
	}
	if p.opts.Live == nil {
		opts.Contents = p.t.KnownContents()
	}
	opts.Groups = !opts.Owners
	if opts.Excludes, err = p.excludes(ctx); err != nil {
		return changes, err
	}
	stage := mirror.NewStage(ctx, p.live.Dir, nil, opts)
	defer stage.Close()
	entries, err := p.scan(ctx, stage)
	if err != nil {
		return changes, err
	}
	staging.Groups(entries, p.group())
	if p.ownMode {
		staging.WarnMode(p.t, entries[0].Mode)
	}
	if p.opts.Tree != nil {
		if entries, opts.Excludes, err = p.opts.Tree(entries, opts.Excludes); err != nil {
			return changes, err
		}
	}
	opts.Differs = stage.Differs
	plan, err := mirror.Compare(ctx, entries, p.live, opts)
	if err != nil {
		return changes, err
	}
	changes = strategy.Changes{List: plan.Changes(), Bytes: plan.Bytes()}
	if p.opts.Quick != nil {
		if changes, err = p.quick(ctx, entries, opts, changes); err != nil {
			return changes, err
		}
	}
	if p.opts.Whole && len(changes.List) > 0 {
		changes.Bytes = size(entries)
	}
	return changes, nil
}

// group is that of what the deployment will stage.
func (p *preview) group() uint32 {
	if p.opts.Where != nil && p.t.Place != nil {
		if dir, err := p.t.Place.Above(*p.opts.Where); err == nil {
			defer dir.Close()
			return staging.GroupIn(dir)
		}
	}
	return staging.GroupIn(p.t.Dest.Parent)
}

// maxNamed is how many paths a note names.
const maxNamed = 3

// quick compares by size and time, unless there is a reason not to, and notes
// what this leaves as it is. exact is what changes where content counts.
func (p *preview) quick(
	ctx context.Context, entries []archive.Entry, opts mirror.Options, exact strategy.Changes,
) (strategy.Changes, error) {
	opts.Quick = true
	plan, err := mirror.Compare(ctx, entries, p.live, opts)
	if err != nil {
		return exact, err
	}
	if note := p.opts.Quick(entries, plan); note != "" {
		exact.Notes = append(exact.Notes, note)
		return exact, nil
	}
	changes := strategy.Changes{List: plan.Changes(), Bytes: plan.Bytes()}
	var stay []string
	for _, c := range exact.List {
		if slices.Contains(c.What, "content") {
			stay = append(stay, strconv.Quote(c.Path))
		}
	}
	if len(stay) > 0 {
		names := strings.Join(stay[:min(len(stay), maxNamed)], ", ")
		if more := len(stay) - maxNamed; more > 0 {
			names += fmt.Sprintf(" and %d more", more)
		}
		changes.Notes = append(changes.Notes, "rsync will leave old content, since size and time are the same: "+names+
			"; use sync_strategy native, which compares content")
	}
	return changes, nil
}

func size(entries []archive.Entry) (n int64) {
	for _, e := range entries {
		n += e.Size
	}
	return n
}

// scan reads the archive from its beginning.
func (p *preview) scan(ctx context.Context, sink archive.Sink) ([]archive.Entry, error) {
	f, err := p.in.Open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, res, err := archive.Scan(ctx, f, p.t.Archive, sink)
	if err != nil {
		return nil, staging.ArchiveError(p.t, err)
	}
	mode, set := staging.RootMode(p.t, entries[0].Mode, res.HasRoot)
	entries[0].Mode, p.ownMode = fs.ModeDir|mode, !set
	return entries, nil
}

// excludes are the target's patterns and those in the archive.
func (p *preview) excludes(ctx context.Context) (*filter.List, error) {
	list, err := p.excludeFrom(ctx)
	if err != nil || !p.opts.Excludes {
		return nil, err
	}
	return staging.Excludes(p.t, list)
}

// excludeFrom returns the exclude list that is in the archive. That takes a
// reading of its own, and one more when symlinks lead to the list: the other
// reading compares the list as any file.
func (p *preview) excludeFrom(ctx context.Context) ([]byte, error) {
	name := p.t.ExcludeFrom
	if name == "" {
		return nil, nil
	}
	want := path.Clean(name)
	for range maxReadings {
		sink := &textSink{want: want}
		entries, err := p.scan(ctx, sink)
		if err != nil {
			return nil, err
		}
		if sink.found {
			return sink.text.Bytes(), staging.CheckExcludeFrom(name, sink.text.Bytes())
		}
		if sink.link != "" {
			want = sink.link
			continue
		}
		if want, err = staging.Resolve(entries, want); err != nil {
			return nil, err
		}
	}
	return nil, failure.Malformed("exclude_from %q is a link to a link too often", name)
}

// maxReadings bounds how often an archive is read for its list: its links may
// lead from one to the other.
const maxReadings = 8

// textSink keeps the text of one file of an archive.
type textSink struct {
	want  string
	link  string // the file that the wanted one is a hard link to
	found bool
	text  bytes.Buffer
}

// File reads the file that is wanted.
func (s *textSink) File(e archive.Entry, content *archive.Content) error {
	if e.Path != s.want {
		return nil
	}
	if e.Size > staging.MaxExcludeFrom {
		return failure.Refused("exclude_from is larger than %d bytes", staging.MaxExcludeFrom)
	}
	s.found = true
	s.text.Reset()
	_, err := io.Copy(&s.text, content)
	return err
}

// Link is told of a hard link.
func (s *textSink) Link(e archive.Entry, old string) error {
	if e.Path == s.want {
		s.link = old
	}
	return nil
}

// Drop is told that a file has been replaced.
func (s *textSink) Drop(path string) error {
	if path == s.want {
		s.found, s.link = false, ""
	}
	return nil
}
