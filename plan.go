package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/dustin/go-humanize"

	"stretcher/internal/cli"
	"stretcher/internal/fetch"
	"stretcher/internal/fetch/cache"
	"stretcher/internal/journal"
	"stretcher/internal/journal/runlog"
	"stretcher/internal/manifest"
	"stretcher/internal/strategy"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/printable"
)

// plan is what a deployment would do.
type plan struct {
	dest     string
	strategy string
	changes  strategy.Changes
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
	defer r.close()
	if o.StateError == nil {
		r.rec = journal.OpenReading(ctx, o.StateDir, log)
		r.kept, _ = cache.OpenReading(r.rec.State().Cache()) // what is not there helps nobody
	}
	p, err := r.plan(ctx)
	if err != nil {
		return false, maskedFailure(log, err)
	}
	if o.JSON {
		err = p.printJSON(o.Stdout)
	} else {
		p.print(o.Stdout)
	}
	return len(p.changes.List) > 0, err
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
	if err := r.chooseStrategy(); err != nil {
		return nil, err
	}
	defer r.closeDest()
	if err := cmp.Or(r.strategy.CheckLayout(), r.strategy.Check()); err != nil {
		return nil, err
	}
	if r.isCurrent(ctx) {
		return p, nil // the record of dest says so: nothing is fetched
	}
	f, err := r.planArchive(ctx)
	if err != nil {
		return nil, fmt.Errorf("fetch: %w", err)
	}
	defer f.Close()
	p.changes, err = r.strategy.Diff(ctx, f)
	return p, err
}

// planArchive opens the archive where it has been kept for a rollback, or
// fetches it. A kept one that is damaged is not taken.
func (r *run) planArchive(ctx context.Context) (*os.File, error) {
	if r.kept != nil {
		if f, ok := r.kept.Find(r.manifest.Checksum.String()); ok {
			if fetch.Verify(ctx, f, r.manifest.Checksum) == nil {
				r.src = "the kept archive"
				return f, nil
			}
			_ = f.Close()
		}
	}
	m := r.manifest
	f, err := r.fetcher(r.planPlaces).Archive(ctx, m.Src, m.Checksum, int64(m.Limits.Archive))
	if err != nil {
		return nil, err
	}
	return f.File, nil
}

// planPlaces are those that may hold an archive that is looked at only.
func (r *run) planPlaces(int64) []string { return append([]string{os.TempDir()}, r.tempParents()...) }

// print prints the plan for people.
func (p *plan) print(w io.Writer) {
	for _, c := range p.changes.List {
		text := c.String()
		if c.Bytes > 0 {
			text += "  " + humanize.IBytes(uint64(c.Bytes))
		}
		fmt.Fprintln(w, text)
	}
	if p.dest != "" && len(p.changes.List) == 0 {
		fmt.Fprintf(w, "%s: nothing to change\n", printable.Text(p.dest))
	} else if p.dest != "" {
		fmt.Fprintf(w, "%s: %s (%s)\n", printable.Text(p.dest), p.changes.Tally(), p.strategy)
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
	}{p.dest, p.strategy, []planChange{}, p.changes.Bytes, p.commands}
	for _, c := range p.changes.List {
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
