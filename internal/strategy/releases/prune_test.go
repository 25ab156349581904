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
		{"a way back besides current and running", "gggg", 3, 4, 2, "1"},
		{"current is old, a way back", "gggg", 3, 4, 1, "1 2"},
		{"left ones don't count", "ggllg", 5, 5, 2, "1 3 4"},
		{"left ones and bad ones", "glbglp", 4, 6, 5, "2 3 5"},
		{"left after the newest sound one", "ggl", 2, 2, 5, ""},
		{"left after the newest sound one, keep 1", "ggl", 2, 2, 1, "1"},
		{"left and current", "glg", 2, 0, 5, ""},
		{"left and running counts", "ggl", 3, 3, 2, "1"},
		{"left and running, keep 1", "ggl", 3, 3, 1, "1"},
		{"only left ones stay", "ll", 0, 0, 1, ""},
		{"running is bad", "gggb", 3, 4, 2, "1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := layout(t)
			addAll(t, d, tt.states)
			running := ""
			if tt.running > 0 {
				running = id(tt.running)
			}
			if tt.current > 0 {
				must(t, d.Switch(id(tt.current)))
			}
			planned, err := d.Prunable(tt.keep, running)
			if err != nil || numbers(planned) != tt.want {
				t.Fatalf("Prunable = %v, %v, want %v", planned, err, tt.want)
			}
			removed, err := d.Prune(context.Background(), tt.keep, running)
			if err != nil || numbers(removed) != tt.want {
				t.Fatalf("Prune = %v, %v, want %v", removed, err, tt.want)
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

// addAll adds releases 1, 2, ...: good, bad, pending, left (good, rolled back
// from) or, for "-", without a mark.
func addAll(t *testing.T, d *Dir, states string) {
	t.Helper()
	for i, c := range states {
		add(t, d, i+1, map[rune]State{'g': Good, 'l': Good, 'b': Bad, 'p': Pending}[c])
		if c == 'l' {
			must(t, d.Leave(id(i+1), id(99)))
		}
	}
}

// numbers are the n of ids.
func numbers(ids []string) string {
	var all []string
	for _, s := range ids {
		all = append(all, strings.TrimLeft(s[len(s)-12:], "0"))
	}
	return strings.Join(all, " ")
}

func TestPruneBad(t *testing.T) {
	for _, tt := range []struct {
		name             string
		states           string
		current, running int
		want             string
	}{
		{"nothing", "", 0, 0, ""},
		{"first failure", "gb", 1, 2, ""},
		{"second failure", "gbb", 1, 3, "2"},
		{"many", "gbbpbb", 1, 6, "2 3 4 5"},
		{"died", "gbbp", 1, 0, "2 3"},
		{"running is older", "gbbb", 1, 3, "2"},
		{"running never came to be", "gbb", 1, 4, "2"},
		{"current is bad", "gbbb", 2, 4, "3"},
		{"never a good one", "bbb", 3, 3, "1 2"},
		{"good and left ones stay", "glgbb", 3, 5, "4"},
		{"old bad ones", "bgbg", 4, 0, "1"},
		{"unmarked ones stay", "-b-b", 0, 4, "2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := layout(t)
			addAll(t, d, tt.states)
			if tt.current > 0 {
				must(t, d.Switch(id(tt.current)))
			}
			running := ""
			if tt.running > 0 {
				running = id(tt.running)
			}
			put(t, filepath.Join(d.releasesPath(), newMark+id(77)), "left by a kill")
			removed, err := d.PruneBad(context.Background(), running)
			if err != nil || numbers(removed) != tt.want {
				t.Fatalf("PruneBad = %v, %v, want %v", numbers(removed), err, tt.want)
			}
			list, err := d.List()
			if gone := len(strings.Fields(tt.want)); err != nil || len(list) != len(tt.states)-gone {
				t.Errorf("%d releases stay, %v", len(list), err)
			}
			if got := names(t, d.releasesPath()); strings.Contains(got, newMark) {
				t.Errorf("releases holds %s", got)
			}
		})
	}
}

// TestPileUp: failed deployments don't fill the disk.
func TestPileUp(t *testing.T) {
	d := layout(t)
	addAll(t, d, "gg")
	must(t, d.Switch(id(2)))
	for n := 3; n < 9; n++ {
		add(t, d, n, Bad)
		_, err := d.PruneBad(context.Background(), id(n))
		must(t, err)
		if list, err := d.List(); err != nil || len(list) != 3 || list[0].ID != id(n) {
			t.Fatalf("after %d: %+v, %v", n, list, err)
		}
	}
	add(t, d, 9, Good)
	must(t, d.Switch(id(9)))
	if removed, err := d.Prune(context.Background(), 3, id(9)); err != nil || numbers(removed) != "8" {
		t.Errorf("Prune = %v, %v", removed, err)
	}
}

func TestPruneSweeps(t *testing.T) {
	d := layout(t)
	add(t, d, 1, Good)
	must(t, d.Switch(id(1)))
	must(t, os.Symlink("x", filepath.Join(d.at.Given, newCurrent+id(2))))
	put(t, filepath.Join(d.releasesPath(), newMark+id(2)), "{")
	put(t, filepath.Join(d.releasesPath(), pruned+id(2), "file"), "")
	put(t, d.markPath(id(2)), "{}") // of a release that never came to be
	put(t, d.markPath(id(3)), "{}") // of one that does now
	staged := ".stretcher-" + id(4) + "-0"
	put(t, filepath.Join(d.releasesPath(), staged, "file"), "")
	put(t, filepath.Join(d.releasesPath(), "notes.json"), "")
	_, err := d.Prune(context.Background(), 1, id(3))
	must(t, err)
	if got := names(t, d.at.Given); got != "current releases" {
		t.Errorf("dest holds %s", got)
	}
	want := strings.Join([]string{staged, id(1), id(1) + ".json", id(3) + ".json", "notes.json"}, " ")
	if got := names(t, d.releasesPath()); got != want {
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
	if removed, err := d.PruneBad(context.Background(), ""); len(removed) > 0 || err != nil {
		t.Errorf("PruneBad = %v, %v", removed, err)
	}
	must(t, os.Symlink("/", d.CurrentPath()))
	if removed, err := d.PruneBad(context.Background(), ""); len(removed) > 0 || !errors.Is(err, ErrPlain) {
		t.Errorf("PruneBad = %v, %v", removed, err)
	}
	if removed, err := d.Prune(context.Background(), 1, ""); len(removed) > 0 || !errors.Is(err, ErrPlain) {
		t.Errorf("Prune = %v, %v", removed, err)
	}
	if list, err := d.List(); len(list) != 3 || err != nil {
		t.Errorf("List = %v, %v", list, err)
	}
}
