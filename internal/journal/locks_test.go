package journal

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stretcher/internal/journal/lock"
	"stretcher/internal/journal/runlog"
	"stretcher/internal/text/failure"
)

// TestLockName: a name is as good as a dest to be locked, whatever is in it.
func TestLockName(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	j, other := open(t, dir), open(t, dir)
	for _, name := range []string{"app", "../app", "/", "", strings.Repeat("long", 1000)} {
		unlock, err := j.LockName(t.Context(), name, 0)
		must(t, err)
		if _, err := other.LockName(t.Context(), name, 0); !errors.Is(err, lock.ErrHeld) ||
			!strings.HasPrefix(err.Error(), `the name "`+name+`": `) {
			t.Errorf("%.10q was locked twice: %v", name, err)
		}
		free, err := other.LockName(t.Context(), name+".", 0)
		must(t, err)
		must(t, errors.Join(free(), unlock()))
		unlock, err = other.LockName(t.Context(), name, 0)
		must(t, err)
		must(t, unlock())
	}
	if left, err := os.ReadDir(filepath.Join(dir, "locks")); len(left) > 0 || err != nil {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestLockHere: there is no lock but where the others look for it. Lock has
// another place then.
func TestLockHere(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	dir := filepath.Join(t.TempDir(), "state")
	j := open(t, dir)
	unlock, err := j.LockHere(t.Context(), "/srv/app", 0)
	must(t, err)
	if _, err := open(t, dir).Lock(t.Context(), "/srv/app", 0); !errors.Is(err, lock.ErrHeld) {
		t.Errorf("dest was locked twice: %v", err)
	}
	must(t, unlock())
	locks := filepath.Join(dir, "locks")
	must(t, errors.Join(os.RemoveAll(locks), os.WriteFile(locks, nil, 0o600)))
	for what, j := range map[string]*Journal{
		"no directory for locks": j,
		"no state directory":     New(runlog.New(runlog.Options{})),
	} {
		if _, err := j.LockHere(t.Context(), "/srv/app", 0); !errors.Is(err, failure.ErrRefused) {
			t.Errorf("%s: dest: %v", what, err)
		}
		if _, err := j.LockName(t.Context(), "app", 0); !errors.Is(err, failure.ErrRefused) {
			t.Errorf("%s: the name: %v", what, err)
		}
		unlock, err := j.Lock(t.Context(), "/srv/app", 0)
		must(t, err)
		must(t, unlock())
	}
}

// TestLockBoth: a name is one thing, whatever paths it is deployed to, and so is a
// dest; who gets the one alone keeps neither.
func TestLockBoth(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	j, other := open(t, dir), open(t, dir)
	unlock, err := j.LockBoth(t.Context(), "app", "/srv/app", 0)
	must(t, err)
	for _, held := range [][2]string{{"app", "/mnt/app"}, {"app", ""}, {"other", "/srv/app"}} {
		if _, err := other.LockBoth(t.Context(), held[0], held[1], 0); !errors.Is(err, lock.ErrHeld) {
			t.Errorf("%q was locked twice: %v", held, err)
		}
	}
	if _, err := other.LockHere(t.Context(), "/srv/app", 0); !errors.Is(err, lock.ErrHeld) { // a rollback
		t.Errorf("dest was locked twice: %v", err)
	}
	for _, free := range [][2]string{{"other", "/mnt/app"}, {"other", ""}} { // also after it was refused
		again, err := other.LockBoth(t.Context(), free[0], free[1], 0)
		must(t, err)
		must(t, again())
	}
	must(t, unlock())
	unlock, err = other.LockBoth(t.Context(), "app", "/srv/app", 0)
	must(t, err)
	must(t, unlock())
	if left, err := os.ReadDir(filepath.Join(dir, "locks")); len(left) > 0 || err != nil {
		t.Errorf("left: %v, %v", left, err)
	}
	waitsForBoth(t, dir)
	must(t, errors.Join(os.RemoveAll(filepath.Join(dir, "locks")), os.WriteFile(filepath.Join(dir, "locks"), nil, 0o600)))
	if _, err := j.LockBoth(t.Context(), "app", "/srv/app", 0); !errors.Is(err, failure.ErrRefused) {
		t.Errorf("without a directory for locks: %v", err)
	}
}

// waitsForBoth waits for a name, which is let go of, and for what is left of the
// time for a dest, which is not.
func waitsForBoth(t *testing.T, dir string) {
	t.Helper()
	const wait = 2 * time.Second
	named, err := open(t, dir).LockName(t.Context(), "app", 0)
	must(t, err)
	here, err := open(t, dir).LockHere(t.Context(), "/srv/app", 0)
	must(t, err)
	time.AfterFunc(wait/8, func() { _ = named() })
	_, err = open(t, dir).LockBoth(t.Context(), "app", "/srv/app", wait)
	if !errors.Is(err, lock.ErrHeld) || strings.HasSuffix(err.Error(), "waited "+wait.String()) {
		t.Errorf("for a name and a dest: %v", err)
	}
	must(t, here())
}
