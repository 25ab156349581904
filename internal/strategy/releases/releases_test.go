package releases

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// id is the n-th run id.
func id(n int) string { return fmt.Sprintf("01900000-0000-7000-8000-%012d", n) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// put writes a file and the directories above it.
func put(t *testing.T, path, content string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(content), 0o644))
}

// get reads a file; a missing one is "".
func get(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return string(b)
}

// layout opens and prepares a layout in a new directory.
func layout(t *testing.T) *Dir {
	t.Helper()
	d, err := Open(filepath.Join(t.TempDir(), "dest"), Options{Sync: true})
	must(t, err)
	must(t, d.Prepare())
	return d
}

// stage makes a staged tree of files: path, content, path, content...
func stage(t *testing.T, d *Dir, files ...string) string {
	t.Helper()
	dir := filepath.Join(d.releasesPath(), "staged")
	must(t, os.Mkdir(dir, 0o755))
	for i := 0; i < len(files); i += 2 {
		put(t, filepath.Join(dir, files[i]), files[i+1])
	}
	return dir
}

// addAt adds a staged tree by its path.
func addAt(d *Dir, ctx context.Context, staged string, r Release, shared []string) error {
	from, err := os.OpenRoot(filepath.Dir(staged))
	if err != nil {
		return err
	}
	defer from.Close()
	return d.Add(ctx, from, filepath.Base(staged), r, shared)
}

// reuseAt shares what is in a staged tree by its path.
func reuseAt(d *Dir, ctx context.Context, staged, id string, how Link) (Saved, error) {
	tree, err := os.OpenRoot(staged)
	if err != nil {
		return Saved{}, err
	}
	defer tree.Close()
	return d.Reuse(ctx, tree, id, how)
}

func (d *Dir) markPath(id string) string { return d.Path(id) + markSuffix }

// add adds release n in a state; "" = without a mark.
func add(t *testing.T, d *Dir, n int, s State) {
	t.Helper()
	must(t, addAt(d, context.Background(), stage(t, d, "n", fmt.Sprint(n)), Release{ID: id(n)}, nil))
	if s == "" {
		must(t, os.Remove(d.markPath(id(n))))
	} else if s != Pending {
		must(t, d.Mark(id(n), s, ""))
	}
}

// names lists a directory.
func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return strings.Join(all, " ")
}

func TestDeploy(t *testing.T) {
	d, err := Open(filepath.Join(t.TempDir(), "dest"), Options{Sync: true})
	must(t, err)
	must(t, d.Check())
	if _, err := os.Lstat(d.at.Given); err == nil {
		t.Fatal("opening made dest")
	}
	must(t, d.Prepare())
	if _, ok, err := d.Current(); ok || err != nil {
		t.Fatalf("Current = %v, %v", ok, err)
	}
	for n := 1; n <= 2; n++ {
		add(t, d, n, Pending)
		must(t, d.Switch(id(n)))
		must(t, d.Mark(id(n), Good, ""))
		if target, err := os.Readlink(d.CurrentPath()); err != nil || target != "releases/"+id(n) {
			t.Errorf("current leads to %q, %v", target, err)
		}
		if got := get(t, filepath.Join(d.at.Given, "current/n")); got != fmt.Sprint(n) {
			t.Errorf("current/n = %q, want %d", got, n)
		}
	}
	must(t, d.Check())
	if got := names(t, d.at.Given); got != "current releases" {
		t.Errorf("dest holds %s", got)
	}
	if info, err := os.Stat(d.markPath(id(1))); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("mark: %v, %v", info.Mode(), err)
	}
}

func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		name  string
		dest  string
		build func(dest string) error
		want  string // "" = fine
		id    string
	}{
		{name: "nothing", build: func(string) error { return nil }},
		{name: "empty directory", build: func(d string) error { return os.Mkdir(d, 0o755) }},
		{name: "symlink", build: func(d string) error {
			return errors.Join(os.MkdirAll(d+"2/releases/x", 0o755), os.Symlink(d+"2", d),
				os.Symlink(d+"2/releases/x", d+"2/current"))
		}, id: "x"},
		{name: "releases a file", build: file("releases"), want: `releases" is a file`},
		{name: "releases a symlink", build: symlink("releases"), want: `releases" is a symlink`},
		{name: "shared a symlink", build: symlink("shared"), want: `shared" is a symlink`},
		{name: "current a directory", want: `current" is a directory, not`, build: inDest(func(d string) error {
			return os.Mkdir(d+"/current", 0o755)
		})},
		{name: "current a file", build: file("current"), want: `current" is a file, not`},
		{name: "current elsewhere", build: current("../other"), want: `current" leads to "../other", not`},
		{name: "current too deep", build: current("releases/x/y"), want: "leads to"},
		{name: "current to releases", build: current("releases"), want: "leads to"},
		{name: "current to other releases", build: current("/releases/x"), want: "leads to"},
		{name: "current out again", build: current("releases/.."), want: "leads to"},
		{name: "current dangling", build: current("releases/gone"), id: "gone"},
		{name: "current by hand", build: current("./releases/x/"), id: "x"},
		{name: "current absolute", id: "x", build: inDest(func(d string) error {
			return os.Symlink(d+"/releases/x", d+"/current")
		})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dest := filepath.Join(t.TempDir(), "dest")
			must(t, tt.build(dest))
			d, err := Open(dest, Options{})
			must(t, err)
			err = d.Check()
			if tt.want != "" {
				if !errors.Is(err, ErrPlain) || !strings.Contains(err.Error(), tt.want) {
					t.Fatalf("err = %v, want %q", err, tt.want)
				}
				var plain *PlainError
				named := errors.As(err, &plain) && strings.HasPrefix(err.Error(), fmt.Sprintf("%q ", plain.Path))
				if !named || !strings.HasPrefix(plain.Path, dest) {
					t.Errorf("%#v is in the way, err = %v", plain, err)
				}
				if err := d.Prepare(); !errors.Is(err, ErrPlain) {
					t.Errorf("Prepare = %v", err)
				}
				return
			}
			must(t, err)
			if got, ok, err := d.Current(); got != tt.id || ok != (tt.id != "") || err != nil {
				t.Errorf("Current = %q, %v, %v", got, ok, err)
			}
		})
	}
}

