package publish

import (
	"errors"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stretcher/internal/text/failure"
)

func TestParsePlace(t *testing.T) {
	for _, tc := range []struct{ to, base, wantTo, wantBase, manifest string }{
		{to: "s3://b", wantTo: "s3://b/"},
		{to: "s3://b/p/", wantTo: "s3://b/p/"},
		{to: "s3://b/p//", wantTo: "s3://b/p/"},
		{to: "s3://b/p/app.yml", wantTo: "s3://b/p/", manifest: "app.yml"},
		{to: "s3://b/app.yaml", wantTo: "s3://b/", manifest: "app.yaml"},
		{to: "s3://app.yml", wantTo: "s3://app.yml/"},
		{to: "s3://b/.yml", wantTo: "s3://b/.yml/"},
		{to: "s3://b/a%20b.yml", wantTo: "s3://b/a%20b.yml/"},
		{to: "https://u:p@h/x", wantTo: "https://u:p@h/x/", wantBase: "https://h/x/"},
		{to: "s3://b/p/app.yml", base: "https://cdn/x", wantTo: "s3://b/p/", wantBase: "https://cdn/x/", manifest: "app.yml"},
	} {
		got, err := parsePlace(tc.to, tc.base)
		if tc.wantBase == "" {
			tc.wantBase = tc.wantTo
		}
		if want := (place{tc.wantTo, tc.wantBase, tc.manifest}); err != nil || got != want {
			t.Errorf("%q, %q: %+v, %v", tc.to, tc.base, got, err)
		}
	}
	for _, to := range []string{"", "b/p", "s3:b", "s3://b/?a=b", "s3://b/#x", "s3://b/?", "http://h:x/", "file:x"} {
		if got, err := parsePlace(to, ""); !errors.Is(err, failure.ErrUsage) {
			t.Errorf("%q: %+v, %v", to, got, err)
		}
	}
	for _, to := range []string{"s3://", "gs:///", "https://"} {
		if _, err := parsePlace(to, ""); !errors.Is(err, failure.ErrUsage) || !strings.Contains(err.Error(), `"`+to) {
			t.Errorf("%q: %v", to, err)
		}
	}
}

// TestFileName: a name is one part of a path, and means itself in a URL, whatever
// it is made of.
func TestFileName(t *testing.T) {
	texts := []string{"app", "a/b c", "..", ".hidden", "日本", "a\nb", "-x-", "%2e%2e", strings.Repeat("a", 300), "\xff", ""}
	random := rand.New(rand.NewPCG(1, 2))
	const letters = "ab.-_/%日\n\xff ~:@"
	for range 2_000 {
		text := make([]byte, random.IntN(100))
		for i := range text {
			text[i] = letters[random.IntN(len(letters))]
		}
		texts = append(texts, string(text))
	}
	for _, text := range texts {
		name := fileName(text)
		if name == "" {
			continue
		}
		u, err := url.Parse("s3://b/" + name)
		if err != nil || u.Path != "/"+name || filepath.Base(name) != name || len(name) > maxTitle ||
			name[0] == '.' || name[0] == '-' || fileName(name) != name {
			t.Errorf("%q became %q", text, name)
		}
	}
}

// TestFileWord: two texts are two parts of a path, and one that can be a part of one
// as it is stays so.
func TestFileWord(t *testing.T) {
	long := strings.Repeat("a", maxTitle)
	texts := []string{
		"é", "ö", "日本", "../..", "x", "../../x", "1.-", "1.", "1", ".1", "a-b-", "a-b", "a--b", "-a b-", "A-b", long,
		long + "1", long + "2", long[1:], "\xff", "\xfe", " ", "",
	}
	seen := map[string]string{}
	for _, text := range texts {
		word := fileWord(text)
		if of, ok := seen[word]; ok {
			t.Errorf("%q and %q are both %q", of, text, word)
		}
		seen[word] = text
		if text != "" && (fileName(word) != word || word == "" || len(word) > maxTitle) {
			t.Errorf("%q became %q", text, word)
		}
	}
	for _, plain := range []string{"x", "1", "a-b", "1.2.3", "v1_2", "A-b", long} {
		if word := fileWord(plain); word != plain {
			t.Errorf("%q became %q", plain, word)
		}
	}
}

// TestBelow: where a target lies, through symlinks and before it is there.
func TestBelow(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"tree/in", "other"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"link": "tree", "other/into": "../tree/in", "tree/out": "../other"} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	var s Source
	if err := s.OpenDir(filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for path, want := range map[string]string{
		"tree": ".", "link": ".", "tree/new/deep": "new/deep", "other/into/x": "in/x", "link/in": "in",
		"other": "", "treefoil": "", "tree/out/x": "", "new": "",
	} {
		rel, in := s.below(filepath.Join(dir, path))
		if in != (want != "") || in && rel != want {
			t.Errorf("%q: %q, %v", path, rel, in)
		}
	}
}
