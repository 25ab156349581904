//go:build linux

package disk

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stretcher/internal/text/failure"
)

// exposedDest is a dest in a directory where others can rename, below one
// where nobody can.
func exposedDest(t *testing.T) (top string, dest *Dest) {
	t.Helper()
	top = tempDir(t)
	must(t, os.MkdirAll(filepath.Join(top, "app/web"), 0o755))
	must(t, os.Chmod(filepath.Join(top, "app"), 0o777))
	dest, err := OpenDest(filepath.Join(top, "app/web"))
	must(t, err)
	t.Cleanup(func() { _ = dest.Close() })
	return top, dest
}

func placeOf(t *testing.T, w Wanted) (string, error) {
	t.Helper()
	d, err := Private(w)
	if err != nil {
		return "", err
	}
	defer d.Close()
	return d.Path(), nil
}

func TestPrivatePlace(t *testing.T) {
	top, dest := exposedDest(t)
	for _, dir := range []string{"tmp", "state", "app/web/in"} {
		must(t, os.Mkdir(filepath.Join(top, dir), 0o755))
	}
	in := func(name string) string { return filepath.Join(top, name) }
	for _, c := range []struct {
		name string
		w    Wanted
		want string
	}{
		{"the first that is private", Wanted{Candidates: []string{in("app"), in("tmp"), in("state")}}, "tmp"},
		{"else the state directory", Wanted{Candidates: []string{in("app")}, State: in("state")}, "state"},
		{"else what is above dest", Wanted{Candidates: []string{in("app")}}, "."},
		{"one that is missing", Wanted{Candidates: []string{in("none"), in("tmp")}}, "tmp"},
		{"not in dest", Wanted{Candidates: []string{in("app/web"), in("app/web/in"), in("tmp")}}, "tmp"},
		{"on the device of dest", Wanted{Candidates: []string{in("app")}, State: in("state"), SameDevice: true}, "state"},
	} {
		c.w.Dest, c.w.Size, c.w.What = dest, -1, "archive"
		got, err := placeOf(t, c.w)
		if err != nil || got != filepath.Join(top, c.want) {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
	}
	for _, w := range []Wanted{{Size: 1 << 60}, {Size: -1, Full: []uint64{dest.Parent.Device()}}} {
		w.Dest, w.Candidates = dest, []string{in("tmp")}
		if _, err := placeOf(t, w); !errors.Is(err, ErrNoRoom) {
			t.Errorf("without room: %v", err)
		}
	}
}

func TestPrivatePlaceDevice(t *testing.T) {
	top := tempDir(t)
	must(t, os.Mkdir(filepath.Join(top, "mnt"), 0o755))
	mounted(t, filepath.Join(top, "mnt"))
	must(t, os.MkdirAll(filepath.Join(top, "mnt/app/web"), 0o755))
	must(t, os.Mkdir(filepath.Join(top, "state"), 0o755))
	must(t, os.Chown(filepath.Join(top, "mnt/app"), stranger, stranger))
	dest, err := OpenDest(filepath.Join(top, "mnt/app/web"))
	must(t, err)
	defer dest.Close()
	w := Wanted{What: "staging directory", Size: -1, Dest: dest, SameDevice: true, State: filepath.Join(top, "state"),
		Candidates: []string{filepath.Join(top, "mnt/app")}}
	must(t, os.Chmod(filepath.Join(top, "mnt"), 0o755))
	if got, err := placeOf(t, w); err != nil || got != filepath.Join(top, "mnt") {
		t.Errorf("above dest: %q, %v", got, err)
	}
	must(t, os.Chmod(filepath.Join(top, "mnt"), 0o777))
	_, err = placeOf(t, w)
	if !errors.Is(err, failure.ErrRefused) || !strings.Contains(failure.Hint(err), "on the file system of \"") {
		t.Errorf("nowhere: %v, %q", err, failure.Hint(err))
	}
	w.SameDevice = false
	if got, err := placeOf(t, w); err != nil || got != w.State {
		t.Errorf("elsewhere: %q, %v", got, err)
	}
}

// TestPrivatePlaceInDest: a dest that is a mount point is the only place on
// its file system.
func TestPrivatePlaceInDest(t *testing.T) {
	top := tempDir(t)
	must(t, os.Mkdir(filepath.Join(top, "web"), 0o755))
	mounted(t, filepath.Join(top, "web"))
	must(t, os.Chmod(filepath.Join(top, "web"), 0o755))
	dest, err := OpenDest(filepath.Join(top, "web"))
	must(t, err)
	defer dest.Close()
	w := Wanted{What: "staging directory", Size: -1, Dest: dest, SameDevice: true, Candidates: []string{top}, State: top}
	if got, err := placeOf(t, w); err != nil || got != filepath.Join(top, "web") {
		t.Errorf("%q, %v", got, err)
	}
}
