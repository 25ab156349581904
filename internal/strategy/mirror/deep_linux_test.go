package mirror

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"stretcher/internal/strategy/filter"
	"stretcher/internal/testparts"
)

// TestDeepDest: what is deeper in dest than an archive can be goes whole,
// without a look at it; a directory that is no deeper is looked through for
// what is excluded.
func TestDeepDest(t *testing.T) {
	for _, test := range []struct {
		levels int
		stays  bool
	}{{50, true}, {maxLevels + 2000, false}} {
		top := tempDir(t)
		dest := filepath.Join(top, "dest")
		check(t, os.MkdirAll(dest, 0o755))
		testparts.Nest(t, dest, "d", test.levels)
		rule, _, err := filter.Parse("file")
		check(t, err)
		plan := prepare(t, top, parse(t, "a=x"), Options{Excludes: filter.New(rule)}, true)
		if n := len(plan.Changes()); !test.stays && n != maxLevels+2 {
			t.Errorf("%d levels: %d changes", test.levels, n)
		}
		stopped, stop := context.WithCancel(context.Background())
		stop()
		if err := plan.Apply(stopped, place(t, filepath.Join(top, "staging"))); !errors.Is(err, context.Canceled) {
			t.Errorf("%d levels, told to stop: %v", test.levels, err)
		}
		check(t, plan.Apply(context.Background(), place(t, filepath.Join(top, "staging"))))
		if _, err := os.Lstat(dest + "/d"); (err == nil) != test.stays {
			t.Errorf("%d levels: %v", test.levels, err)
		}
	}
}
