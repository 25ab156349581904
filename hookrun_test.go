package main

import (
	"testing"

	"stretcher/internal/policy"
)

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
