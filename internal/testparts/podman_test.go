package testparts

import (
	"os"
	"path/filepath"
	"testing"
)

func TestPodman(t *testing.T) {
	e := Podman(t)
	if names := e.Containers(t); len(names) != 0 {
		t.Errorf("a new store holds containers %q", names)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM scratch\nCOPY Dockerfile /\n"),
		0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"build", "--tag", "localhost/x", dir},
		{"create", "--name", "left", "localhost/x", "/none"}} {
		if out, err := e.try(args...); err != nil {
			t.Fatalf("%s: %v: %s", args[0], err, out)
		}
	}
	said := judge(t, func(tb testing.TB) { e.clear(tb) })
	if want := `containers ["left"] are left`; said != "fatal: "+want {
		t.Errorf("verdict %q, want %q", said, want)
	}
	if names := e.Containers(t); len(names) != 0 {
		t.Errorf("containers %q are still there", names)
	}
}
