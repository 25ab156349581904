package ahead

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"stretcher/internal/archive"
	"stretcher/internal/disk"
	"stretcher/internal/disk/tree"
	"stretcher/internal/process"
	"stretcher/internal/strategy"
)

// record is a log, and what is asked of a run, which is no place for two goroutines.
type record struct{ lines []string }

func (r *record) Info(msg string, args ...any) { r.lines = append(r.lines, fmt.Sprint(msg, args)) }
func (r *record) Warn(msg string, args ...any) { r.Info("warning: "+msg, args...) }

// Private makes nothing.
func (r *record) Private(what string, _ strategy.Where) (*disk.Dir, error) {
	r.Info("private " + what)
	return nil, nil
}

// Above opens nothing.
func (r *record) Above(strategy.Where) (*disk.Dir, error) { return nil, errors.New("none above") }

// Drop removes nothing.
func (r *record) Drop(*disk.Dir) error {
	r.Info("drop")
	return nil
}

// empty is an input.
type empty struct{}

// Open gives nothing.
func (empty) Open() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("")), nil }

// staging is a strategy that stages as it is told.
type staging struct {
	strategy.Strategy
	do func(ctx context.Context, in archive.Input) error
}

// Stage does what it is told.
func (s staging) Stage(ctx context.Context, in archive.Input) (strategy.Staged, error) {
	return strategy.Staged{Excludes: []byte("staged")}, s.do(ctx, in)
}

// target is one that is adapted, and its record.
func target(s *Stage) (*strategy.Target, *record) {
	r := &record{}
	t := &strategy.Target{Tools: strategy.Tools{Log: r, Place: r, Child: func(context.Context, process.Command) error {
		r.Info("child")
		return nil
	}}}
	t.Last.Contents = func() *tree.Contents {
		r.Info("contents")
		return tree.NewContents()
	}
	t.Archive.Warn = func(msg string) { r.Warn(msg) }
	t.Archive.Progress = func(done int64) { r.Info(fmt.Sprint("progress ", done)) }
	s.Adapt(t)
	return t, r
}

// TestStage: what a stage asks of its run is done by that, in order, while it is waited
// for. What it says is heard once it counts, and after that at once.
func TestStage(t *testing.T) {
	failed := errors.New("failed")
	for name, c := range map[string]struct {
		err       error
		panics    bool
		end       bool
		want      string
		wantAfter bool
	}{
		"good": {wantAfter: true, want: "private one[] contents[] private two[] child[] " +
			"before[1] warning: odd[] behind[]"},
		"failed": {err: failed, want: "private one[] contents[] private two[] child[]"},
		"panics": {panics: true, want: "private one[] contents[] private two[] child[]"},
		"ended":  {end: true, want: "private one[] contents[] private two[] child[]"},
	} {
		s := New()
		to, r := target(s)
		by := staging{do: func(ctx context.Context, in archive.Input) error {
			to.Log.Info("before", 1)
			_, err := to.Place.Private("one", strategy.Where{})
			known := to.KnownContents()
			if known == nil || err != nil {
				t.Errorf("%s: %v, %v", name, known, err)
			}
			_, _ = in.Open()
			_, _ = to.Place.Private("two", strategy.Where{})
			to.Archive.Warn("odd")
			if err := to.Child(ctx, process.Command{}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			to.Log.Info("behind")
			if c.end {
				<-ctx.Done()
			}
			if c.panics {
				panic("out of order")
			}
			return c.err
		}}
		s.Begin(t.Context(), by, empty{})
		if got := strings.Join(r.lines, " "); !strings.HasPrefix(got, "private one[] contents[]") {
			t.Errorf("%s: begun: %s", name, got)
		}
		if c.end {
			s.End()
		} else if staged, ok := s.Wait(); ok != c.wantAfter || ok != (string(staged.Excludes) == "staged") {
			t.Errorf("%s: %v, %v", name, staged, ok)
		}
		if got := strings.Join(r.lines, " "); got != c.want {
			t.Errorf("%s: %s", name, got)
		}
		to.Log.Info("late")
		if got := slices.Contains(r.lines, "late[]"); got != c.wantAfter {
			t.Errorf("%s: it is heard later: %v", name, got)
		}
	}
}

// TestUnwatched: how far it is shows once somebody waits for it.
func TestUnwatched(t *testing.T) {
	s, went := New(), make(chan struct{})
	to, r := target(s)
	s.Begin(t.Context(), staging{do: func(_ context.Context, in archive.Input) error {
		_, _ = in.Open()
		to.Archive.Progress(1)
		close(went)
		for !s.watched.Load() {
		}
		to.Archive.Progress(2)
		return nil
	}}, empty{})
	<-went
	if _, ok := s.Wait(); !ok || strings.Join(r.lines, " ") != "progress 2[]" {
		t.Errorf("%v, %q", ok, r.lines)
	}
}
