package all

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"stretcher/internal/disk"
	"stretcher/internal/strategy"
)

// beside is a strategy whose deployments stand beside one another.
func beside(name string, found strategy.Deployments, err error) strategy.Definition {
	return strategy.Definition{
		Name:        name,
		New:         func(t strategy.Target) (strategy.Strategy, error) { return &swap{t: t}, nil },
		Deployments: func(*disk.Dest) (strategy.Deployments, error) { return found, err },
	}
}

func openDest(t *testing.T, path string) *disk.Dest {
	t.Helper()
	d, err := disk.OpenDest(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func TestList(t *testing.T) {
	var names []string
	for _, d := range List() {
		names = append(names, d.Name)
		s, err := List().New(d.Name, strategy.Target{Dest: openDest(t, filepath.Join(t.TempDir(), "dest"))})
		if err != nil || s == nil {
			t.Errorf("%s: %v", d.Name, err)
		}
	}
	if !slices.Equal(slices.Compact(slices.Sorted(slices.Values(names))), slices.Sorted(slices.Values(names))) {
		t.Errorf("names come twice: %q", names)
	}
	if s, err := List().New("none", strategy.Target{}); err == nil || s != nil {
		t.Errorf("%v, %v", s, err)
	}
}

func TestOthers(t *testing.T) {
	one := strategy.Deployments{All: []strategy.Deployment{{Run: "1"}}, Sure: true, Names: []string{"releases/"}}
	unsure := one
	unsure.Sure = false
	set := Set{swapDefinition(), beside("sure", one, nil), beside("unsure", unsure, nil),
		beside("broken", one, errors.New("broken"))}
	dir := t.TempDir()
	for _, tc := range []struct {
		name, dest string
		want       []string
	}{
		{"swap", dir, []string{"sure"}},
		{"sure", dir, nil},
		{"unsure", dir, []string{"sure"}},
		{"swap", filepath.Join(dir, "missing"), nil},
	} {
		s, err := set.New(tc.name, strategy.Target{Dest: openDest(t, tc.dest)})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		target := s.(*swap).t
		for _, d := range target.Others() {
			got = append(got, d.Strategy)
		}
		if !slices.Equal(got, tc.want) || target.Strategy != tc.name {
			t.Errorf("%s at %q: others %q, strategy %q", tc.name, tc.dest, got, target.Strategy)
		}
	}
}

func TestDeployments(t *testing.T) {
	one := strategy.Deployments{All: []strategy.Deployment{{Run: "1"}}, Live: "1"}
	dest := openDest(t, t.TempDir())
	broken := errors.New("broken")
	for _, tc := range []struct {
		name string
		set  Set
		want string
		err  error
	}{
		{"none", Set{swapDefinition()}, "", nil},
		{"empty", Set{beside("a", strategy.Deployments{}, nil)}, "", nil},
		{"first", Set{swapDefinition(), beside("a", strategy.Deployments{}, nil), beside("b", one, nil)}, "b", nil},
		{"error", Set{beside("a", strategy.Deployments{}, broken), beside("b", one, nil)}, "", broken},
	} {
		got, err := tc.set.Deployments(dest)
		if !errors.Is(err, tc.err) || tc.want != "" && got.Strategy != tc.want || (tc.want == "") != (len(got.All) == 0) {
			t.Errorf("%s: %+v, %v", tc.name, got, err)
		}
	}
}

func TestAlike(t *testing.T) {
	set := Set{swapDefinition(), beside("a", strategy.Deployments{}, nil), beside("b", strategy.Deployments{}, nil)}
	for _, tc := range []struct {
		one, other string
		want       bool
	}{
		{"swap", "swap", true}, {"swap", "rsync of old", true}, {"a", "a", true}, {"a", "b", false}, {"a", "swap",
			false}, {"swap", "b", false},
	} {
		if got := set.Alike(tc.one, tc.other); got != tc.want {
			t.Errorf("%s and %s are alike: %v", tc.one, tc.other, got)
		}
	}
}

// TestSettle: without rsync, another strategy does what it does.
func TestSettle(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	if name, why := List().Settle(); name != "native" || why != "rsync is not installed: sync_strategy is native" {
		t.Errorf("%q, %q", name, why)
	}
	if err := os.WriteFile(filepath.Join(dir, "rsync"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if name, why := List().Settle(); name != "rsync" || why != "" {
		t.Errorf("%q, %q", name, why)
	}
}
