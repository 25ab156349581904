package publish

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stretcher/internal/archive"
)

// TestUnpackable: an archive that no host would unpack is not published.
func TestUnpackable(t *testing.T) {
	deep := filepath.Join(t.TempDir(), strings.Repeat("d/", 1500))
	if err := os.MkdirAll(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	low := tree(t, "one", "two")
	if err := os.Mkdir(filepath.Join(low, "dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(low, "dir", "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		dir, strip string
		ok         bool
	}{{deep[:len(deep)-3000], "", false}, {low, "", true}, {low, "1", true}, {low, "2", false}} {
		o := options(t, tc.dir, "file://"+t.TempDir())
		o.Draft = draft{"dest": "/srv/app", "strip_components": tc.strip}
		_, err := Publish(t.Context(), o)
		isJudged := errors.Is(err, archive.ErrMalformed) || errors.Is(err, archive.ErrLimit)
		if tc.ok && err != nil || !tc.ok && !isJudged {
			t.Errorf("%.30q, strip_components %q: %v", tc.dir, tc.strip, err)
		}
	}
}
