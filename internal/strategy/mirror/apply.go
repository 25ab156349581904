package mirror

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"stretcher/internal/archive"
	"stretcher/internal/disk"
	"stretcher/internal/disk/confined"
)

// application carries out a plan. from is staging.
type application struct {
	*Plan
	ctx     context.Context
	staging Place
	from    *confined.Walk
	to      *confined.Walk  // nil: there is no dest
	soon    *confined.Ahead // of what is staged; nil = nobody looks
	changed bool            // something in dest is no longer as it was
	taken   int             // steps, each counted in each phase

	heir string       // the directory of dest that was asked for its ACL last,
	acl  confined.ACL // and what it hands on to what is made in it
}

// Apply makes dest equal to the entries, taking content from staging, where it
// is moved away: a Stage's directory or a tree that FromDir has read. What is
// replaced may end up in staging; it is the caller's to remove. A dest that
// does not exist becomes staging itself, in one rename; staging.Dir is dest's
// then. Nobody else may be able to rename in staging or in its parent. A
// staging without a parent is copied to a missing dest.
//
// All that is to be put is made ready in staging before the first change of dest,
// which finds out what is not there: an error wraps ErrStale then. At each
// moment each path of dest is old or new. After an error that wraps ErrMixed
// some are the one and some the other, and comparing and applying again
// finishes the job; after any other error dest is as it was, save for times of
// directories.
func (p *Plan) Apply(ctx context.Context, staging Place) error {
	if len(p.steps) == 0 {
		return nil
	}
	a := &application{Plan: p, ctx: ctx, staging: staging}
	defer a.close()
	err := a.open()
	if err == nil {
		err = a.run()
	}
	switch {
	case err == nil:
		return nil
	case a.changed:
		return fmt.Errorf("%q is %w: %w", p.dest.Path, ErrMixed, err)
	}
	return fmt.Errorf("apply to %q: %w", p.dest.Path, err)
}

// RemoveDeep removes what is in dest alone and too deep to be looked at, as
// Apply does.
func (p *Plan) RemoveDeep(ctx context.Context) error {
	a := &application{Plan: p, ctx: ctx}
	defer a.close()
	for _, s := range p.steps {
		if s.what&isWhole == 0 {
			continue
		}
		if a.to == nil {
			var err error
			if a.to, err = confined.NewWalk(a.dest.Dir); err != nil {
				return err
			}
		}
		s.op = opDelete // also what would go with the directory that is replaced
		if err := a.step(&s, a.remove); err != nil {
			return err
		}
	}
	return nil
}

func (a *application) open() error {
	var err error
	if a.from, err = confined.NewWalk(a.staging.Dir); err != nil {
		return fmt.Errorf("open staging directory: %w", err)
	}
	if !a.fresh {
		a.to, err = confined.NewWalk(a.dest.Dir)
	}
	return err
}

func (a *application) close() {
	a.soon.Close()
	a.from.Close()
	a.to.Close()
}

// phases is how often run takes each step.
const phases = 6

func (a *application) run() error {
	if a.fresh {
		return a.whole()
	}
	for _, phase := range []func(*step) error{a.ready, a.prepare, a.put, a.mend, a.remove} {
		for i := range a.steps {
			if err := a.step(&a.steps[i], phase); err != nil {
				return err
			}
		}
	}
	for i := range slices.Backward(a.steps) {
		if err := a.step(&a.steps[i], a.finish); err != nil {
			return err
		}
	}
	return nil
}

func (a *application) step(s *step, phase func(*step) error) error {
	if err := context.Cause(a.ctx); err != nil {
		return err
	}
	a.taken++
	a.opts.tell(1, a.taken, phases*len(a.steps))
	return phase(s)
}

// ready makes what is to be put complete where it is staged.
func (a *application) ready(s *step) error {
	if s.what&isWrite == 0 {
		return nil
	}
	e := &a.table[s.entry]
	dir, name := confined.Split(e.Path)
	if err := a.inherits(dir); err != nil {
		return err
	}
	if e.Mode.IsDir() {
		return a.complete(int(s.entry))
	}
	fd, err := a.from.At(dir, true)
	if err != nil {
		return fmt.Errorf("open staged %q: %w", dir, err)
	}
	return a.finished(fd, name, e)
}

// inherits learns what a directory of dest hands on to what is made in it. What
// is staged was made elsewhere, and has to have the same.
func (a *application) inherits(dir string) error {
	if a.heir == dir && dir != "" {
		return nil
	}
	fd, err := a.to.At(dir, false)
	if err == nil {
		a.acl, err = confined.DefaultACL(fd)
	}
	if err != nil {
		return fmt.Errorf("ACL of %q: %w", dir, err)
	}
	a.heir = dir
	return nil
}

