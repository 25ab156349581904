package p2

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stretcher/internal/disk"
	"stretcher/internal/hooks"
	"stretcher/internal/journal/runlog"
)

const launch = "#!/bin/sh\necho \"$0\"\n"

// bundle unpacks files below root and describes them as a pod.
func bundle(t *testing.T, root, pod, version string, files map[string]string) Bundle {
	t.Helper()
	work, err := os.MkdirTemp(root, ".staging-*")
	must(t, err)
	write(t, filepath.Join(work, "tree"), files)
	return Bundle{
		Root: dirAt(t, root), Event: "before_install", Pod: pod, Version: version, Work: dirAt(t, work), Tree: "tree",
	}
}

// dirAt opens a directory until the test ends.
func dirAt(t *testing.T, path string) *disk.Dir {
	t.Helper()
	path, err := filepath.EvalSymlinks(path)
	must(t, err)
	d, err := disk.Open(path)
	must(t, err)
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// tree lists what is below dir, symlinks with their targets, staging aside.
func tree(t *testing.T, dir string) (all []string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, path)
		switch {
		case err != nil:
			return err
		case strings.HasPrefix(d.Name(), ".staging-"):
			return fs.SkipDir
		case d.IsDir():
			return nil
		}
		if target, err := os.Readlink(path); err == nil {
			rel += " -> " + target
		}
		all = append(all, rel)
		return nil
	}))
	return all
}

