package testparts

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sort"
	"testing"
)

// Need gives the path of an installed program: first of those that
// tools/setup.sh built, then of those in PATH, then in /usr/sbin, which is
// missing from the PATH of users who aren't root. When there is none, it skips
// the test, or fails it when the environment has CI=true.
func Need(t testing.TB, name string) string {
	t.Helper()
	path := find(repoRoot(), name)
	if path == "" {
		Missing(t, "%s is not installed; run `make test-tools`", name)
	}
	return path
}

// find looks for a program below root/.tools and in the system; "" when absent.
func find(root, name string) string {
	built, _ := filepath.Glob(filepath.Join(root, ".tools", name+"-v*", name))
	sort.Sort(sort.Reverse(sort.StringSlice(built)))
	// .tools/NAME is a link to the version that tools/go.mod asks for.
	for _, p := range append([]string{filepath.Join(root, ".tools", name)}, built...) {
		if executable(p) {
			return p
		}
	}
	if p, err := exec.LookPath(name); err == nil {
		return p
	}
	if p := filepath.Join("/usr/sbin", name); executable(p) {
		return p
	}
	return ""
}

// Missing skips the test, or fails it where everything must be there.
func Missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

func executable(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0
}

// repoRoot is the directory of the module, whatever its name, found upwards from this
// file, or from the working directory when the test was built with -trimpath.
func repoRoot() string {
	_, file, _, _ := runtime.Caller(0)
	wd, _ := os.Getwd()
	for _, start := range []string{filepath.Dir(file), wd} {
		if !filepath.IsAbs(start) {
			continue
		}
		for dir := start; ; dir = filepath.Dir(dir) {
			if _, err := os.Stat(filepath.Join(dir, "tools", "layers.txt")); err == nil {
				return dir
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	return ""
}
