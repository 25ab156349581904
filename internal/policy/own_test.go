package policy

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

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
		var refused error
		for _, own := range p.Own() {
			if err := own.Apart(dest); err != nil {
				refused = err
			}
		}
		if (refused == nil) != apart || refused != nil && !errors.Is(refused, failure.ErrRefused) {
			t.Errorf("%s: %v", name, refused)
		}
	}
}