func inDest(f func(string) error) func(string) error {
	return func(d string) error { return errors.Join(os.Mkdir(d, 0o755), f(d)) }
}

func file(name string) func(string) error {
	return inDest(func(d string) error { return os.WriteFile(filepath.Join(d, name), nil, 0o644) })
}

func symlink(name string) func(string) error {
	return inDest(func(d string) error { return os.Symlink("/tmp", filepath.Join(d, name)) })
}

func current(target string) func(string) error {
	return inDest(func(d string) error { return os.Symlink(target, d+"/current") })
}

func TestSwitchErrors(t *testing.T) {
	d := layout(t)
	add(t, d, 1, Good)
	must(t, d.Switch(id(1)))
	put(t, d.Path(id(2)), "a file")
	for _, bad := range []string{"", "..", "../x", "x", id(2), id(3)} {
		if err := d.Switch(bad); err == nil {
			t.Errorf("switched to %q", bad)
		}
	}
	if got, _, err := d.Current(); got != id(1) || err != nil {
		t.Errorf("current = %q, %v", got, err)
	}
	must(t, os.Symlink("left by a kill", filepath.Join(d.at.Given, newCurrent+id(1))))
	must(t, d.Switch(id(1)))
	must(t, os.Remove(d.CurrentPath()))
	put(t, filepath.Join(d.CurrentPath(), "file"), "x")
	if err := d.Switch(id(1)); !errors.Is(err, ErrPlain) || get(t, filepath.Join(d.CurrentPath(), "file")) != "x" {
		t.Errorf("err = %v", err)
	}
	if got := names(t, d.at.Given); got != "current releases" {
		t.Errorf("dest holds %s", got)
	}
}

func TestAddErrors(t *testing.T) {
	d := layout(t)
	add(t, d, 1, Good)
	staged := stage(t, d, "n", "2")
	done, cancel := context.WithCancel(context.Background())
	cancel()
	for _, tt := range []struct {
		name   string
		ctx    context.Context
		staged string
		id     string
		shared []string
		want   error
	}{
		{"exists", context.Background(), staged, id(1), nil, fs.ErrExist},
		{"id", context.Background(), staged, "../x", nil, nil},
		{"staged missing", context.Background(), staged + "x", id(2), nil, fs.ErrNotExist},
		{"staged missing, shared", context.Background(), staged + "x", id(2), []string{"log/"}, fs.ErrNotExist},
		{"shared bad", context.Background(), staged, id(2), []string{"../x"}, nil},
		{"shared nowhere", context.Background(), staged, id(2), []string{"log"}, ErrShared},
		{"cancelled", done, staged, id(2), nil, context.Canceled},
		{"cancelled, shared", done, staged, id(2), []string{"log/"}, context.Canceled},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := addAt(d, tt.ctx, tt.staged, Release{ID: tt.id}, tt.shared)
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("err = %v, want %v", err, tt.want)
			}
			if got := names(t, d.releasesPath()); got != id(1)+" "+id(1)+".json staged" {
				t.Errorf("releases holds %s", got)
			}
			if r, err := d.readMark(id(1)); err != nil || r.State != Good {
				t.Errorf("mark of the other: %+v, %v", r, err)
			}
		})
	}
}

// TestUnmake: what somebody has put in the place of a directory that was made
// stays, and so does a directory with something in it.
func TestUnmake(t *testing.T) {
	for name, put := range map[string]func(path string) error{
		"a file": func(path string) error { return errors.Join(os.Remove(path), os.WriteFile(path, nil, 0o644)) },
		"a link": func(path string) error { return errors.Join(os.Remove(path), os.Symlink("x", path)) },
		"full":   func(path string) error { return os.WriteFile(filepath.Join(path, "f"), nil, 0o644) },
		"":       nil,
	} {
		dest := filepath.Join(t.TempDir(), "dest")
		d, err := Open(dest, Options{})
		must(t, err)
		must(t, d.Prepare())
		if put != nil {
			must(t, put(filepath.Join(dest, releasesName)))
		}
		d.Unmake()
		if _, err := os.Lstat(filepath.Join(dest, releasesName)); (err == nil) != (put != nil) {
			t.Errorf("%q: %v", name, err)
		}
	}
}