// prepare sets owner and mode of the directories first, before something comes
// into them that others than before may not see. What the caller needs of the
// mode stays until the end.
func (a *application) prepare(s *step) error {
	if s.op != opDir || s.what&(isMode|isOwner) == 0 {
		return nil
	}
	fd, err := a.to.At(s.path, false)
	if err != nil {
		return fmt.Errorf("open %q: %w", cmp.Or(s.path, "."), err)
	}
	m := metaOf(&a.table[s.entry])
	m.Mode |= 0o500
	if err := confined.SetOpen(fd, m, s.what.parts()&^confined.Time); err != nil {
		return fmt.Errorf("change %q: %w", cmp.Or(s.path, "."), err)
	}
	a.changed = true
	return nil
}

// put moves new content to its place: files, symlinks, and directories that
// dest does not have.
func (a *application) put(s *step) error {
	if s.what&isWrite == 0 {
		return nil
	}
	e := &a.table[s.entry]
	dir, name := confined.Split(e.Path)
	from, err := a.from.At(dir, false)
	if err != nil {
		return fmt.Errorf("open staged %q: %w", dir, err)
	}
	to, err := a.to.At(dir, false)
	if err != nil {
		return fmt.Errorf("open %q: %w", cmp.Or(dir, "."), err)
	}
	m := move{from, to, name, s.what&isType != 0 && (e.Mode.IsDir() || s.what&isDir != 0)}
	if err := a.move(m, e.Mode.IsDir()); err != nil {
		return fmt.Errorf("put %q into place: %w", e.Path, err)
	}
	a.changed = true
	return a.note(to, name, e)
}

// mend changes the metadata of what keeps its content.
func (a *application) mend(s *step) error {
	if s.op != opChange || s.what&isWrite != 0 {
		return nil
	}
	e := &a.table[s.entry]
	dir, name := confined.Split(e.Path)
	fd, err := a.to.At(dir, false)
	if err != nil {
		return fmt.Errorf("open %q: %w", cmp.Or(dir, "."), err)
	}
	m := metaOf(e)
	m.Of = s.is // what was compared: who may rename there may put something of others there
	if err = confined.Set(fd, name, m, s.what.parts()); err != nil {
		return fmt.Errorf("change %q: %w", cmp.Or(e.Path, "."), err)
	}
	a.changed = true
	return a.note(fd, name, e)
}

// note notes that a file which is known has been changed by ourselves.
func (a *application) note(fd int, name string, e *archive.Entry) error {
	if a.opts.Contents == nil || !e.Mode.IsRegular() {
		return nil
	}
	if err := a.opts.Contents.Changed(fd, name); err != nil && !confined.IsMissing(err) {
		return fmt.Errorf("look at %q: %w", e.Path, err)
	}
	return nil
}

// remove deletes a path. A directory into which something came since the
// comparison stays.
func (a *application) remove(s *step) error {
	if s.op != opDelete {
		return nil
	}
	dir, name := confined.Split(s.path)
	flags := 0
	if s.what&isDir != 0 {
		flags = unix.AT_REMOVEDIR
	}
	fd, err := a.to.At(dir, false)
	if err == nil {
		err = confined.Writable(fd, func() error {
			if s.what&isWhole != 0 {
				return disk.RemoveWithin(a.ctx, fd, name)
			}
			return unix.Unlinkat(fd, name, flags)
		})
	}
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil
	case errors.Is(err, unix.EBUSY) && s.what&isDir != 0:
		a.opts.warn("directory %q is a mount point and stays", s.path)
		return nil
	case errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EEXIST):
		a.opts.warn("directory %q is not empty and stays", s.path)
		return nil
	case err != nil:
		return fmt.Errorf("delete %q: %w", s.path, err)
	}
	a.changed = true
	return nil
}

// finish gives a directory in which something changed its time, and takes back
// what prepare left it of its mode.
func (a *application) finish(s *step) error {
	if s.op != opDir {
		return nil
	}
	e := &a.table[s.entry]
	fd, err := a.to.At(s.path, false)
	if err == nil && s.what&(isMode|isOwner) != 0 && e.Mode&0o500 != 0o500 {
		err = confined.SetOpen(fd, metaOf(e), confined.Mode)
	}
	if err == nil && !e.Implied && s.what&(isTime|isWithin) != 0 {
		err = confined.SetOpen(fd, metaOf(e), confined.Time)
		a.changed = true
	}
	if err != nil {
		return fmt.Errorf("change directory %q: %w", s.path, err)
	}
	return nil
}

// setDir sets everything of a directory that is complete and open.
func (a *application) setDir(fd int, e *archive.Entry) error {
	parts := a.opts.parts()
	if e.Implied {
		parts &^= confined.Time
	}
	err := confined.SetOpen(fd, metaOf(e), parts)
	if err == nil && a.acl != nil {
		err = a.acl.Inherit(fd)
	}
	if err != nil {
		return fmt.Errorf("change owner, time or mode of %q: %w", e.Path, err)
	}
	return nil
}
