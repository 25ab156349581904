package archive

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"stretcher/internal/text/runid"
)

func TestStrip(t *testing.T) {
	for _, tc := range []struct {
		name string
		n    int
		want string
	}{
		{"package/lib/a", 1, "lib/a"}, {"package/lib/a", 2, "a"}, {"package/lib/a", 3, ""}, {"package/", 1, ""},
		{"package", 1, ""}, {"./a/b", 1, "a/b"}, {"././a", 1, "./a"}, {"/a/b", 1, "b"}, {"a//b/c", 1, "b/c"},
		{"a//b//c", 2, "c"}, {"a//", 1, ""}, {"a//", 2, ""}, {"a/b", 0, "a/b"}, {"a/b", 1000, ""}, {"", 1, ""},
	} {
		if got := Strip(tc.name, tc.n); got != tc.want {
			t.Errorf("%q without %d: %q, want %q", tc.name, tc.n, got, tc.want)
		}
	}
}

// TestStripped: what is stripped is judged, counted and not unpacked.
func TestStripped(t *testing.T) {
	npm := []ent{{name: "package/package.json", data: "{}"}, {name: "package/lib/a", data: "a"},
		{name: "package/lib/b", typ: '1', link: "package/lib/a"}, {name: "package/l", typ: '2', link: "lib/a"}}
	strict := Options{Mode: Strict}
	global := ent{name: "g", typ: 'g', data: paxRecord("comment", "0123456789abcdef")}
	github := []ent{global, {name: "app-1.0/", typ: '5', mode: 0o700}, {name: "app-1.0/README", data: "x"}}
	rooted := []ent{{name: "./", typ: '5', mode: 0o700}, {name: "./a/"}, {name: "././", typ: '5', mode: 0o711}}
	staging := ent{name: runid.TempPrefix(runid.New()) + "0/x"}
	top := ent{name: "top", data: "12345"}
	limited := func(entries, bytes int64) Options { return Options{Limits: Limits{Entries: entries, Bytes: bytes}} }
	for name, tc := range map[string]struct {
		ents   []ent
		opts   Options
		paths  string // that are there; without any, an error is wanted
		err    error
		isRoot bool
	}{
		"npm":                        {ents: npm, paths: "l lib lib/a lib/b package.json"},
		"npm, strictly":              {ents: npm, opts: strict, paths: "l lib lib/a lib/b package.json"},
		"GitHub":                     {ents: github, paths: "README"},
		"the root":                   {ents: rooted, paths: "a", isRoot: true},
		"leading slash":              {ents: []ent{{name: "/a/b"}}, paths: "b"},
		"leading slash, strictly":    {ents: []ent{{name: "/a/b"}}, opts: strict, err: ErrUnsafe},
		"two slashes, strictly":      {ents: []ent{{name: "a//b"}}, opts: strict, paths: "b"},
		"escape in what is left":     {ents: []ent{{name: "a/../../etc/x"}}, err: ErrUnsafe},
		"escape in what is not":      {ents: []ent{{name: "../x/y"}}, err: ErrUnsafe},
		"escape of a skipped name":   {ents: []ent{{name: ".."}, {name: "a/b"}}, err: ErrUnsafe},
		"staging in what is not":     {ents: []ent{staging, {name: "a/b"}}, err: ErrUnsafe},
		"symlink that now leads out": {ents: []ent{{name: "a/b", typ: '2', link: "../x"}}, opts: strict, err: ErrUnsafe},
		"symlink out, as tar does":   {ents: []ent{{name: "a/b", typ: '2', link: "../x"}}, paths: "b"},
		"through a symlink":          {ents: []ent{{name: "a/b", typ: '2', link: "/tmp"}, {name: "c/b/d"}}, err: ErrUnsafe},
		"link to what is skipped":    {ents: []ent{top, {name: "a/b", typ: '1', link: "top"}}, err: ErrMalformed},
		"link to the root":           {ents: []ent{top, {name: "a/b", typ: '1', link: "a/."}}, err: ErrUnsafe},
		"skipped link":               {ents: []ent{{name: "a/b"}, {name: "c", typ: '1', link: "no"}}, paths: "b"},
		"skipped FIFO, strictly":     {ents: []ent{{name: "a/b"}, {name: "c", typ: '6'}}, opts: strict, paths: "b"},
		"skipped device":             {ents: []ent{{name: "a/b"}, {name: "c", typ: '3'}}, err: ErrUnsafe},
		"nothing left":               {ents: []ent{top, {name: "d/", typ: '5'}}, err: ErrMalformed},
		"skipped entries count":      {ents: []ent{top, top, {name: "a/b"}}, opts: limited(2, 0), err: ErrEntries},
		"skipped bytes count":        {ents: []ent{top, top, {name: "a/b"}}, opts: limited(0, 9), err: ErrBytes},
		"none":                       {paths: "."},
	} {
		tc.opts.Strip = 1
		dir, res, err := unpack(t, tarOf(tc.ents...), tc.opts)
		if tc.paths == "" || err != nil {
			if !errors.Is(err, tc.err) || tc.paths != "" {
				t.Errorf("%s: %v, want %v", name, err, tc.err)
			}
			continue
		}
		found := slices.Sorted(maps.Keys(snapshot(t, dir)))
		got := strings.TrimPrefix(strings.Join(found, " "), ". ")
		if got != tc.paths || res.HasRoot != tc.isRoot {
			t.Errorf("%s: %q with root %v, want %q", name, got, res.HasRoot, tc.paths)
		}
	}
}

