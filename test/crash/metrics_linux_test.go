package crash

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"stretcher/internal/testparts"
)

// TestMetricsSweep kills `stretcher metrics --output FILE` before each system call
// that changes names: the file is the old one or the new one, whole, and what may
// lie beside it no collector reads.
func TestMetricsSweep(t *testing.T) {
	t.Parallel()
	w := newWorld(t, crash{strategy: strategyNative, quiet: true}, crashArchives(t))
	w.bin, w.archive = testparts.Shipped(t), "small"
	w.writeManifest()
	if got := w.start("deployed", "", w.manifestURL()).wait(); got != exitGood {
		t.Fatalf("exit status %d", got)
	}
	const old = "# old\n# EOF\n"
	whole := func(text string) bool {
		return strings.HasPrefix(text, "# HELP stretcher_build_info ") && strings.HasSuffix(text, "\n# EOF\n")
	}
	replaced, n := false, 1
	for sent := true; sent; n++ {
		w.removeAll("out")
		if err := os.Mkdir(w.path("out"), 0o755); err != nil {
			t.Fatal(err)
		}
		w.write("out/app.prom", old)
		child := w.prepare("metrics", "", "metrics", "--output", w.path("out/app.prom"))
		_, sent = (&tracer{n: n, signal: syscall.SIGKILL}).run(t, child.cmd)
		child.closeOut()
		if text := w.read("out/app.prom"); text != old && !whole(text) {
			t.Errorf("killed before call %d: %q", n, text)
		} else {
			replaced = text != old
		}
		found, err := os.ReadDir(w.path("out"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			name := f.Name()
			if name != "app.prom" && (!strings.HasPrefix(name, ".stretcher-metrics-") || strings.HasSuffix(name, ".prom")) {
				t.Errorf("killed before call %d: %q is there", n, name)
			}
		}
	}
	if !replaced || n < 4 {
		t.Errorf("replaced %v after %d calls", replaced, n)
	}
}
