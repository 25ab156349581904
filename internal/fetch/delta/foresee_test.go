package delta

import (
	"context"
	"errors"
	"io"
	"os"
	"testing"

	"stretcher/internal/archive"
	"stretcher/internal/archive/index"
	"stretcher/internal/archive/pack"
)

// TestForesee: what is foreseen is what Bring fetches then, and no part of the archive
// is asked for, whatever the host has.
func TestForesee(t *testing.T) {
	before, after := newRelease(t, files(-1), pack.Gzip), newRelease(t, changedFiles(3, 17, 31), pack.Gzip)
	for name, change := range map[string]func(h *Host){
		"live tree":        func(*Host) {},
		"archive before":   func(h *Host) { h.Archive = opening(before) },
		"tree of nobody":   func(h *Host) { h.Last = "" },
		"nothing":          func(h *Host) { h.Last, h.Tree = "", func() (Live, error) { return nil, os.ErrNotExist } },
		"few are wanted":   func(h *Host) { h.Wants = wanting(after, "d3/f3") },
		"none are wanted":  func(h *Host) { h.Wants = wanting(after) },
		"all of it":        func(h *Host) { h.All = true },
		"all, from before": func(h *Host) { h.All, h.Archive = true, opening(before) },
	} {
		t.Run(name, func(t *testing.T) {
			a := ask(t, after, false)
			h, _ := hostWith(t, before, after, a.URL+"/a.tar.x")
			change(h)
			f, err := h.Foresee(t.Context(), newServer())
			ok(t, err)
			f.Close()
			if n := a.ranges.Load(); n != 0 {
				t.Errorf("%d requests for the archive", n)
			}
			other, _ := hostWith(t, before, after, a.URL+"/a.tar.x")
			change(other)
			b, _, err := other.Bring(t.Context(), newServer())
			if errors.Is(err, ErrDear) {
				b = &Rebuilt{Stats: Stats{Bytes: after.index.Size + f.Bytes - f.Whole, Requests: 1, Whole: f.Whole}}
			} else {
				ok(t, err)
				defer b.Close()
			}
			if f.Bytes != b.Bytes || f.Requests != b.Requests || f.Whole != b.Whole {
				t.Errorf("foreseen %v, brought %v", f.Stats, b.Stats)
			}
		})
	}
}

// opening opens the archive of a release.
func opening(r *release) func(string) (Source, bool) {
	return func(string) (Source, bool) {
		f, err := os.Open(r.archive)
		return f, err == nil
	}
}

// wanting wants the contents of some paths.
func wanting(r *release, paths ...string) func(context.Context, archive.Input) (func(index.Sum) bool, error) {
	wanted := map[index.Sum]bool{}
	for _, path := range paths {
		wanted[r.index.Files[at(r.index, path)].Sum] = true
	}
	return func(context.Context, archive.Input) (func(index.Sum) bool, error) {
		return func(sum index.Sum) bool { return wanted[sum] }, nil
	}
}

// TestForeseenIsRead: a content comes when it is read, from where it is, and what is
// skipped does not.
func TestForeseenIsRead(t *testing.T) {
	before, after := newRelease(t, files(-1), pack.Gzip), newRelease(t, changedFiles(3, 17, 31), pack.Gzip)
	for name, kept := range map[string]bool{"live tree": false, "archive before": true} {
		t.Run(name, func(t *testing.T) {
			a := ask(t, after, false)
			h, _ := hostWith(t, before, after, a.URL+"/a.tar.x")
			if kept {
				h.Archive = opening(before)
			}
			f, err := h.Foresee(t.Context(), newServer())
			ok(t, err)
			defer f.Close()
			in, err := f.Open()
			ok(t, err)
			at := after.index.Files[at(after.index, "d3/f3")].Start
			_, err = in.(*foreseen).Skip(at)
			ok(t, err)
			if n := a.ranges.Load(); n != 0 {
				t.Errorf("%d requests before anything is read", n)
			}
			_, err = io.ReadFull(in, make([]byte, 1))
			ok(t, err)
			ok(t, in.Close())
			if n := a.ranges.Load(); n == 0 || n > 2 {
				t.Errorf("%d requests for one content", n)
			}
			if got := after.stream(t, f); got != plain(t, after) || f.IsLost(nil) {
				t.Errorf("another stream, or lost")
			}
		})
	}
}

// TestForeseenIsLost: what can't be read, or contradicts the archive before, is a
// reason to fetch all of it.
func TestForeseenIsLost(t *testing.T) {
	before, after := newRelease(t, files(-1), pack.Gzip), newRelease(t, changedFiles(3), pack.Gzip)
	read := func(f *Foreseen) error {
		in, err := f.Open()
		ok(t, err)
		defer in.Close()
		_, err = io.ReadAll(in)
		return err
	}
	for name, c := range map[string]struct {
		change func(h *Host, a *asked)
		want   error
	}{
		"server gone":   {func(_ *Host, a *asked) { a.Close() }, nil},
		"no ranges":     {func(_ *Host, a *asked) { a.whole.Store(true) }, ErrNoRanges},
		"nothing wrong": {func(*Host, *asked) {}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			a := ask(t, after, false)
			h, _ := hostWith(t, before, after, a.URL+"/a.tar.x")
			done, err := h.Peek(t.Context(), newServer(), func(f *Foreseen) error {
				c.change(h, a)
				return read(f)
			})
			good := name == "nothing wrong"
			if done != good || (err == nil) != good || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("done %v, %v", done, err)
			}
		})
	}
	other := errors.New("other")
	h, _ := hostWith(t, before, after, "file://"+after.archive)
	if done, err := h.Peek(t.Context(), newServer(), func(*Foreseen) error { return other }); !done || err != other {
		t.Errorf("what the reader says: %v, %v", done, err)
	}
}
