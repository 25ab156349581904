// Package dist tests what `make dist` makes: that it is the same bytes each time,
// that packages install, upgrade, remove and purge as docs/install.md says, and
// that what they hold works.
package dist

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"stretcher/internal/testparts"
)

const (
	root    = "../.."
	version = "v2.0.0"
	// newer is what an upgrade brings.
	newer = "v2.0.1"
	// epoch is the time of all that is released: some second of 2026.
	epoch = "1790000000"
)

func TestMain(m *testing.M) {
	code := m.Run()
	_ = os.RemoveAll(made.dir)
	os.Exit(code)
}

// made is what all tests of this process look at.
var made struct {
	sync.Once
	dir string
	err error
}

// released gives the directory with what is released for linux/amd64, of two
// versions.
func released(t *testing.T) string {
	t.Helper()
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skip("what is released is tried on linux/amd64")
	}
	minisign := testparts.Need(t, "minisign")
	made.Do(func() {
		if made.dir, made.err = os.MkdirTemp("", "stretcher-dist-"); made.err == nil {
			made.err = release(made.dir, minisign)
		}
	})
	if made.err != nil {
		t.Fatal(made.err)
	}
	return filepath.Join(made.dir, "a/dist")
}

// release builds in two directories: in b what an upgrade takes, in a the rest.
func release(dir, minisign string) error {
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	key, pub := filepath.Join(dir, "release.key"), filepath.Join(dir, "release.pub")
	if out, err := exec.Command(minisign, "-G", "-W", "-s", key, "-p", pub).CombinedOutput(); err != nil {
		return fmt.Errorf("minisign -G: %w\n%s", err, out)
	}
	if err := makeDist(a, nil, "VERSION="+version, "KEY="+key); err != nil {
		return err
	}
	if err := makeDist(b, nil, "VERSION="+newer, "FORMATS=deb"); err != nil {
		return err
	}
	upgrade := "stretcher_2.0.1_amd64.deb"
	return os.Rename(filepath.Join(b, "dist", upgrade), filepath.Join(dir, upgrade))
}

// makeDist runs `make dist` for one platform in a copy of the sources.
func makeDist(dir string, env []string, variables ...string) error {
	if err := copySources(dir); err != nil {
		return err
	}
	return runDist(dir, env, variables...)
}

// runDist runs `make dist` in a copy of the sources, for one platform unless the
// variables say otherwise.
func runDist(dir string, env []string, variables ...string) error {
	args := append([]string{"-c", "umask ${UMASK:-022}; exec make --no-print-directory dist \"$@\"", "sh",
		"PLATFORMS=linux/amd64"}, variables...)
	cmd := exec.Command("sh", args...)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "SOURCE_DATE_EPOCH="+epoch), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make dist: %w\n%s", err, out)
	}
	return nil
}

// copySources copies what is in the repository, with a link to the tools.
func copySources(dir string) error {
	tools, err := filepath.Abs(filepath.Join(root, ".tools"))
	if err != nil {
		return err
	}
	skip := []string{".git", ".tools", "dist", "stretcher"}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		below, _ := filepath.Rel(root, path)
		to := filepath.Join(dir, below)
		switch {
		case err != nil:
			return err
		case slices.Contains(skip, below) && d.IsDir():
			return fs.SkipDir
		case d.IsDir():
			return os.MkdirAll(to, 0o755)
		case !d.Type().IsRegular() || slices.Contains(skip, below):
			return nil
		}
		return copyFile(path, to)
	})
	if err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(dir, ".tools")); err != nil && !os.IsNotExist(err) {
		return err
	}
	return os.Symlink(tools, filepath.Join(dir, ".tools"))
}

func copyFile(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, info.Mode().Perm())
}

// TestSameBytes: another directory, umask, time zone and language, and the key
// from a variable, change nothing.
func TestSameBytes(t *testing.T) {
	want := released(t)
	dir := filepath.Join(made.dir, "b")
	err := makeDist(dir, []string{"UMASK=077", "TZ=Asia/Tokyo", "LC_ALL=C.UTF-8", "GOAMD64=v3",
		"SIGNING_KEY=" + string(read(t, filepath.Join(made.dir, "release.key")))}, "VERSION="+version)
	if err != nil {
		t.Fatal(err)
	}
	names, _ := filepath.Glob(filepath.Join(want, "*"))
	seen := 0
	for _, name := range names {
		name = filepath.Base(name)
		if name == "image" { // the .tar is of it
			continue
		}
		seen++
		if !bytes.Equal(read(t, filepath.Join(want, name)), read(t, filepath.Join(dir, "dist", name))) {
			t.Errorf("%s is not the same", name)
		}
	}
	if seen != 8 {
		t.Errorf("released: %q", names)
	}
}

// TestSumsAreOfAll: the list has each file but itself and its signature.
func TestSumsAreOfAll(t *testing.T) {
	dir := released(t)
	list := string(read(t, filepath.Join(dir, "SHA256SUMS")))
	for _, name := range []string{"stretcher-2.0.0-1.x86_64.rpm", "stretcher_2.0.0-r0_x86_64.apk",
		"stretcher_2.0.0_amd64.deb", "stretcher_2.0.0_image.tar", "stretcher_2.0.0_linux_amd64.cdx.json",
		"stretcher_2.0.0_linux_amd64.tar.gz"} {
		if !strings.Contains(list, "  "+name+"\n") {
			t.Errorf("no sum of %s:\n%s", name, list)
		}
	}
	if n := strings.Count(list, "\n"); n != 6 {
		t.Errorf("%d sums:\n%s", n, list)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// output is what a command prints, standard error included. It must succeed.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}
