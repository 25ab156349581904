package crash

import (
	"fmt"
	"os"
	"path/filepath"
)

// nativeStops are where a run can be stopped while it syncs: it has begun to
// replace a large tree.
func nativeStops(at func(string) want) []crash {
	return []crash{{name: "sync/%s", set: each(sendArchive("many"), (*world).seedMany),
		stop: stop{at: replacing, passing: unreplaced}, want: at("sync").withTree(mixture)}}
}

// seedMany puts an old version of the files of the archive many at dest.
func (w *world) seedMany() {
	w.t.Helper()
	if err := os.Mkdir(w.path("srv/app/many"), 0o755); err != nil {
		w.t.Fatal(err)
	}
	for i := range manyFiles {
		w.write(fmt.Sprintf("srv/app/many/%05d", i), "y")
	}
}

func replacing(w *world) bool { return w.read("srv/app/a") == "2\n" }

// unreplaced tells whether a run that syncs has more to sync: each file is old
// or new, and one is old.
func unreplaced(w *world) bool {
	names, _ := filepath.Glob(w.path("srv/app/many/*"))
	if len(names) != manyFiles {
		w.t.Errorf("%d files are there, want %d", len(names), manyFiles)
	}
	old := false
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil || string(text) != "x" && string(text) != "y" {
			w.t.Errorf("%q is %q, neither the old one nor the new one: %v", name, text, err)
		}
		old = old || string(text) == "y"
	}
	return old
}
