package oci

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestProgramsOfDefinitions: also what is not there yet counts, and what another
// definition masks.
func TestProgramsOfDefinitions(t *testing.T) {
	top := t.TempDir()
	write := func(name, text string) {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(top, name)), 0o755))
		must(t, os.WriteFile(filepath.Join(top, name), []byte(text), 0o644))
	}
	def := func(path string) string {
		return `{"version": "1.0.0", "hook": {"path": "` + path + `"}, "when": {"always": true}, "stages": ["prestart"]}`
	}
	write("one/a.json", def("/nowhere/masked"))
	write("two/a.json", def("/nowhere/a"))
	write("two/b.json", "{")
	write("two/c.txt", def("/nowhere/c"))
	got := Programs([]string{filepath.Join(top, "one"), filepath.Join(top, "two"), filepath.Join(top, "none")})
	if want := []string{"/nowhere/masked", "/nowhere/a"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
