package policy

import (
	"os"
	"path/filepath"
	"testing"
)

// TestForeignPrefixes: where somebody else's symlink leads is no place that a
// list allows, be it the prefix, on the way to it, or moved there.
func TestForeignPrefixes(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: another user's symlinks")
	}
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"app", "victim/cron.d", "mine", "shared"} {
		if err := os.MkdirAll(at(name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, link := range []string{"link", "app/releases", "app/own", "shared/moved", "mine/link"} {
		if err := os.Symlink(at("victim"), at(link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"link", "app", "app/releases"} {
		if err := os.Lchown(at(name), 12345, 12345); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(at("shared"), os.ModeSticky|0o777); err != nil {
		t.Fatal(err)
	}
	for prefix, allowed := range map[string]bool{
		"link": false, "link/cron.d": false, "app/releases": false, "app/own": false, "shared/moved": false,
		"mine/link": true, "mine/link/cron.d": true, "victim": true,
	} {
		dests, err := Parse("policy.yml", []byte("allow: {dests: ["+at(prefix)+"]}"))
		if err != nil {
			t.Fatal(err)
		}
		files, err := Parse("policy.yml", []byte("allow: {sources: [\"file://"+at(prefix)+"\"], manifests: [\"file://"+
			at(prefix)+"\"]}"))
		if err != nil {
			t.Fatal(err)
		}
		there := at("victim/cron.d")
		for what, err := range map[string]error{
			"dest": dests.Dest(there), "source": files.Source("file://" + there), "manifest": files.Manifest("file://" + there),
		} {
			if (err == nil) != allowed {
				t.Errorf("%s below %s: %v", what, prefix, err)
			}
		}
		if err := files.Source("file://" + at(prefix) + "/x"); err != nil {
			t.Errorf("%s: the name itself: %v", prefix, err)
		}
	}
}
