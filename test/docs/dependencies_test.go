package docs

import (
	"bytes"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// updates is what .github/dependabot.yml says, as far as it is checked here.
type updates struct {
	Version int
	Updates []struct {
		Ecosystem string `yaml:"package-ecosystem"`
		Directory string
		Schedule  struct{ Interval, Day string }
		Cooldown  struct {
			Days  int `yaml:"default-days"`
			Major int `yaml:"semver-major-days"`
		}
		Groups map[string]struct {
			Types []string `yaml:"update-types"`
		}
		Message struct{ Prefix string } `yaml:"commit-message"`
		Limit   *int                    `yaml:"open-pull-requests-limit"`
	}
}

// TestEveryModuleIsUpdated: the update service looks after each module of the
// repository, and after none that is not there.
func TestEveryModuleIsUpdated(t *testing.T) {
	var file updates
	d := yaml.NewDecoder(bytes.NewReader([]byte(readDoc(t, ".github/dependabot.yml"))))
	d.KnownFields(true)
	if err := d.Decode(&file); err != nil || file.Version != 2 {
		t.Fatalf("version %d: %v", file.Version, err)
	}
	var got []string
	for _, u := range file.Updates {
		got = append(got, u.Directory)
		if u.Ecosystem != "gomod" || u.Schedule.Interval == "" || u.Message.Prefix == "" {
			t.Errorf("%s: %+v", u.Directory, u)
		}
		if (u.Limit == nil || *u.Limit > 0) && u.Cooldown.Days < 7 {
			t.Errorf("%s: a release is taken %d days after it came out", u.Directory, u.Cooldown.Days)
		}
	}
	if want := modules(t); !slices.Equal(got, want) {
		t.Errorf("updates for %q, modules are in %q", got, want)
	}
}

// modules are the directories with a go.mod, as the update service names them.
func modules(t *testing.T) (all []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && path != root && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		if err != nil || d.Name() != "go.mod" {
			return err
		}
		below, err := filepath.Rel(root, filepath.Dir(path))
		all = append(all, "/"+strings.TrimPrefix(below, "."))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return all
}
