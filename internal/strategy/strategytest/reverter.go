package strategytest

import (
	"context"
	"errors"
	"os"
	"slices"
	"testing"

	"stretcher/internal/archive"
	"stretcher/internal/strategy"
)

func runReverter(t *testing.T, c Case) {
	for name, test := range map[string]func(*testing.T, *World){
		"revert": testRevert, "revert of the first": testRevertFirst, "stay": testStay, "prune": testPrune,
		"holds": testHolds, "back": testBack, "failed back": testFailedBack,
	} {
		t.Run(name, func(t *testing.T) { test(t, NewWorld(t, c)) })
	}
}

// begin deploys a tree and does not accept it.
func (w *World) begin(tree files, change func(*strategy.Target)) strategy.Reverter {
	w.t.Helper()
	f := pack(w.t, tree)
	s := w.New(f, change)
	must(w.t, errors.Join(s.CheckLayout(), s.Check()))
	staged, err := s.Stage(w.t.Context(), archive.FileInput(f, false))
	must(w.t, err)
	defer staged.Close()
	must(w.t, s.Sync(w.t.Context(), &staged))
	return s.(strategy.Reverter)
}

func (w *World) deployments() strategy.Deployments {
	w.t.Helper()
	target := w.Target(nil, nil)
	d, err := w.Case.Definition.Deployments(target.Dest)
	must(w.t, err)
	return d
}

// testRevert: what was good is live again, and what failed is known as bad.
func testRevert(t *testing.T, w *World) {
	_, err := w.Deploy(first, nil)
	must(t, err)
	was := w.deployments().Live
	s := w.begin(second, nil)
	to, err := s.Revert(t.Context(), "it failed")
	must(t, err)
	if to == "" || to != was {
		t.Errorf("reverted to %q, want %q", to, was)
	}
	w.wants(s.Live(), first)
	d := w.deployments()
	if d.Live != was || len(d.All) != 2 || d.All[0].Good || !d.All[1].Good {
		t.Errorf("deployments: %+v", d)
	}
}

// testRevertFirst: with nothing to go back to, what is there stays.
func testRevertFirst(t *testing.T, w *World) {
	s := w.begin(first, nil)
	if to, err := s.Revert(t.Context(), "it failed"); to != "" || err == nil {
		t.Errorf("reverted to %q, %v", to, err)
	}
	w.wants(s.Live(), first)
}

// testStay: a target may want the deployment to stay, failed as it is.
func testStay(t *testing.T, w *World) {
	_, err := w.Deploy(first, nil)
	must(t, err)
	s := w.begin(second, func(t *strategy.Target) { t.Releases.Stay = true })
	to, err := s.Revert(t.Context(), "it failed")
	if to != "" || err != nil {
		t.Errorf("reverted to %q, %v", to, err)
	}
	w.wants(s.Live(), second)
}

// testPrune: as many deployments stay as the target says.
func testPrune(t *testing.T, w *World) {
	var s strategy.Strategy
	for _, text := range []string{"1", "2", "3", "4"} {
		var err error
		s, err = w.Deploy(files{"app": text}, nil)
		must(t, err)
	}
	r := s.(strategy.Reverter)
	old, err := r.Old()
	must(t, err)
	gone, err := r.Prune(t.Context())
	must(t, err)
	slices.Sort(old)
	slices.Sort(gone)
	if len(old) != 2 || !slices.Equal(old, gone) {
		t.Errorf("old %q, gone %q", old, gone)
	}
	if left := w.deployments().All; len(left) != 2 {
		t.Errorf("left: %+v", left)
	}
	w.wants(s.Live(), files{"app": "4"})
}

// testHolds: what is live and good is known by its archive.
func testHolds(t *testing.T, w *World) {
	_, err := w.Deploy(first, nil)
	must(t, err)
	for _, tree := range []files{first, second} {
		s := w.New(pack(t, tree), nil).(strategy.Reverter)
		must(t, s.CheckLayout())
		if got, want := s.Holds(), equal(tree, first); got != want {
			t.Errorf("it holds %v: %v", tree, got)
		}
	}
}

// testBack goes back to a deployment that is there.
func testBack(t *testing.T, w *World) {
	_, err := w.Deploy(first, nil)
	must(t, err)
	_, err = w.Deploy(second, nil)
	must(t, err)
	d := w.deployments()
	if d.Previous == "" || d.Previous == d.Live || !d.Sure {
		t.Fatalf("deployments: %+v", d)
	}
	s := w.New(nil, func(t *strategy.Target) { t.Releases.Back = d.Previous })
	var none *os.File // there is no archive
	must(t, w.run(t.Context(), s, none))
	w.wants(s.Live(), first)
	if d = w.deployments(); d.Previous != "" {
		t.Errorf("what was rolled back from is to be gone back to: %+v", d)
	}
}

// testFailedBack: a run that fails before it has switched leaves all that was
// there, however few deployments it would keep.
func testFailedBack(t *testing.T, w *World) {
	for _, text := range []string{"1", "2", "3"} {
		_, err := w.Deploy(files{"app": text}, nil)
		must(t, err)
	}
	before := w.deployments()
	s := w.New(nil, func(t *strategy.Target) { t.Releases.Back, t.Releases.Keep = before.All[2].Run, 1 })
	must(t, errors.Join(s.CheckLayout(), s.Check()))
	staged, err := s.Stage(t.Context(), nil)
	must(t, err)
	defer staged.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Sync(ctx, &staged); err == nil {
		t.Error("it has switched")
	}
	r := s.(strategy.Reverter)
	if to, err := r.Revert(t.Context(), "it failed"); to != "" || err != nil {
		t.Errorf("reverted to %q, %v", to, err)
	}
	if gone, err := r.Prune(t.Context()); len(gone) > 0 || err != nil {
		t.Errorf("gone: %q, %v", gone, err)
	}
	if after := w.deployments(); after.Live != before.Live || len(after.All) != len(before.All) {
		t.Errorf("deployments: %+v, were %+v", after, before)
	}
	w.wants(s.Live(), files{"app": "3"})
}
