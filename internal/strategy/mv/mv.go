// Package mv deploys by one rename: dest must not exist, and is there
// completely or not at all. It replaces nothing, so there is no way back.
//
// Its words are those of package strategy.
package mv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"stretcher/internal/archive"
	"stretcher/internal/disk"
	"stretcher/internal/strategy"
	"stretcher/internal/strategy/preview"
	"stretcher/internal/strategy/staging"
	"stretcher/internal/text/failure"
)

// Name is what manifests call the strategy.
const Name = "mv"

// Definition is the strategy's line in the list of all.
func Definition() strategy.Definition {
	return strategy.Definition{
		Name: Name,
		New:  func(t strategy.Target) (strategy.Strategy, error) { return &mv{t: t}, nil },
	}
}

// mv renames the staged tree to dest. It knows no excludes: there is nothing
// at dest to leave alone.
type mv struct {
	t    strategy.Target
	tree *staging.Tree
}

// CheckLayout accepts anything: nothing is replaced.
func (*mv) CheckLayout() error { return nil }

// Check refuses a dest that is there, whatever it is.
func (m *mv) Check() error {
	no := m.t.NoDest
	there := m.t.Dest.Dir != nil || errors.Is(no, disk.ErrNotDir) || errors.Is(no, disk.ErrDangling)
	switch {
	case !there && no != nil:
		return no
	case !there:
		return staging.CanMake(m.t.Dest)
	}
	return failure.Hinted("move it away in a pre command, or use sync_strategy rsync",
		fmt.Errorf("dest %q exists already, and sync_strategy mv replaces nothing", m.t.Dest.Given))
}

// Stage unpacks on dest's file system: a rename can't leave it.
func (m *mv) Stage(ctx context.Context, in archive.Input) (strategy.Staged, error) {
	tree, err := staging.UnpackAt(ctx, &m.t, in, strategy.Where{SameDevice: true, Into: m.t.Dest.Parent})
	if err != nil {
		return strategy.Staged{}, err
	}
	m.tree = tree
	return tree.Staged(), nil
}

// Sync renames the tree.
func (m *mv) Sync(ctx context.Context, s *strategy.Staged) (err error) {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if err := m.tree.Check(ctx); err != nil {
		return err
	}
	if s.Excludes, err = staging.ReadExcludeFrom(s.Dir.Root(), m.t.ExcludeFrom); err != nil {
		return err
	}
	d := m.t.Dest
	if err := disk.RenameNew(m.tree.Work.Root(), m.tree.Name, d.Parent.Root(), d.Name); err != nil {
		var link *os.LinkError
		if errors.As(err, &link) { // which knows the last names alone
			link.Old, link.New = filepath.Join(m.tree.Work.Path(), link.Old), d.Given
		}
		return fmt.Errorf("move to dest: %w", err)
	}
	m.t.Log.Info(fmt.Sprintf("moved to %q", d.Given))
	return nil
}

// Diff lists the tree: all of it is new.
func (m *mv) Diff(ctx context.Context, in archive.Input) (strategy.Changes, error) {
	return preview.Diff(ctx, &m.t, in, preview.Options{Where: &strategy.Where{SameDevice: true}})
}

// Live is dest.
func (m *mv) Live() string { return m.t.Dest.Given }

// OpenLive opens dest.
func (m *mv) OpenLive() (*disk.Dir, error) { return staging.OpenDest(&m.t) }

// Skip skips nothing.
func (*mv) Skip([]byte) (func(string, bool) bool, error) { return nil, nil }

// Close closes the directory that the tree was staged in.
func (m *mv) Close() error { return m.tree.CloseWork() }

// Keeps is Nothing.
func (*mv) Keeps() strategy.Keeps { return strategy.Nothing }
