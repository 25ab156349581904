package crash

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestReleaseIsOnTheDiskBeforeTheSwitch: when the machine dies, current leads
// to a release that is whole.
func TestReleaseIsOnTheDiskBeforeTheSwitch(t *testing.T) {
	w := newWorld(t, crash{strategy: strategyReleases, quiet: true}, crashArchives(t))
	w.writeManifest()
	child := w.prepare("run", "", w.manifestURL())
	var calls []string
	status, _ := (&tracer{n: -1, saw: func(call string) {
		if call != "" {
			calls = append(calls, call)
		}
	}}).run(t, child.cmd)
	child.closeOut()
	if status != exitGood {
		t.Fatalf("exit status %d", status)
	}
	target, err := os.Readlink(w.path("srv/app/current"))
	if err != nil {
		t.Fatal(err)
	}
	at := 0
	for _, want := range []string{"rename " + filepath.Base(target), "syncfs", "fsync", "rename current", "fsync"} {
		i := slices.Index(calls[at:], want)
		if i < 0 {
			t.Fatalf("no %q after call %d of %q", want, at, calls)
		}
		at += i + 1
	}
}
