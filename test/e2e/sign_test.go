package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"stretcher/internal/testparts"
)

// TestPassword: a secret key that is encrypted as strongly as keygen does it is
// one that Debian's minisign signs by, and what it has signed is verified.
func TestPassword(t *testing.T) {
	program, minisign := testparts.Shipped(t), testparts.Need(t, "minisign")
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "keys"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"word": "correct horse\n", "app.yml": "dest: /srv/app\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{
		{program, "keygen", "--password-file", "word", "keys/a"},
		{minisign, "-S", "-s", "keys/a.key", "-m", "app.yml"},
		{program, "verify", "--keys", "keys", "app.yml"},
	} {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir, cmd.Stdin = dir, strings.NewReader("correct horse\n")
		cmd.Env = append(os.Environ(), "STRETCHER_STATE_DIR="+filepath.Join(dir, "state"))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%q: %v\n%s", args, err, out)
		}
	}
}
