package lock

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRealPath(t *testing.T) {
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	at := func(rel string) string { return filepath.Join(root, rel) }
	err = errors.Join(os.MkdirAll(at("data/app"), 0o755), os.Symlink("data", at("srv")),
		os.Symlink(at("data/app"), at("current")), os.Symlink("nowhere", at("dangling")))
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct{ path, real, name string }{
		{"data/app", "data/app", "data/app"},
		{"data/./x/../app/", "data/app", "data/app"},
		{"srv/app", "data/app", "data/app"},
		{"current", "data/app", "current"},
		{"current/sub", "data/app/sub", "data/app/sub"},
		{"srv/new/deeper", "data/new/deeper", "data/new/deeper"},
		{"dangling", "dangling", "dangling"},
		{"absent", "absent", "absent"},
	}
	for _, c := range cases {
		real, err := realPath(root + "/" + c.path)
		if err != nil || real != at(c.real) {
			t.Errorf("realPath(%q) = %q, %v; want %q", c.path, real, err, at(c.real))
		}
		name, err := realName(root + "/" + c.path)
		if err != nil || name != at(c.name) {
			t.Errorf("realName(%q) = %q, %v; want %q", c.path, name, err, at(c.name))
		}
	}
}

func TestFileName(t *testing.T) {
	seen := map[string]string{}
	for _, real := range []string{
		"/", "/a", "/b/a", "/b/ä b\n", "/b/..x", "/srv/app", "/srv/APP", "/" + strings.Repeat("é", 300),
	} {
		name := fileName(real)
		if filepath.Base(name) != name || len(name) > 100 || strings.ContainsAny(name, " \n/\x00") {
			t.Errorf("fileName(%q) = %q: not a plain file name", real, name)
		}
		if other, ok := seen[name]; ok {
			t.Errorf("%q and %q share %q", real, other, name)
		}
		seen[name] = real
	}
	if name := fileName("/srv/app"); !strings.HasPrefix(name, "app-") || !strings.HasSuffix(name, ".lock") {
		t.Errorf("fileName(/srv/app) = %q", name)
	}
}
