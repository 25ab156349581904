package policy

import (
	"cmp"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"stretcher/internal/disk"
	"stretcher/internal/text/failure"
)

// TestOwn: nothing of the host's own is deployed over, beside it all may be.
func TestOwn(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink(filepath.Join(dir, "keys"), filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	p, err := Parse(at("policy.yml"), []byte("trust: {keys: "+at("keys")+"}\nhooks: {dirs: ["+at("root/exec")+", "+
		at("hooks.d")+"], oci_dirs: ["+at("oci.d")+"]}"))
	if err != nil {
		t.Fatal(err)
	}
	for name, apart := range map[string]bool{
		".": false, "/": false, "policy.yml": false, "policy.d": false, "policy.d/x": false,
		"keys": false, "keys/x": false, "link": false, "link/x": false, "hooks.d": false, "hooks.d/x": false,
		"oci.d": false, "root": false, "root/exec/init": false, "root/pods/init/x": false,
		"app": true, "key": true, "keys2": true, "root/other": true, "hooks.d.old": true,
	} {
		dest := at(name)
		if name == "/" {
			dest = name
		}
		refused := apartFrom(p, dest)
		if (refused == nil) != apart || refused != nil && !errors.Is(refused, failure.ErrRefused) {
			t.Errorf("%s: %v", name, refused)
		}
	}
}

// apartFrom asks about a dest, on a host that has no hooks of its own.
func apartFrom(p *Policy, dest string) (refused error) {
	var mounts disk.Mounts
	for _, own := range p.Reserved(true) {
		refused = cmp.Or(refused, own.Apart(dest, disk.WayTo(dest), &mounts))
	}
	return refused
}

// TestOwnByLinks: a directory that a name of the host's leads through is none to
// deploy to either: its symlinks would be gone, and others could be there.
func TestOwnByLinks(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"box/in", "host/hooks.d/before_install", "host/keys", "tools/sub", "pub", "way", "app"} {
		if err := os.MkdirAll(at(name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{
		"box/hooks.d":                      "../host/hooks.d",
		"box/in/keys":                      at("way/keys"),
		"way/keys":                         "../host/keys",
		"host/hooks.d/x":                   at("tools/sub/x"),
		"host/hooks.d/before_install/tool": at("tools/tool"),
		"host/keys/a.pub":                  at("pub/a.pub"),
	} {
		if err := os.Symlink(target, at(link)); err != nil {
			t.Fatal(err)
		}
	}
	p, err := Parse(at("conf/policy.yml"),
		[]byte("trust: {keys: "+at("box/in/keys")+"}\nhooks: {dirs: ["+at("box/hooks.d")+"]}"))
	if err != nil {
		t.Fatal(err)
	}
	for name, apart := range map[string]bool{
		"box": false, "box/in": false, "way": false, "host": false, "host/hooks.d": false, "tools": false,
		"tools/sub": false, "pub": false, "conf": false, "conf/policy.d": false, "host/keys/x": false,
		"app": true, "box/app": true, "way/app": true, "tools/app": true, "host/app": true,
	} {
		if err := apartFrom(p, at(name)); (err == nil) != apart {
			t.Errorf("%s: %v", name, err)
		}
	}
	signed, err := Parse(at("conf/policy.yml"), []byte("trust: {keys: "+at("box/in/keys")+"}"))
	if err != nil {
		t.Fatal(err)
	}
	var reserved []string
	for _, own := range signed.Reserved(false, at("hooks")) {
		reserved = append(reserved, own.Path)
	}
	want := []string{at("conf/policy.yml"), at("conf/policy.d"), Default, "/etc/stretcher/config.d", at("box/in/keys")}
	if !slices.Equal(reserved, want) {
		t.Errorf("reserved where manifests are signed: %q, want %q", reserved, want)
	}
	if list := (&Policy{}).Reserved(false, at("hooks")); list != nil {
		t.Errorf("reserved where nothing is bound: %v", list)
	}
}

// TestOwnNotThereYet: what is read as soon as it is there is reserved before.
func TestOwnNotThereYet(t *testing.T) {
	dir := t.TempDir()
	hooks := filepath.Join(dir, "p2hooks.d")
	var mounts disk.Mounts
	for dest, apart := range map[string]bool{
		hooks: false, filepath.Join(hooks, "x"): false, filepath.Join(hooks, "exec/init"): false, dir: false,
		filepath.Join(dir, "p2hooks"): true,
	} {
		var refused error
		for _, own := range (&Policy{}).Reserved(true, hooks) {
			refused = cmp.Or(refused, own.Apart(dest, disk.WayTo(dest), &mounts))
		}
		if (refused == nil) != apart {
			t.Errorf("%s: %v", dest, refused)
		}
	}
}
