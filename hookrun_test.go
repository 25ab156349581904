package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"stretcher/internal/hooks/porter"
	"stretcher/internal/policy"
)

// TestHookDirs: p2's own directory is read where it exists, after those of
// the policy and not twice.
func TestHookDirs(t *testing.T) {
	own := filepath.Join(t.TempDir(), "p2hooks.d")
	host := policy.Hooks{Dirs: []string{"/etc/stretcher/hooks.d"}}
	if got := hookDirs(host, own); !slices.Equal(got, host.Dirs) {
		t.Errorf("without it: %q", got)
	}
	if err := os.Mkdir(own, 0o755); err != nil {
		t.Fatal(err)
	}
	exec := filepath.Join(own, "exec")
	if got, want := hookDirs(host, own), []string{"/etc/stretcher/hooks.d", own, exec}; !slices.Equal(got, want) {
		t.Errorf("dirs = %q, want %q", got, want)
	}
	host.Dirs = []string{exec, own}
	if got := hookDirs(host, own); !slices.Equal(got, host.Dirs) {
		t.Errorf("listed already: %q", got)
	}
}

func TestHooksRoot(t *testing.T) {
	for _, tc := range []struct {
		flag string
		dirs []string
		want string
	}{
		{"/r", []string{"/a/exec"}, "/r"},
		{"", []string{"/a/exec/", "/b"}, "/a"},
		{"", []string{"/a/hooks.d"}, "/usr/local/p2hooks.d"},
		{"", nil, "/usr/local/p2hooks.d"},
	} {
		r := &run{policy: &policy.Policy{Hooks: policy.Hooks{Dirs: tc.dirs}}}
		if got, err := r.hooksRoot(tc.flag); err != nil || got != tc.want {
			t.Errorf("%q, %q: root = %q, %v, want %q", tc.flag, tc.dirs, got, err, tc.want)
		}
	}
}

func TestHookNames(t *testing.T) {
	lists := porter.Lists{"zebra": nil, "post_prune": nil, "ec2_bootstrap": nil, "apple": nil, "pre_pack": nil, "post_pack": nil}
	want := []string{"pre_pack", "post_pack", "post_prune", "ec2_bootstrap", "apple", "zebra"}
	if got := hookNames(lists); !slices.Equal(got, want) {
		t.Errorf("names = %q, want %q", got, want)
	}
}

func TestSplit(t *testing.T) {
	a, b := errors.New("a"), errors.New("b")
	if got := split(errors.Join(a, nil, b)); !slices.Equal(got, []error{a, b}) {
		t.Errorf("joined: %v", got)
	}
	if got := split(a); !slices.Equal(got, []error{a}) {
		t.Errorf("single: %v", got)
	}
}
