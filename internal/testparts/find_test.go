package testparts

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// program makes an executable file below dir, and its directories.
func program(t *testing.T, dir, name string, mode os.FileMode) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, mode); err != nil {
		t.Fatal(err)
	}
}

func TestFind(t *testing.T) {
	root, bin := t.TempDir(), t.TempDir()
	program(t, root, ".tools/versioned-v1.2.0/versioned", 0o755)
	program(t, root, ".tools/both-v1.0.0/both", 0o755)
	program(t, root, ".tools/plain", 0o644)
	if err := os.Symlink("both-v1.0.0/both", filepath.Join(root, ".tools/both")); err != nil {
		t.Fatal(err)
	}
	program(t, bin, "both", 0o755)
	program(t, bin, "plain", 0o755)
	t.Setenv("PATH", bin)
	tests := []struct{ name, want string }{
		{"versioned", root + "/.tools/versioned-v1.2.0/versioned"},
		{"both", root + "/.tools/both"},
		{"plain", bin + "/plain"}, // the one in .tools can't be executed
		{"no-such-program", ""},
	}
	for _, tt := range tests {
		if got := find(root, tt.name); got != tt.want {
			t.Errorf("find(%q) = %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestMissingPartFailsInCI(t *testing.T) {
	tests := []struct{ ci, want string }{
		{"true", "fatal: no-such-program is not installed"},
		{"", "skip: no-such-program is not installed"},
	}
	for _, tt := range tests {
		t.Setenv("CI", tt.ci)
		said := judge(t, func(tb testing.TB) { Need(tb, "no-such-program") })
		if !strings.HasPrefix(said, tt.want) {
			t.Errorf("CI=%q: verdict %q, want %q", tt.ci, said, tt.want)
		}
	}
}

func TestRepoRoot(t *testing.T) {
	if _, err := os.Stat(filepath.Join(repoRoot(), "internal/testparts/find.go")); err != nil {
		t.Error(err)
	}
}
