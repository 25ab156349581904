package testparts

import (
	"os"
	"strings"
	"testing"
)

// TestMountFailsInCI: what root can't mount fails a test as a program does that
// is missing.
func TestMountFailsInCI(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root mounts")
	}
	for ci, want := range map[string]string{"true": "fatal: nothing can be", "": "skip: nothing can be"} {
		t.Setenv("CI", ci)
		said := judge(t, func(tb testing.TB) { Mount(tb, "none", t.TempDir(), "no-such-kind", 0, "") })
		if !strings.HasPrefix(said, want) {
			t.Errorf("CI=%q: verdict %q, want %q", ci, said, want)
		}
	}
}
