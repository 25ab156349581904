package state

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"
)

func TestDefault(t *testing.T) {
	for _, tc := range []struct {
		name string
		uid  int
		env  map[string]string
		home string
		want string
	}{
		{"root", 0, map[string]string{"HOME": "/root", "XDG_STATE_HOME": "/x"}, "", "/var/lib/stretcher"},
		{"user", 1000, map[string]string{"HOME": "/home/u"}, "", "/home/u/.local/state/stretcher"},
		{"xdg", 1000, map[string]string{"HOME": "/home/u", "XDG_STATE_HOME": "/x"}, "", "/x/stretcher"},
		{"relative xdg", 1000, map[string]string{"HOME": "/home/u", "XDG_STATE_HOME": "x"}, "",
			"/home/u/.local/state/stretcher"},
		{"no HOME", 1000, nil, "/home/p", "/home/p/.local/state/stretcher"},
		{"relative HOME", 1000, map[string]string{"HOME": "."}, "/home/p", "/home/p/.local/state/stretcher"},
		{"nothing", 1000, nil, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := Default(User{tc.uid, func(k string) string { return tc.env[k] },
				func() (string, error) { return tc.home, nil }})
			if got != tc.want || (err == nil) != (tc.want != "") {
				t.Errorf("got %q, %v; want %q", got, err, tc.want)
			}
		})
	}
}

func TestOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a/state")
	d, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{path, d.Locks(), filepath.Dir(d.Log("r")), filepath.Dir(d.Tree("r"))} {
		info, err := os.Stat(dir)
		if err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", dir, info, err)
		}
	}
	if _, err := Open(path); err != nil {
		t.Errorf("second Open: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(filepath.Join(file, "state")); err == nil {
		t.Error("a state directory below a file was opened")
	}
}

func TestGroup(t *testing.T) {
	d, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if d.Groups("r") != nil || d.Containers("r") {
		t.Error("a run that was never noted executes something")
	}
	if err := errors.Join(d.SetGroups("r"), d.SetGroups("r", 123, 45)); err != nil ||
		!slices.Equal(d.Groups("r"), []int{123, 45}) {
		t.Errorf("groups = %d, %v", d.Groups("r"), err)
	}
	if err := errors.Join(d.SetContainers("r", false), d.SetContainers("r", true)); err != nil || !d.Containers("r") {
		t.Errorf("containers = %t, %v", d.Containers("r"), err)
	}
	if err := errors.Join(d.SetGroups("r"), d.SetContainers("r", false)); err != nil ||
		d.Groups("r") != nil || d.Containers("r") {
		t.Errorf("groups = %d, containers %t, %v", d.Groups("r"), d.Containers("r"), err)
	}
}

func TestStarting(t *testing.T) {
	d, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := d.SetStarting("r", ""); err != nil || d.Starting("r") != "" {
		t.Errorf("a run that was never noted starts %q, %v", d.Starting("r"), err)
	}
	if err := errors.Join(d.SetStarting("r", "A=1"), d.SetStarting("r", "A=2")); err != nil || d.Starting("r") != "A=2" ||
		d.Starting("s") != "" {
		t.Errorf("starting = %q, another run %q, %v", d.Starting("r"), d.Starting("s"), err)
	}
	if err := d.SetStarting("r", ""); err != nil || d.Starting("r") != "" {
		t.Errorf("starting = %q, %v", d.Starting("r"), err)
	}
}

