// Package ahead stages an archive while parts of it are still on their way.
//
// Its words: an errand is what a stage asks of the run, which one goroutine alone may
// do: the stage waits until that one does it. What is held back is what the stage says
// before anybody knows whether it counts.
//
// A stage that is begun ahead touches its staging directory alone. It counts when all
// of the archive has come and it has ended well. Else nobody hears of it, and the run
// stages the archive when that is here.
//
// It imports strategy, archive, disk, disk/tree and process.
package ahead

import (
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"stretcher/internal/archive"
	"stretcher/internal/disk"
	"stretcher/internal/disk/tree"
	"stretcher/internal/process"
	"stretcher/internal/strategy"
)

// Stage is one that is begun ahead. Its methods are for the goroutine of the run.
type Stage struct {
	errands chan func()
	held    held
	watched atomic.Bool // somebody waits for it, and wants to know how far it is

	stop   context.CancelFunc
	done   chan struct{}
	staged strategy.Staged
	err    error
}

// New returns a stage that has not begun.
func New() *Stage { return &Stage{errands: make(chan func())} }

// Adapt makes a target one for a strategy that stages ahead.
func (s *Stage) Adapt(t *strategy.Target) {
	s.held.to, t.Log = t.Log, &s.held
	if warn := t.Archive.Warn; warn != nil {
		t.Archive.Warn = func(msg string) { s.held.say(func() { warn(msg) }) }
	}
	if told := t.Archive.Progress; told != nil {
		t.Archive.Progress = func(done int64) {
			if s.watched.Load() {
				told(done)
			}
		}
	}
	if t.Place != nil {
		t.Place = places{s, t.Place}
	}
	if contents := t.Contents; contents != nil {
		t.Contents = func() (known *tree.Contents) {
			s.ask(func() { known = contents() })
			return known
		}
	}
	if child := t.Child; child != nil {
		t.Child = func(ctx context.Context, c process.Command) (err error) {
			s.ask(func() { err = child(ctx, c) })
			return err
		}
	}
}

// Begin has a strategy stage an archive, which may wait for what it reads. It returns
// when that begins to read.
func (s *Stage) Begin(ctx context.Context, by strategy.Strategy, in archive.Input) {
	ctx, s.stop = context.WithCancel(ctx)
	s.done = make(chan struct{})
	opened := &opening{Input: in, begun: make(chan struct{})}
	opened.tell = sync.OnceFunc(func() { close(opened.begun) })
	go func() {
		defer close(s.done)
		defer func() {
			if p := recover(); p != nil { // the run does it once more, and says what is wrong
				s.err = fmt.Errorf("panic: %v", p)
			}
		}()
		s.staged, s.err = by.Stage(ctx, opened)
	}()
	s.serve(opened.begun)
}

// opening tells when its input is opened.
type opening struct {
	archive.Input
	begun chan struct{}
	tell  func()
}

// Open opens the input.
func (o *opening) Open() (io.ReadCloser, error) {
	o.tell()
	return o.Input.Open()
}

// serve does errands until the stage has ended, or something else has happened.
func (s *Stage) serve(until <-chan struct{}) {
	for {
		select {
		case errand := <-s.errands:
			errand()
		case <-until:
			return
		case <-s.done:
			return
		}
	}
}

// ask has the run do something. Before and after the stage, it is the run that asks.
func (s *Stage) ask(errand func()) {
	if s.over() {
		errand()
		return
	}
	did := make(chan struct{})
	s.errands <- func() {
		defer close(did)
		errand()
	}
	<-did
}

// over tells whether it has ended, or has not begun.
func (s *Stage) over() bool {
	if s.done == nil {
		return true
	}
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// Wait waits for what was staged, and has said what was held back. Without ok, nobody
// hears of it.
func (s *Stage) Wait() (staged strategy.Staged, ok bool) {
	s.watched.Store(true)
	s.serve(nil)
	s.stop()
	if s.err != nil {
		return strategy.Staged{}, false
	}
	s.held.release()
	return s.staged, true
}

// End ends it. What it has staged is closed, and removed with the run's other
// directories if not yet.
func (s *Stage) End() {
	s.stop()
	s.serve(nil)
	if s.err == nil {
		_ = s.staged.Close()
	}
}

// places makes directories by the run.
type places struct {
	s  *Stage
	by strategy.Places
}

// Private makes a directory.
func (p places) Private(what string, w strategy.Where) (dir *disk.Dir, err error) {
	p.s.ask(func() { dir, err = p.by.Private(what, w) })
	return dir, err
}

// Above opens the directory that Private would make one in.
func (p places) Above(w strategy.Where) (dir *disk.Dir, err error) {
	p.s.ask(func() { dir, err = p.by.Above(w) })
	return dir, err
}

// Drop removes a directory.
func (p places) Drop(dir *disk.Dir) (err error) {
	p.s.ask(func() { err = p.by.Drop(dir) })
	return err
}

// held is a log that is held back.
type held struct {
	to    strategy.Logger
	lock  sync.Mutex
	lines []func()
	open  bool
}

// Info says what happens.
func (h *held) Info(msg string, args ...any) { h.say(func() { h.to.Info(msg, args...) }) }

// Warn says what may be wrong.
func (h *held) Warn(msg string, args ...any) { h.say(func() { h.to.Warn(msg, args...) }) }

func (h *held) say(line func()) {
	h.lock.Lock()
	defer h.lock.Unlock()
	if h.open {
		line()
		return
	}
	h.lines = append(h.lines, line)
}

// release says all, and holds nothing back any more.
func (h *held) release() {
	h.lock.Lock()
	defer h.lock.Unlock()
	for _, line := range h.lines {
		line()
	}
	h.lines, h.open = nil, true
}
