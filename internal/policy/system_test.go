package policy

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stretcher/internal/disk"
	"stretcher/internal/text/failure"
)

// allowing is a policy with a list of dests, "" for none.
func allowing(dests string) []byte {
	if dests == "" {
		return []byte("{}")
	}
	return fmt.Appendf(nil, "allow: {dests: %s}", dests)
}

// TestSystem: directories of the system are no dest, under none of their names;
// what lies below them is.
func TestSystem(t *testing.T) {
	home, link := t.TempDir(), filepath.Join(t.TempDir(), "link")
	t.Setenv("HOME", home)
	if err := os.Symlink("/usr/bin", link); err != nil {
		t.Fatal(err)
	}
	ask := func(dests, dest string) error {
		p, err := Parse("policy.yml", allowing(dests))
		if err != nil {
			t.Fatal(err)
		}
		return p.System(dest, disk.WayTo(dest))
	}
	for dest, free := range map[string]bool{
		"/": false, "/etc": false, "/etc/": false, "/etc/.": false, "//usr": false, "/usr/../etc": false,
		"/bin": false, "/sbin": false,
		"/lib": false, "/lib64": false, "/boot": false, "/dev": false, "/proc": false, "/sys": false, "/run": false,
		"/var": false, "/var/lib": false, "/var/run": false, "/home": false, "/root": false, "/opt": false, "/srv": false,
		"/tmp": false, "/mnt": false, "/media": false, "/usr/local": false, "/usr/bin": false, "/usr/lib": false,
		"/usr/local/bin": false, "/proc/self/root/etc": false, "/usr/share/..": false, home: false, link: false,
		"/etc/app": true, "/opt/app": true, "/srv/www": true, "/var/www": true, "/var/lib/app": true,
		"/usr/local/app": true,
		"/etcetera":      true, home + "/app": true, filepath.Dir(link): true,
		link + "/app": true,
	} {
		if dest == "/proc/self/root/etc" && !disk.WayTo("/etc").Is(dest) {
			continue // no procfs
		}
		exact := dest != link && !strings.HasPrefix(dest, "/proc/")
		for dests, freed := range map[string]bool{"": false, "[/]": dest == "/", "[/nowhere, " + dest + "]": exact} {
			err := ask(dests, dest)
			told := errors.Is(err, failure.ErrRefused) && failure.Hint(err) != ""
			if (err == nil) != (free || freed) || err != nil && !told {
				t.Errorf("dest %s, dests %s: %v", dest, dests, err)
			}
		}
	}
}

// TestEachLayerMustNameTheSystem: a drop-in names no directory of the system that
// the file before it has not named.
func TestEachLayerMustNameTheSystem(t *testing.T) {
	for _, test := range []struct {
		first, second string
		free          bool
	}{
		{"[/srv]", "[/srv]", true}, {"[/srv/]", "", true}, {"", "[/srv]", true},
		{"[/]", "[/srv]", false}, {"[/srv]", "[/]", false}, {"[]", "[/srv]", false},
	} {
		p := &Policy{}
		for i, dests := range []string{test.first, test.second} {
			if err := p.add(fmt.Sprint(i), allowing(dests)); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.System("/srv", disk.WayTo("/srv")); (err == nil) != test.free {
			t.Errorf("%s, %s: %v", test.first, test.second, err)
		}
	}
}