func TestInstallLayout(t *testing.T) {
	root := t.TempDir()
	links, err := Install(bundle(t, root, "system", "v1", map[string]string{
		"sudoers/bin/launch": launch, "sudoers/etc/rules": "x", "users/bin/launch/add": launch,
		"users/bin/launch/del": launch, "README": "x",
	}))
	must(t, err)
	if want := []string{"system_sudoers_launch", "system_users_add", "system_users_del"}; !slices.Equal(links, want) {
		t.Errorf("links %q, want %q", links, want)
	}
	want := []string{
		"exec/before_install/system_sudoers_launch -> ../../pods/before_install/system/sudoers/current/bin/launch",
		"exec/before_install/system_users_add -> ../../pods/before_install/system/users/current/bin/launch/add",
		"exec/before_install/system_users_del -> ../../pods/before_install/system/users/current/bin/launch/del",
		"pods/before_install/system/sudoers/current -> installs/v1",
		"pods/before_install/system/sudoers/installs/v1/bin/launch",
		"pods/before_install/system/sudoers/installs/v1/etc/rules",
		"pods/before_install/system/users/current -> installs/v1",
		"pods/before_install/system/users/installs/v1/bin/launch/add",
		"pods/before_install/system/users/installs/v1/bin/launch/del",
	}
	if got := tree(t, root); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestInstalledHooksRun runs what Install has linked.
func TestInstalledHooksRun(t *testing.T) {
	root := t.TempDir()
	_, err := Install(bundle(t, root, "system", "v1", map[string]string{"sudoers/bin/launch": launch}))
	must(t, err)
	found, err := Hooks(Options{Dirs: []string{ExecDir(root)}}, hooks.PreFetch)
	must(t, err)
	var out bytes.Buffer
	log := runlog.New(runlog.Options{})
	defer log.Close()
	must(t, (&hooks.Runner{Log: log, Stdout: &out}).Run(t.Context(), hooks.PreFetch, found, false))
	if want := filepath.Join(root, "exec/before_install/system_sudoers_launch\n"); out.String() != want {
		t.Errorf("printed %q, want %q", out.String(), want)
	}
}

func TestInstallAgainRemovesOrphans(t *testing.T) {
	root := t.TempDir()
	for _, b := range []Bundle{
		bundle(t, root, "a", "v1", map[string]string{"x/bin/launch": launch, "y/bin/launch": launch}),
		bundle(t, root, "a_x", "v1", map[string]string{"bin/launch": launch}), // its links begin with a_x_ too
		bundle(t, root, "a", "v2", map[string]string{"y/bin/launch": launch + "# 2"}),
		bundle(t, root, "a", "v2", map[string]string{"y/bin/launch": launch + "# 2, again"}),
	} {
		_, err := Install(b)
		must(t, err)
	}
	must(t, os.WriteFile(filepath.Join(root, "exec/before_install/a_own"), []byte(launch), 0o755))
	_, err := Install(bundle(t, root, "a", "v3", map[string]string{"y/bin/launch": launch}))
	must(t, err)
	want := []string{
		"exec/before_install/a_own",
		"exec/before_install/a_x_a_x_launch -> ../../pods/before_install/a_x/a_x/current/bin/launch",
		"exec/before_install/a_y_launch -> ../../pods/before_install/a/y/current/bin/launch",
		"pods/before_install/a/y/current -> installs/v3",
		"pods/before_install/a/y/installs/v3/bin/launch",
		"pods/before_install/a_x/a_x/current -> installs/v1",
		"pods/before_install/a_x/a_x/installs/v1/bin/launch",
	}
	if got := tree(t, root); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestInstallRefusals(t *testing.T) {
	good := map[string]string{"bin/launch": launch}
	for _, tc := range []struct {
		name   string
		files  map[string]string
		change func(*Bundle)
		err    string
	}{
		{"event", good, func(b *Bundle) { b.Event = "pre_pack" }, `event "pre_pack"`},
		{"pod name", good, func(b *Bundle) { b.Pod = "../x" }, `hook pod "../x"`},
		{"hidden pod", good, func(b *Bundle) { b.Pod = ".x" }, `hook pod ".x"`},
		{"version", good, func(b *Bundle) { b.Version = "1/2" }, `version "1/2"`},
		{"no launch script", map[string]string{"x/y": "z"}, nil, "neither bin/launch nor"},
		{"not executable", map[string]string{"bin/launch": "x"}, nil, "is not executable"},
		{"one of several not executable", map[string]string{"bin/launch/a": launch, "bin/launch/b": "x"}, nil,
			`"bin/launch/b" is not executable`},
		{"empty launch directory", map[string]string{"bin/launch/": ""}, nil, "bin/launch is empty"},
		{"escaping symlink", map[string]string{"bin/launch": "-> /bin/sh"}, nil, "escapes"},
		{"no tree", good, func(b *Bundle) { b.Tree = "missing" }, "hook pod"},
		{"another's link", map[string]string{"c/bin/launch": launch}, func(b *Bundle) { b.Pod = "a_b" },
			"is not a link of hook pod"},
		{"two scripts of one name", map[string]string{"c/bin/launch/x_y": launch, "c_x/bin/launch/y": launch},
			nil, "two scripts"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			root := t.TempDir()
			_, err := Install(bundle(t, root, "a", "v1", map[string]string{"b_c/bin/launch": launch}))
			must(t, err)
			before := tree(t, root)
			b := bundle(t, root, "pod", "v2", tc.files)
			if tc.change != nil {
				tc.change(&b)
			}
			links, err := Install(b)
			if err == nil || !strings.Contains(err.Error(), tc.err) || links != nil {
				t.Errorf("links %q, err = %v, want %q", links, err, tc.err)
			}
			if after := tree(t, root); !slices.Equal(before, after) {
				t.Errorf("something was changed: %q", after)
			}
		})
	}
}

// TestInstallFollowsNoLink: below the root, no symlink leads elsewhere, and
// nothing is changed where there is one.
func TestInstallFollowsNoLink(t *testing.T) {
	for _, name := range []string{
		"exec", "exec/before_install", "pods", "pods/before_install", "pods/before_install/a", "pods/before_install/a/x",
		"pods/before_install/a/x/installs",
	} {
		t.Run(name, func(t *testing.T) {
			root, elsewhere := t.TempDir(), t.TempDir()
			_, err := Install(bundle(t, root, "a", "v1", map[string]string{"x/bin/launch": launch}))
			must(t, err)
			must(t, os.Rename(filepath.Join(root, name), filepath.Join(elsewhere, "moved")))
			must(t, os.Symlink(filepath.Join(elsewhere, "moved"), filepath.Join(root, name)))
			here, there := tree(t, root), tree(t, elsewhere)
			if _, err := Install(bundle(t, root, "a", "v2", map[string]string{"x/bin/launch": launch})); err == nil {
				t.Error("a symlink was followed")
			}
			if now := tree(t, root); !slices.Equal(now, here) {
				t.Errorf("in the root there is %q", now)
			}
			if now := tree(t, elsewhere); !slices.Equal(now, there) {
				t.Errorf("elsewhere there is %q", now)
			}
		})
	}
}
