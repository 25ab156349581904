package releases

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stretcher/internal/testparts"
)

// TestPruneMounts: a release that something is mounted in stays whole, with its
// mark, and so does what is mounted.
func TestPruneMounts(t *testing.T) {
	for name, mount := range map[string]func(t *testing.T, release, precious string){
		"bind":   func(t *testing.T, release, precious string) { testparts.Bind(t, precious, release+"/uploads") },
		"a file": func(t *testing.T, release, precious string) { testparts.Bind(t, precious+"/p.jpg", release+"/a") },
		"deep tmpfs": func(t *testing.T, release, _ string) {
			must(t, os.MkdirAll(release+"/x/y/z", 0o755))
			mountTmp(t, release+"/x/y/z", "")
		},
		"the release": func(t *testing.T, release, precious string) { testparts.Bind(t, precious, release) },
	} {
		t.Run(name, func(t *testing.T) {
			d := layout(t)
			precious := t.TempDir()
			put(t, precious+"/p.jpg", "photo")
			for i := 1; i <= 3; i++ {
				add(t, d, i, Good)
			}
			must(t, d.Switch(id(3)))
			must(t, os.Mkdir(d.Path(id(1))+"/uploads", 0o755))
			put(t, d.Path(id(1))+"/a", "a")
			mount(t, d.Path(id(1)), precious)
			removed, err := d.Prune(t.Context(), 1, id(3))
			if err == nil || !strings.Contains(err.Error(), "a file system is mounted there") {
				t.Errorf("err = %v", err)
			}
			if len(removed) != 1 || removed[0] != id(2) {
				t.Errorf("removed %q", removed)
			}
			if got := get(t, precious+"/p.jpg"); got != "photo" {
				t.Errorf("what is mounted holds %q", got)
			}
			if _, err := os.Lstat(d.markPath(id(1))); err != nil {
				t.Error(err)
			}
			if name != "the release" {
				get(t, d.Path(id(1))+"/a")
			}
		})
	}
}

// TestPruneOverlay removes a release of a lower layer, which overlayfs does not
// rename.
func TestPruneOverlay(t *testing.T) {
	lower := layout(t)
	for i := 1; i <= 2; i++ {
		add(t, lower, i, Good)
	}
	must(t, lower.Switch(id(2)))
	dir := t.TempDir()
	mountTmp(t, dir, "")
	dest := overlay(t, lower.at.Given, dir)
	d, err := Open(dest, Options{})
	must(t, err)
	defer d.Close()
	must(t, d.Prepare())
	add(t, d, 3, Good)
	must(t, d.Switch(id(3)))
	removed, err := d.Prune(t.Context(), 1, id(3))
	if err != nil || len(removed) != 2 {
		t.Errorf("removed %q, %v", removed, err)
	}
	if got := names(t, filepath.Join(dest, releasesName)); got != id(3)+" "+id(3)+markSuffix {
		t.Errorf("there is %s", got)
	}
}

// overlay mounts an overlay over lower, with its upper layer in dir.
func overlay(t *testing.T, lower, dir string) string {
	t.Helper()
	for _, name := range []string{"upper", "work", "merged"} {
		must(t, os.Mkdir(filepath.Join(dir, name), 0o755))
	}
	merged := filepath.Join(dir, "merged")
	options := "lowerdir=" + lower + ",upperdir=" + dir + "/upper,workdir=" + dir + "/work"
	testparts.Mount(t, "overlay", merged, "overlay", 0, options)
	return merged
}
