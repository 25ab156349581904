package releases

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPrune(t *testing.T) {
	states := map[rune]State{'g': Good, 'b': Bad, 'p': Pending, '-': ""}
	for _, tt := range []struct {
		name             string
		states           string // of releases 1, 2, ..., oldest first
		current, running int    // 0 = none
		keep             int
		want             string // what goes
	}{
		{"nothing", "", 0, 0, 5, ""},
		{"fewer than keep", "ggg", 3, 3, 5, ""},
		{"oldest goes", "gggg", 4, 4, 3, "1"},
		{"two go", "ggggg", 5, 5, 3, "1 2"},
		{"running counts", "gggp", 4, 4, 3, "1"},
		{"keep 2", "ggg", 3, 3, 2, "1"},
		{"keep 1", "ggg", 3, 3, 1, "1 2"},
		{"keep 0 is 1", "ggg", 3, 3, 0, "1 2"},
		{"keep negative is 1", "ggg", 3, 3, -5, "1 2"},
		{"keep 1 before the mark", "ggp", 3, 3, 1, "1"},
		{"current is old", "ggggg", 1, 0, 2, "2 3"},
		{"current is old, keep 1", "gggg", 1, 0, 1, "2 3"},
		{"current is bad", "gb", 2, 0, 1, ""},
		{"last good after many bad", "gbbbbbb", 7, 7, 1, ""},
		{"last good after many bad, none current", "ggbbbbbb", 0, 0, 1, "1"},
		{"two good after many bad", "gggbbbb", 7, 0, 2, "1"},
		{"bad ones before a good one go", "gbbg", 4, 4, 5, "2 3"},
		{"bad ones after it stay", "gbgb", 3, 0, 5, "2"},
		{"pending ones as bad", "gppg", 4, 4, 5, "2 3"},
		{"pending at the end stays", "gp", 1, 0, 5, ""},
		{"bad and current stays", "gbg", 2, 0, 5, ""},
		{"unmarked goes", "g-", 1, 0, 5, "2"},
		{"unmarked and current stays", "g-", 2, 0, 5, ""},
		{"only bad ones stay", "bb-", 0, 0, 1, ""},
		{"running replaces bad ones", "bbp", 3, 3, 1, "1 2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := layout(t)
			for i, c := range tt.states {
				add(t, d, i+1, states[c])
			}
			running := ""
			if tt.running > 0 {
				running = id(tt.running)
			}
			if tt.current > 0 {
				must(t, d.Switch(id(tt.current)))
			}
			var want []string
			for _, n := range strings.Fields(tt.want) {
				want = append(want, "01900000-0000-7000-8000-"+fmt.Sprintf("%012s", n))
			}
			planned, err := d.Prunable(tt.keep, running)
			if err != nil || strings.Join(planned, " ") != strings.Join(want, " ") {
				t.Fatalf("Prunable = %v, %v, want %v", planned, err, want)
			}
			removed, err := d.Prune(context.Background(), tt.keep, running)
			if err != nil || strings.Join(removed, " ") != strings.Join(want, " ") {
				t.Fatalf("Prune = %v, %v, want %v", removed, err, want)
			}
			for i := range tt.states {
				_, gone := os.Lstat(d.Path(id(i + 1)))
				_, unmarked := os.Lstat(d.markPath(id(i + 1)))
				shouldGo := strings.Contains(" "+tt.want+" ", fmt.Sprintf(" %d ", i+1))
				if (gone != nil) != shouldGo || unmarked == nil && shouldGo {
					t.Errorf("release %d: %v, %v", i+1, gone, unmarked)
				}
			}
		})
	}
}

func TestPruneSweeps(t *testing.T) {
	d := layout(t)
	add(t, d, 1, Good)
	must(t, d.Switch(id(1)))
	must(t, os.Symlink("x", filepath.Join(d.path, newCurrent+id(2))))
	put(t, filepath.Join(d.releases(), newMark+id(2)), "{")
	put(t, filepath.Join(d.releases(), pruned+id(2), "file"), "")
	put(t, d.markPath(id(2)), "{}") // of a release that never came to be
	put(t, d.markPath(id(3)), "{}") // of one that does now
	staged := ".stretcher-" + id(4) + "-0"
	put(t, filepath.Join(d.releases(), staged, "file"), "")
	put(t, filepath.Join(d.releases(), "notes.json"), "")
	_, err := d.Prune(context.Background(), 1, id(3))
	must(t, err)
	if got := names(t, d.path); got != "current releases" {
		t.Errorf("dest holds %s", got)
	}
	if got, want := names(t, d.releases()), strings.Join([]string{staged, id(1), id(1) + ".json", id(3) + ".json", "notes.json"}, " "); got != want {
		t.Errorf("releases holds\n%s, want\n%s", got, want)
	}
}

func TestPruneErrors(t *testing.T) {
	d := layout(t)
	for n := 1; n <= 3; n++ {
		add(t, d, n, Good)
	}
	done, cancel := context.WithCancel(context.Background())
	cancel()
	if removed, err := d.Prune(done, 1, ""); len(removed) > 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("Prune = %v, %v", removed, err)
	}
	must(t, os.Symlink("/", d.CurrentPath()))
	if removed, err := d.Prune(context.Background(), 1, ""); len(removed) > 0 || !errors.Is(err, ErrPlain) {
		t.Errorf("Prune = %v, %v", removed, err)
	}
	if list, err := d.List(); len(list) != 3 || err != nil {
		t.Errorf("List = %v, %v", list, err)
	}
}
