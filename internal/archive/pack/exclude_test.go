package pack

import (
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stretcher/internal/testparts"
)

// TestExcludesLikeGit compares what is left out with what git ignores, for
// patterns made at random.
func TestExcludesLikeGit(t *testing.T) {
	git := testparts.Need(t, "git")
	rnd := rand.New(rand.NewPCG(7, 7))
	dir := t.TempDir()
	for _, path := range []string{"a", "b.o", "a.b/a", "a.b/c.o", "d/a", "d/d/a", "d/d/b.o", "d/e/!x",
		"#c", "e f", "d/[x]", "g/h/i/j.o", "g/h/a/b/c"} {
		name := filepath.Join(dir, path)
		check(t, os.MkdirAll(filepath.Dir(name), 0o755))
		check(t, os.WriteFile(name, nil, 0o644))
	}
	run(t, nil, git, "-C", dir, "init", "-q")
	parts := []string{"a", "*", "**", "/", "/", "d", "*.o", "!", "\\", "[a-d]", "?", "e", "h", ".", " ",
		"#", "[!a]", "\\!x", "b", "[x"}
	for range 100 {
		var patterns []string
		for range 1 + rnd.IntN(4) {
			p := ""
			for range 1 + rnd.IntN(5) {
				p += parts[rnd.IntN(len(parts))]
			}
			patterns = append(patterns, p)
		}
		skip, err := Excludes(patterns)
		if err != nil {
			continue
		}
		check(t, os.WriteFile(filepath.Join(dir, ".git/info/exclude"), []byte(strings.Join(patterns, "\n")+"\n"), 0o644))
		want := run(t, nil, git, "-C", dir, "ls-files", "-o", "--exclude-standard", "-z")
		want = strings.TrimSuffix(want, "\x00")
		if got := kept(t, dir, skip); got != want {
			t.Errorf("%q: kept\n%q, git keeps\n%q", patterns, got, want)
		}
	}
}

// kept are the files that are not left out.
func kept(t *testing.T, dir string, skip func(path string, isDir bool) bool) string {
	var all []string
	check(t, filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, name)
		switch {
		case err != nil || rel == ".":
			return err
		case d.IsDir() && (rel == ".git" || skip(rel, true)):
			return fs.SkipDir
		case !d.IsDir() && !skip(rel, false):
			all = append(all, rel)
		}
		return nil
	}))
	return strings.Join(all, "\x00")
}

func TestExcludeErrors(t *testing.T) {
	for _, p := range []string{"a\nb", "a\x00b", "[a", "[[:alpha:]]", "a/[b/c]"} {
		if _, err := Excludes([]string{"good", p}); err == nil || !strings.Contains(err.Error(), "exclude ") {
			t.Errorf("%q: %v", p, err)
		}
	}
}
