package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"stretcher/internal/testparts"
)

// TestManPages: each command has a page, with its flags, in which troff finds
// nothing to complain of.
func TestManPages(t *testing.T) {
	groff := testparts.Need(t, "groff")
	dir := filepath.Join(t.TempDir(), "man")
	if c := callWith(t, nil, "man", dir); c.status != ExitGood || c.stdout+c.stderr != "" {
		t.Fatalf("status %d, said %q", c.status, c.stderr)
	}
	for _, name := range append(Commands(), "") {
		page := filepath.Join(dir, strings.TrimSuffix("stretcher-"+strings.ReplaceAll(name, " ", "-"), "-")+".1")
		cmd := exec.Command(groff, "-man", "-ww", "-Tascii", "-P-cbou", page)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		text, err := cmd.Output()
		if err != nil || stderr.String() != "" {
			t.Errorf("%q: %v: %s", name, err, &stderr)
		}
		if name == "hooks" || name == "fleet" {
			text = append(text, "[flags]"...) // it has those of all alone
		}
		for _, want := range []string{"NAME\n", "SYNOPSIS\n", "stretcher " + name, "[flags]", "--state-dir DIR",
			"STRETCHER_STATE_DIR", "SEE ALSO\n"} {
			if !strings.Contains(string(text), want) {
				t.Errorf("%q: %q is missing in\n%s", name, want, text)
			}
		}
	}
	if c := callWith(t, nil, "man"); c.status != ExitUsage {
		t.Errorf("status %d", c.status)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if c := callWith(t, nil, "man", file); c.status != ExitFailed || !strings.Contains(c.stderr, "not a directory") {
		t.Errorf("status %d, said %q", c.status, c.stderr)
	}
}

// TestEscaped: no text is taken for a request of troff's.
func TestEscaped(t *testing.T) {
	var r roff
	r.text(".so /etc/passwd\n'x\n\\*[a] --a `b` 'c'")
	want := "\\&.so /etc/passwd\n\\&\\(aqx\n\\e*[a] \\-\\-a \\(gab\\(ga \\(aqc\\(aq\n"
	if r.String() != want {
		t.Errorf("got  %q\nwant %q", r.String(), want)
	}
}
