package disk

import (
	"os"
	"path/filepath"
	"testing"

	"stretcher/internal/testparts"
)

// TestWaysByMounts: what is mounted elsewhere, in whole or in part, is the same.
func TestWaysByMounts(t *testing.T) {
	asRoot(t)
	top := tempDir(t)
	at := func(name string) string { return filepath.Join(top, name) }
	for _, dir := range []string{"host/hooks/event", "host/other", "a b", "part", "app"} {
		must(t, os.MkdirAll(at(dir), 0o755))
	}
	testparts.Bind(t, at("host/hooks"), at("a b"))
	testparts.Bind(t, at("host/hooks/event"), at("part"))
	way := WayTo(at("host/hooks"))
	for dest, holds := range map[string]bool{
		"a b": true, "a b/event": true, "a b/new": true, "part": true, "part/new": true, "host": true,
		"app": false, "host/other": false, "a": false, "host/hooks2": false,
	} {
		var mounts Mounts
		if got := way.Holds(WayTo(at(dest)), &mounts); got != holds {
			t.Errorf("%s: %v", dest, got)
		}
		open, err := OpenDest(at(dest))
		if err != nil {
			continue // deeper than what is there
		}
		if got := way.Holds(open.Way(), &mounts); got != holds {
			t.Errorf("%s, opened: %v", dest, got)
		}
		must(t, open.Close())
	}
	var mounts Mounts
	for path, dest := range map[string]string{"part/hook": "host", "part": "host/hooks"} {
		if !WayTo(at(path)).Holds(WayTo(at(dest)), &mounts) {
			t.Errorf("%s above %s, which is mounted", dest, path)
		}
	}
}

// TestWayTo: what is there is resolved, the rest is taken as it is written, and
// who else has a say is told.
func TestWayTo(t *testing.T) {
	asRoot(t)
	top := tempDir(t)
	at := func(name string) string { return filepath.Join(top, name) }
	for _, dir := range []string{"real/in", "theirs", "open"} {
		must(t, os.MkdirAll(at(dir), 0o755))
	}
	must(t, os.WriteFile(at("real/file"), nil, 0o644))
	for link, target := range map[string]string{
		"link": "real", "gone": "nowhere/x", "loop": "loop", "theirs/link": "../real",
	} {
		must(t, os.Symlink(target, at(link)))
	}
	must(t, os.Symlink(at("real"), at("open/link")))
	must(t, os.Lchown(at("theirs/link"), 12345, 12345))
	must(t, os.Chmod(at("open"), os.ModeSticky|0o777))
	for _, test := range []struct {
		path, real string
		doubt      bool
	}{
		{"link", "real", false}, {"link/in", "real/in", false}, {"link/file", "real/file", false},
		{"link/file/x/y", "real/file/x/y", false}, {"link/new/a/../b", "real/new/b", false},
		{"gone", "nowhere/x", false}, {"gone/y", "nowhere/x/y", false}, {"link/../link/in", "real/in", false},
		{"loop/x", "loop/x", false}, {"theirs/link/in", "theirs/link/in", true}, {"open/link", "real", true},
		{"open/new", "open/new", false}, {"theirs/x", "theirs/x", false},
	} {
		way := WayTo(at(test.path))
		if way.Real != at(test.real) || (way.Doubt != "") != test.doubt {
			t.Errorf("%s: %q, %q", test.path, way.Real, way.Doubt)
		}
	}
}
