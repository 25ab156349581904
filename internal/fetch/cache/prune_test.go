package cache

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// past puts entries, "run:checksum", "+" when it came with an archive, oldest first.
func past(t *testing.T, s *Store, dest string, entries ...string) {
	t.Helper()
	for _, word := range entries {
		word, with := strings.CutSuffix(word, "+")
		run, checksum, _ := strings.Cut(word, ":")
		content := ""
		if with {
			content = "archive " + checksum
		}
		put(t, s, run, dest, checksum, content)
	}
}

func TestPrune(t *testing.T) {
	for _, c := range []struct {
		name     string
		past     string
		archives int
		manifest string // runs whose manifest is kept
		want     string
	}{
		{"nothing", "", 2, "", ""},
		{"fewer than allowed", "a:1+ b:2+", 3, "", "b+ a+"},
		{"the oldest go", "a:1+ b:2+ c:3+ d:4+", 2, "", "d+ c+"},
		{"no archive at all", "a:1+ b:2+", 0, "", ""},
		{"negative", "a:1+ b:2+", -1, "", ""},
		{"manifests alone", "a:1+ b:2+ c:3+", 1, "ac", "c+ a"},
		{"manifests without archives", "a:1+ b:2+", 0, "b", "b"},
		{"never had one", "a b c", 2, "", ""},
		{"never had one, kept", "a b c", 2, "ac", "c a"},
		{"those without don't count", "a:1+ b:2+ c d", 2, "d", "d b+ a+"},
		{"the same again, nothing fetched", "a:1+ b:1", 2, "", "b+"},
		{"the same again, fetched", "a:1+ b:1+", 2, "", "b+"},
		{"the same again, both manifests", "a:1+ b:1", 2, "ab", "b+ a"},
		{"the same counts once", "a:1+ b:2+ c:2+ d:3+", 2, "", "d+ c+"},
		{"back to the older", "a:1+ b:2+ c:1", 2, "", "c+ b+"},
		{"back and forth", "a:1+ b:2+ c:1 d:2 e:1", 2, "", "e+ d+"},
		{"back, one kept", "a:1+ b:2+ c:1", 1, "", "c+"},
		{"checksum, but no archive anywhere", "a:1 b:2+", 2, "", "b+"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStore(t)
			past(t, s, "/other", "o:1+", "p:9+", "q")
			past(t, s, "/d", strings.Fields(c.past)...)
			for range 2 { // what is as it shall be stays so
				err := s.Prune("/d", c.archives, func(e Entry) bool { return strings.Contains(c.manifest, e.Run) })
				must(t, err)
				if got := listed(t, s, "/d"); got != c.want {
					t.Errorf("left %q, want %q", got, c.want)
				}
			}
			if got := listed(t, s, "/other"); got != "q p+ o+" {
				t.Errorf("of the other dest %q is left", got)
			}
			checkFiles(t, s)
		})
	}
}

// checkFiles: there are the files of the entries and no others, and each
// archive is the one that the entry deployed.
func checkFiles(t *testing.T, s *Store) {
	t.Helper()
	all, err := s.List("")
	must(t, err)
	want := 0
	for _, e := range all {
		want += 2
		if text, err := s.Manifest(e.Run); string(text) != "manifest of "+e.Run || err != nil {
			t.Errorf("manifest of %s: %q, %v", e.Run, text, err)
		}
		f, ok := s.Archive(e.Run)
		if ok != e.HasArchive {
			t.Errorf("archive of %s: %v, listed %v", e.Run, ok, e.HasArchive)
		}
		if !ok {
			continue
		}
		want++
		if got := text(t, f, ok); got != "archive "+e.Checksum {
			t.Errorf("archive of %s: %q", e.Run, got)
		}
	}
	if got := names(t, s); len(got) != want {
		t.Errorf("files %q, want %d", got, want)
	}
	dirs, err := os.ReadDir(s.dir)
	if err != nil || len(dirs) != len(all) {
		t.Errorf("%d directories, %v; want %d", len(dirs), err, len(all))
	}
}

func TestPruneKeepManifestNil(t *testing.T) {
	s := newStore(t)
	past(t, s, "/d", "a:1+", "b")
	must(t, s.Prune("/d", 1, nil))
	if got := listed(t, s, "/d"); got != "a+" {
		t.Errorf("left %q", got)
	}
}

// A process was killed while it moved an archive to the newer entry.
func TestPruneGoesOn(t *testing.T) {
	s := newStore(t)
	past(t, s, "/d", "a:1+", "b:1")
	b, err := s.Get("b")
	must(t, err)
	b.Size = int64(len("archive 1"))
	must(t, s.rewrite(b))
	must(t, os.WriteFile(filepath.Join(s.dir, "b", "meta.json.new"), []byte("half"), 0o600))
	if _, ok := s.Archive("b"); ok {
		t.Error("an archive that is not there yet")
	}
	f, ok := s.Find("1")
	isOf(t, s, "a", f, ok) // it is between two entries
	must(t, os.Remove(filepath.Join(s.dir, "b", "meta.json.new")))
	must(t, s.Prune("/d", 1, nil))
	if got := listed(t, s, "/d"); got != "b+" {
		t.Errorf("left %q", got)
	}
	checkFiles(t, s)
}

// The size of the archive was not known to the entry that takes it over, and
// half of a write of it is left.
func TestRewriteOverTheRest(t *testing.T) {
	s := newStore(t)
	past(t, s, "/d", "a:1+", "b:1")
	must(t, os.WriteFile(filepath.Join(s.dir, "b", "meta.json.new"), []byte("half"), 0o600))
	must(t, s.Prune("/d", 1, nil))
	if got := listed(t, s, "/d"); got != "b+" {
		t.Errorf("left %q", got)
	}
	checkFiles(t, s)
}

// An archive that the disk lost the end of does not keep its place.
func TestPruneDamagedArchive(t *testing.T) {
	s := newStore(t)
	past(t, s, "/d", "a:1+", "b:2+", "c:3+")
	must(t, os.Truncate(filepath.Join(s.dir, "c", "archive"), 1))
	must(t, s.Prune("/d", 2, func(e Entry) bool { return e.Run == "c" }))
	if got := listed(t, s, "/d"); got != "c b+ a+" {
		t.Errorf("left %q", got)
	}
	checkFiles(t, s)
}

// TestNewest: the manifests that stay are bounded, by deployments that differ
// and by runs.
func TestNewest(t *testing.T) {
	for _, c := range []struct {
		name     string
		runs     int
		distinct int // different deployments in turn
		want     int
	}{
		{"all different", 30, 30, maxDeployments},
		{"all alike", 30, 1, maxManifests},
		{"two in turn", 30, 2, maxManifests},
		{"few", 4, 4, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStore(t)
			for i := range c.runs {
				e := Entry{Run: fmt.Sprintf("r%02d", i), Dest: "/d", Fingerprint: fmt.Sprint(i % c.distinct)}
				must(t, s.Put(t.Context(), e, []byte("manifest of "+e.Run), nil))
			}
			must(t, s.Prune("/d", 0, Newest()))
			all, err := s.List("/d")
			must(t, err)
			if len(all) != c.want || all[0].Run != fmt.Sprintf("r%02d", c.runs-1) {
				t.Errorf("%d are left, from %s", len(all), all[0].Run)
			}
		})
	}
}
