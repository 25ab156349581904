package publish

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stretcher/internal/archive"
	"stretcher/internal/archive/index"
)

// TestUnpackable: an archive that no host would unpack is not published.
func TestUnpackable(t *testing.T) {
	deep := filepath.Join(t.TempDir(), strings.Repeat("d/", 1500))
	if err := os.MkdirAll(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	low := tree(t, "one", "two")
	if err := os.Mkdir(filepath.Join(low, "dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(low, "dir", "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		dir, strip string
		ok         bool
	}{{deep[:len(deep)-3000], "", false}, {low, "", true}, {low, "1", true}, {low, "2", false}} {
		o := options(t, tc.dir, "file://"+t.TempDir())
		o.Draft = draft{"dest": "/srv/app", "strip_components": tc.strip}
		_, err := Publish(t.Context(), o)
		isJudged := errors.Is(err, archive.ErrMalformed) || errors.Is(err, archive.ErrLimit)
		if tc.ok && err != nil || !tc.ok && !isJudged {
			t.Errorf("%.30q, strip_components %q: %v", tc.dir, tc.strip, err)
		}
	}
}

// TestIndexBeside: an index that lies beside an archive comes with it if what it says
// of each member is so.
func TestIndexBeside(t *testing.T) {
	made := t.TempDir()
	o := options(t, tree(t, "one", strings.Repeat("two", 100_000)), "file://"+made)
	res, err := Publish(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	file := strings.TrimPrefix(res.Archive.URL, "file://")
	right := read(t, o.Store, res.Index.URL)
	for what, tc := range map[string]struct {
		change func(x *index.Index)
		taken  bool
	}{
		"the right one":           {func(*index.Index) {}, true},
		"of another archive":      {func(x *index.Index) { x.Archive[0]++ }, false},
		"with a wrong digest":     {func(x *index.Index) { x.Members[len(x.Members)-1].Sum[0]++ }, false},
		"with a member too short": {func(x *index.Index) { x.Members[0].Length--; x.Members[1].Length++ }, false},
	} {
		x, err := index.Decode(right)
		if err != nil || len(x.Members) < 2 {
			t.Fatalf("%d members, %v", len(x.Members), err)
		}
		tc.change(x)
		if err := os.WriteFile(file+".idx", x.Encode(), 0o600); err != nil {
			t.Fatal(err)
		}
		from := options(t, made, "file://"+t.TempDir())
		from.Source = Source{}
		if err := from.Source.OpenArchive(file); err != nil {
			t.Fatal(err)
		}
		res, err := Publish(t.Context(), from)
		from.Source.Close()
		if err != nil || (res.Index != nil) != tc.taken {
			t.Errorf("an index %s: %+v, %v", what, res, err)
		}
	}
}