func TestForget(t *testing.T) {
	d, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{d.Log("r"), d.Tree("r"), d.Log("other")} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d.Forget("r")
	for name, want := range map[string]bool{d.Log("r"): false, d.Tree("r"): false, d.Log("other"): true} {
		if _, err := os.Stat(name); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFallbackLocks(t *testing.T) {
	tmp := t.TempDir()
	for range 2 {
		if dir, err := FallbackLocks(tmp, os.Getuid()); err != nil || filepath.Dir(dir) != tmp {
			t.Errorf("%q, %v", dir, err)
		}
	}
	for name, spoil := range map[string]func(dir string) error{
		"symlink":  func(dir string) error { return errors.Join(os.Remove(dir), os.Symlink(t.TempDir(), dir)) },
		"writable": func(dir string) error { return os.Chmod(dir, 0o777) },
	} {
		t.Run(name, func(t *testing.T) {
			tmp := t.TempDir()
			dir, err := FallbackLocks(tmp, os.Getuid())
			if err = errors.Join(err, spoil(dir)); err != nil {
				t.Fatal(err)
			}
			if _, err := FallbackLocks(tmp, os.Getuid()); err == nil {
				t.Error("it was trusted")
			}
		})
	}
}

// A note is read back as far as it was written: a process that is killed over
// a line has not made the directory that the line is about to name.
func TestOwners(t *testing.T) {
	dir := t.TempDir()
	d, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := Owner{What: "hooks run", PID: 7, Start: "boot:1", Dirs: []string{"/a \"b\"\n\xff", "/c"}}
	if err := d.SetOwner("r", want); err != nil {
		t.Fatal(err)
	}
	for _, name := range want.Dirs {
		if err := d.AddOwned("r", name); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.OpenFile(d.owner("r"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString(`"/half`)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	if got := d.Owners()["r"]; !reflect.DeepEqual(got, want) {
		t.Errorf("read back: %+v, want %+v", got, want)
	}
	if d.SetOwner("r", want) == nil {
		t.Error("a note was written twice")
	}
	if err := errors.Join(d.ForgetOwner("r"), d.ForgetOwner("r")); err != nil || len(d.Owners()) != 0 {
		t.Errorf("not forgotten: %v, %v", d.Owners(), err)
	}
	if d.AddOwned("r", "/d") == nil {
		t.Error("a note without an owner was made")
	}
	testUnwritten(t, d)
}

// testUnwritten: a note without its line may be about to get it.
func testUnwritten(t *testing.T, d *Dir) {
	t.Helper()
	if err := os.WriteFile(d.owner("r"), []byte(`{"what":"x"`), 0o600); err != nil {
		t.Fatal(err)
	}
	if all := d.Owners(); len(all) != 0 {
		t.Errorf("a note that is being written: %v", all)
	}
	old := time.Now().Add(-2 * unwritten)
	if err := os.Chtimes(d.owner("r"), old, old); err != nil {
		t.Fatal(err)
	}
	if o, ok := d.Owners()["r"]; !ok || o.PID != 0 || len(o.Dirs) != 0 {
		t.Errorf("one that will never be written: %+v, %v", o, ok)
	}
	testUnread(t, d)
}

// testUnread: a note that can't be read is not one without its line.
func testUnread(t *testing.T, d *Dir) {
	t.Helper()
	name := d.owner("r")
	for what, spoil := range map[string]func() error{
		"too large": func() error { return os.Truncate(name, maxNote+1) },
		"no file":   func() error { return errors.Join(os.Remove(name), os.Mkdir(name, 0o700)) },
		"a loop":    func() error { return errors.Join(os.RemoveAll(name), os.Symlink(name, name)) },
	} {
		if err := errors.Join(os.RemoveAll(name), os.WriteFile(name, nil, 0o600), spoil()); err != nil {
			t.Fatal(err)
		}
		old := time.Now().Add(-2 * unwritten)
		_ = os.Chtimes(name, old, old) // a loop has no time
		if all := d.Owners(); len(all) != 0 {
			t.Errorf("%s: %+v", what, all)
		}
	}
}

// Who can write the state directory says what this program believes, and
// names what it removes.
func TestOpenJudges(t *testing.T) {
	for mode, want := range map[os.FileMode]bool{
		0o700: true, 0o755: true, 0o775: false, 0o757: false, 0o777 | os.ModeSticky: false,
	} {
		dir := filepath.Join(t.TempDir(), "state")
		if err := errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, mode)); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir); (err == nil) != want {
			t.Errorf("mode %v: %v", mode, err)
		}
	}
	if os.Getuid() != 0 {
		return
	}
	dir := t.TempDir()
	if err := os.Chown(dir, 47001, 47001); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); err == nil {
		t.Error("that of somebody else is trusted")
	}
}

// A run's files are in the state directory, whatever its row calls it.
func TestFilesStayInside(t *testing.T) {
	d := At("/state")
	for _, run := range []string{"../../etc/passwd", "/etc/passwd", "..", "a/b"} {
		for _, name := range []string{
			d.Log(run), d.Tree(run), d.group(run), d.starting(run), d.containers(run), d.owner(run),
		} {
			if rel, err := filepath.Rel("/state", name); err != nil || !filepath.IsLocal(rel) {
				t.Errorf("%q leads to %q", run, name)
			}
		}
	}
}
