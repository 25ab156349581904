package p2

import (
	"testing"
)

func TestRoot(t *testing.T) {
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
		if got, err := Root(tc.flag, tc.dirs); err != nil || got != tc.want {
			t.Errorf("%q, %q: root = %q, %v, want %q", tc.flag, tc.dirs, got, err, tc.want)
		}
	}
}
