package dist

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// workflow is what .github/workflows/release.yml says, as far as it is checked.
type workflow struct {
	On          map[string]any
	Permissions map[string]string
	Jobs        map[string]struct {
		Needs       string
		Permissions map[string]string
		Steps       []struct {
			Uses, Run string
			Env       map[string]string
		}
	}
}

// TestWorkflowRunsTheMakefile: the hosted CI runs what people run at home, takes
// the actions of others by commit, and only the job that releases may write.
func TestWorkflowRunsTheMakefile(t *testing.T) {
	var w workflow
	if err := yaml.Unmarshal(read(t, filepath.Join(root, ".github/workflows/release.yml")), &w); err != nil {
		t.Fatal(err)
	}
	makefile := string(read(t, filepath.Join(root, "Makefile")))
	var runs []string
	for name, job := range w.Jobs {
		if (job.Permissions["contents"] == "write") != (name == "release") {
			t.Errorf("job %s may %q", name, job.Permissions)
		}
		for _, step := range job.Steps {
			if step.Uses != "" && !regexp.MustCompile(`^actions/[a-z-]+@[0-9a-f]{40}$`).MatchString(step.Uses) {
				t.Errorf("%s is not by commit", step.Uses)
			}
			if step.Run == "" {
				continue
			}
			runs = append(runs, step.Run)
			target, made := strings.CutPrefix(step.Run, "make ")
			if made && !regexp.MustCompile(`(?m)^`+regexp.QuoteMeta(target)+`:.* ## `).MatchString(makefile) {
				t.Errorf("%q is no target of the Makefile", step.Run)
			} else if !made && step.Run != ".ci/run" {
				t.Errorf("%q is not what is run at home", step.Run)
			}
		}
	}
	slices.Sort(runs)
	if want := []string{".ci/run", "make dist", "make release"}; !slices.Equal(runs, want) {
		t.Errorf("it runs %q, want %q", runs, want)
	}
	if w.Jobs["release"].Needs != "test" || len(w.Permissions) != 0 {
		t.Errorf("released without tests, or by all rights: %+v", w)
	}
}

// TestReleaseUploadsAll: make release hands all files of dist/ to gh.
func TestReleaseUploadsAll(t *testing.T) {
	dir := t.TempDir()
	if err := copyFile(filepath.Join(root, "Makefile"), filepath.Join(dir, "Makefile")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"SHA256SUMS", "SHA256SUMS.minisig", "a.deb", "image/index.json"} {
		write(t, filepath.Join(dir, "dist", name), "x\n")
	}
	write(t, filepath.Join(dir, "bin/gh"), "#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
	if err := os.Chmod(filepath.Join(dir, "bin/gh"), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("make", "-s", "release", "VERSION="+version)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+dir+"/bin:"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "release\ncreate\n"+version+"\n--verify-tag\n") ||
		!strings.HasSuffix(string(out), "\ndist/SHA256SUMS\ndist/SHA256SUMS.minisig\ndist/a.deb\n") {
		t.Errorf("%v\n%s", err, out)
	}
}