// TestStripSameAsGNUTar: archives made at random come out as GNU tar unpacks
// them. Where names lead through symlinks, or nothing is left, we refuse alone.
func TestStripSameAsGNUTar(t *testing.T) {
	gnu := tool(t, "tar", "GNU tar")
	rounds, seed := 40, uint64(1)
	if n, err := strconv.Atoi(os.Getenv("STRETCHER_DIFF_ROUNDS")); err == nil {
		rounds = n
	}
	if n, err := strconv.ParseUint(os.Getenv("STRETCHER_DIFF_SEED"), 10, 64); err == nil {
		seed = n
	}
	rnd := rand.New(rand.NewPCG(seed, 5))
	same := 0
	for range rounds {
		ents := manyNamed(rnd)
		n := rnd.IntN(4)
		if compareStripped(t, gnu, tarOf(ents...), n) {
			same++
		}
		if t.Failed() {
			t.Fatalf("strip %d of %+v", n, ents)
		}
	}
	if t.Logf("%d of %d unpacked and compared", same, rounds); same < rounds/10 {
		t.Error("the generator shows too little")
	}
}

// manyNamed are entries whose names have up to five components, spelled in one
// way: tar does not know a directory again by another.
func manyNamed(rnd *rand.Rand) (ents []ent) {
	head := []string{"", "./", "/", "././"}[rnd.IntN(4)]
	name := func() string {
		var parts []string
		for range 1 + rnd.IntN(5) {
			parts = append(parts, []string{"a", "b", "c", "dd", "e.f"}[rnd.IntN(5)])
		}
		return head + strings.Join(parts, "/")
	}
	for i := range 1 + rnd.IntN(8) {
		e := ent{name: name(), data: fmt.Sprint(i), mtime: int64(1e8 + i)}
		switch rnd.IntN(6) {
		case 0, 1:
			e = ent{name: e.name + "/", typ: '5', mode: 0o700 + rnd.Int64N(0o100), mtime: e.mtime}
		case 2:
			e = ent{name: fmt.Sprintf("%s/l%d", e.name, i), typ: '2', link: name(), mtime: e.mtime}
		case 3:
			if i > 0 && ents[i-1].typ == 0 { // of a link to a symlink tar loses what replaces it
				e = ent{name: e.name, typ: '1', link: ents[i-1].name}
			}
		}
		ents = append(ents, e)
	}
	return ents
}

// compareStripped tells whether there was something to compare.
func compareStripped(t *testing.T, gnu string, b []byte, n int) bool {
	t.Helper()
	want := t.TempDir()
	check(t, os.Chmod(want, 0o755))
	file := filepath.Join(t.TempDir(), "archive")
	check(t, os.WriteFile(file, b, 0o644))
	theirs := exec.Command(gnu, "-x", "-f", file, "-C", want, fmt.Sprintf("--strip-components=%d", n)).Run()
	dir, _, ours := unpack(t, b, Options{Strip: n})
	switch {
	case errors.Is(ours, ErrUnsafe), theirs != nil, ours != nil && strings.Contains(ours.Error(), "leaves nothing"):
		return false
	case ours != nil:
		t.Errorf("GNU tar does not fail: %v", ours)
		return false
	}
	if a, o := timeless(snapshot(t, want)), timeless(snapshot(t, dir)); !maps.Equal(a, o) {
		t.Errorf("GNU tar %q\nours    %q", a, o)
	}
	return true
}

// timeless leaves out the times of directories: tar does not set that of one that
// it puts something into by another name.
func timeless(tree map[string]string) map[string]string {
	for path, s := range tree {
		if strings.HasPrefix(s, "d") {
			tree[path] = s[:strings.LastIndexByte(s, ' ')]
		}
	}
	return tree
}
