package mirror

import (
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"stretcher/internal/archive"
	"stretcher/internal/disk/confined"
)

// tableOf is a table of directories with those above them.
func tableOf(paths []string) table {
	all := map[string]bool{"": true}
	for _, p := range paths {
		for p = strings.Trim(p, "/"); p != ""; p, _ = confined.Split(p) {
			if !strings.Contains(p, "//") {
				all[p] = true
			}
		}
	}
	var t table
	for p := range maps(all) {
		t = append(t, archive.Entry{Path: p, Mode: fs.ModeDir})
	}
	return t
}

// checkTable compares each directory's children with a plain search.
func checkTable(t *testing.T, tab table) {
	t.Helper()
	if err := tab.check(); err != nil {
		t.Fatal(err)
	}
	for i := range tab {
		var got, want []string
		for k, name := range tab.children(i) {
			if tab[k].Path != confined.Join(tab[i].Path, name) {
				t.Errorf("child %q of %q is called %q", tab[k].Path, tab[i].Path, name)
			}
			got = append(got, tab[k].Path)
		}
		below := 0
		for _, e := range tab[1:] {
			if dir, _ := confined.Split(e.Path); dir == tab[i].Path {
				want = append(want, e.Path)
			}
			if e.Path != tab[i].Path && confined.Within(e.Path, tab[i].Path) {
				below++
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("children of %q: %q, want %q", tab[i].Path, got, want)
		}
		if lo, hi := tab.rangeOf(i); hi-lo != below {
			t.Errorf("%d entries below %q, want %d", hi-lo, tab[i].Path, below)
		}
		checkBelow(t, tab, i, below)
	}
}

// checkBelow checks that the entries below one are gone through in both orders, and no
// further than they are asked for.
func checkBelow(t *testing.T, tab table, i, below int) {
	t.Helper()
	for o, compare := range map[order]func(a, b string) int{
		inside: func(a, b string) int { return slices.Compare(strings.Split(a, "/"), strings.Split(b, "/")) },
		byLevel: func(a, b string) int {
			for { // the first name in which they differ: files come before what is deeper
				x, restX, deeperX := strings.Cut(a, "/")
				y, restY, deeperY := strings.Cut(b, "/")
				switch {
				case deeperX != deeperY:
					return map[bool]int{true: 1, false: -1}[deeperX]
				case x != y || !deeperX:
					return strings.Compare(x, y)
				}
				a, b = restX, restY
			}
		},
	} {
		var got []string
		for k := range tab.below(i, &Options{}, o) {
			got = append(got, tab[k].Path)
		}
		if len(got) != below || !slices.IsSortedFunc(got, compare) {
			t.Errorf("visited %q below %q, want %d in order %v", got, tab[i].Path, below, o)
		}
		for stop := range got {
			n := 0
			for range tab.below(i, &Options{}, o) {
				if n++; n > stop {
					break
				}
			}
			if n != stop+1 {
				t.Errorf("visited %d entries below %q, want %d", n, tab[i].Path, stop+1)
			}
		}
	}
}

func TestTable(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var paths []string
		for range rnd.IntN(40) {
			var parts []string
			for range 1 + rnd.IntN(4) {
				parts = append(parts, pick(rnd, "a", "a-", "a.b", "a0", "b", "\xff", "\x01", "aa"))
			}
			paths = append(paths, strings.Join(parts, "/"))
		}
		checkTable(t, tableOf(paths))
	}
}

func FuzzTable(f *testing.F) {
	f.Add("a\na/b\na-b\na/b/c")
	f.Fuzz(func(t *testing.T, text string) {
		paths := strings.Split(text, "\n")
		checkTable(t, tableOf(paths[:min(len(paths), 100)]))
	})
}

func TestNames(t *testing.T) {
	for _, x := range []struct {
		what what
		want string
	}{
		{0, "[]"}, {isType | isWrite, "[type]"}, {isLink, "[link]"},
		{isSize | isTime | isContent | isMode | isOwner | isWithin | isDir, "[size time content mode owner]"},
	} {
		if got := fmt.Sprint(x.what.names()); got != x.want {
			t.Errorf("%b: %s, want %s", x.what, got, x.want)
		}
	}
	if got := fmt.Sprint(Add, Modify, Delete); got != "add change delete" {
		t.Errorf("kinds %s", got)
	}
}

// TestAlong: each name is told of once, in order, and the first error ends it.
func TestAlong(t *testing.T) {
	tab := tableOf([]string{"b", "b/x", "d", "f"})
	slices.SortFunc(tab, func(a, b archive.Entry) int { return strings.Compare(a.Path, b.Path) })
	for names, want := range map[string]string{
		"":           "b- d- f-",
		"b d f":      "b+ d+ f+",
		"a c e g":    "a b- c d- e f- g",
		"a a- b f g": "a a- b+ d- f+ g",
		"x y":        "b- d- f- x y",
		"a b stop x": "a b+ d- f- stop",
	} {
		var told []string
		stop := func(name string) error {
			told = append(told, name)
			if strings.HasPrefix(name, "stop") {
				return io.EOF
			}
			return nil
		}
		list := strings.Fields(names)
		slices.Sort(list)
		err := tab.along(0, list, stop, func(k int, name string, found bool) error {
			if tab[k].Path != name {
				t.Errorf("%q has index %d", name, k)
			}
			return stop(name + map[bool]string{true: "+", false: "-"}[found])
		})
		if got := strings.Join(told, " "); got != want || (err != nil) != strings.Contains(names, "stop") {
			t.Errorf("%q: told of %q, %v; want %q", names, got, err, want)
		}
	}
	if err := tab.along(0, nil, nil, func(int, string, bool) error { return io.EOF }); err != io.EOF {
		t.Errorf("err = %v", err)
	}
}
