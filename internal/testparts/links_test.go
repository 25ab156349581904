package testparts

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestDeadLinks: each kind of link is followed, and one that leads nowhere is told of.
func TestDeadLinks(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a.md": "# A title, with `code`\n[good](sub/b.md#second), [site](https://example.com/none), [mail](mailto:a@b)\n" +
			"[here](#a-title-with-code) [`code`](sub/b.md) `[text](none-1)`\n[dir](sub)\n" +
			"```sh\n# no heading\necho '[x](none-2)'\n```\n" +
			"[gone](gone-1.md) [`gone`](gone-2.md) ![picture](gone-3.png)\n<img alt=\"x\" src=\"gone-4.png\">\n" +
			"<source srcset='gone-5.png'>\n[named]: gone-6.md\n[up](../gone-7)\n[slash](/etc/gone-8)\n" +
			"[heading](sub/b.md#gone-9) [code](#no-heading)\n",
		"sub/b.md": "## Second\n[back](../a.md)\n",
		"c.txt":    "[gone](gone)\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := Pages(t, dir); !slices.Equal(got, []string{"a.md", "sub/b.md"}) {
		t.Errorf("pages: %q", got)
	}
	if got := DeadLinks(t, dir, "sub/b.md"); len(got) != 0 {
		t.Errorf("of the good page: %q", got)
	}
	got := DeadLinks(t, dir, "a.md")
	for _, want := range []string{"gone-1.md", "gone-2.md", "gone-3.png", "gone-4.png", "gone-5.png", "gone-6.md",
		"gone-7", "gone-8", "gone-9", "#no-heading"} {
		if n := strings.Count(strings.Join(got, "\n")+"\n", want); n == 0 {
			t.Errorf("%s is not told of: %q", want, got)
		}
	}
	if len(got) != 10 {
		t.Errorf("%d: %q", len(got), got)
	}
}
