package all

import (
	"cmp"
	"context"
	"errors"
	"testing"

	"stretcher/internal/archive"
	"stretcher/internal/disk"
	"stretcher/internal/strategy"
	"stretcher/internal/strategy/preview"
	"stretcher/internal/strategy/staging"
	"stretcher/internal/strategy/strategytest"
)

// swap is a strategy as a newcomer would add it: the staged tree and dest
// change places. Its line in List would be swapDefinition().
type swap struct {
	t    strategy.Target
	tree *staging.Tree
	done bool
}

func swapDefinition() strategy.Definition {
	return strategy.Definition{Name: "swap",
		New: func(t strategy.Target) (strategy.Strategy, error) { return &swap{t: t}, nil }}
}

func (s *swap) CheckLayout() error                           { return staging.Spares(&s.t) }
func (s *swap) Check() error                                 { return s.t.NoDest }
func (s *swap) Live() string                                 { return s.t.Dest.Given }
func (s *swap) Close() error                                 { return s.tree.CloseWork() }
func (s *swap) Keeps() strategy.Keeps                        { return strategy.Archive }
func (s *swap) Skip([]byte) (func(string, bool) bool, error) { return nil, nil }

func (s *swap) Stage(ctx context.Context, in archive.Input) (_ strategy.Staged, err error) {
	if s.tree, err = staging.Unpack(ctx, &s.t, in, true); err != nil {
		return strategy.Staged{}, err
	}
	if _, err = staging.ReadExcludeFrom(s.tree.Dir.Root(), s.t.ExcludeFrom); err != nil {
		return strategy.Staged{}, errors.Join(err, s.tree.Close())
	}
	return strategy.Staged{Dir: s.tree.Dir}, nil
}

func (s *swap) Sync(ctx context.Context, _ *strategy.Staged) error {
	if err := cmp.Or(context.Cause(ctx), s.tree.Check(ctx)); err != nil {
		return err
	}
	call := disk.RenameNew
	if s.t.Dest.Dir != nil {
		call = disk.Exchange
	}
	err := call(s.tree.Work.Root(), s.tree.Name, s.t.Dest.Parent.Root(), s.t.Dest.Name)
	s.done = err == nil
	return err
}

func (s *swap) OpenLive() (*disk.Dir, error) {
	if s.done { // what was opened at first has been swapped out
		return s.t.Dest.Parent.Sub(s.t.Dest.Name)
	}
	return staging.OpenDest(&s.t)
}

func (s *swap) Diff(ctx context.Context, in archive.Input) (strategy.Changes, error) {
	return preview.Diff(ctx, &s.t, in, preview.Options{})
}

// TestOwnStrategy: that is all there is to do.
func TestOwnStrategy(t *testing.T) {
	strategytest.Run(t, strategytest.Case{
		Definition: swapDefinition(), Keeps: strategy.Archive, All: true, Replaces: true,
	})
}
