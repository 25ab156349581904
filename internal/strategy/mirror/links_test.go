package mirror

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stretcher/internal/archive"
	"stretcher/internal/disk/tree"
)

// meanwhile is a stage beside which something happens in dest before each hard link.
type meanwhile struct {
	*Stage
	happens func()
}

// Link is that of the stage.
func (m meanwhile) Link(e archive.Entry, old string) error {
	m.happens()
	return m.Stage.Link(e, old)
}

// made is a new directory in top; nil where it has no name.
func made(t *testing.T, top, name string) *os.Root {
	t.Helper()
	if name == "" {
		return nil
	}
	check(t, os.Mkdir(filepath.Join(top, name), 0o700))
	return rootAt(t, filepath.Join(top, name))
}

// TestLinksMeanwhile: somebody changes what a hard link leads to after it was found equal.
// A deployment does not take it for the content, and a plan is made all the same.
func TestLinksMeanwhile(t *testing.T) {
	for name, happens := range map[string]func(a string) error{
		"it grows": func(a string) error {
			f, err := os.OpenFile(a, os.O_WRONLY|os.O_APPEND, 0)
			check(t, err)
			_, err = f.WriteString("more")
			return errors.Join(err, f.Close())
		},
		"it shrinks":       func(a string) error { return os.Truncate(a, 0) },
		"it is another":    func(a string) error { return os.WriteFile(a, []byte("y"), 0o644) },
		"it is gone":       os.Remove,
		"it is a FIFO":     func(a string) error { return errors.Join(os.Remove(a), unix.Mkfifo(a, 0o644)) },
		"it is a symlink":  func(a string) error { return errors.Join(os.Remove(a), os.Symlink("c", a)) },
		"it is a new file": func(a string) error { return errors.Join(os.Remove(a), os.WriteFile(a, []byte("x"), 0o644)) },
	} {
		for _, content := range []string{"x", holed[0]} {
			for _, staging := range []string{"", "staging"} {
				top := tempDir(t)
				dest := filepath.Join(top, "dest")
				plant(t, dest, parse(t, "a="+content+" c=y"))
				opts := Options{}
				stage := NewStage(t.Context(), rootAt(t, dest), made(t, top, staging), opts)
				sink := meanwhile{stage, func() { check(t, happens(filepath.Join(dest, "a"))) }}
				tarred := tarball(t, parse(t, "a="+content+" b==a c=y"))
				entries, _, err := archive.Scan(t.Context(), bytes.NewReader(tarred), archive.Options{}, sink)
				check(t, stage.Close())
				if staging != "" {
					if err == nil || !strings.Contains(err.Error(), `stage "b": hard link target "a"`) {
						t.Errorf("%s, %d bytes: %v", name, len(content), err)
					}
					continue
				}
				check(t, err)
				opts.Differs = stage.Differs
				plan, err := Compare(t.Context(), entries, place(t, dest), opts)
				check(t, err)
				if got := show(plan.Changes()); !strings.Contains(got, "add b") || strings.Contains(got, "change c") {
					t.Errorf("%s, %d bytes: %s", name, len(content), got)
				}
			}
		}
	}
}

// TestLinksExchanged: somebody who owns directories of dest exchanges them between the look
// at a file and a hard link to it. What is there then is another content, which is known
// as well: it does not come where the link is, which may be a place that is not his.
func TestLinksExchanged(t *testing.T) {
	big := strings.Repeat("z", tree.BlockSize+1)
	for name, c := range map[string]struct {
		has, gets string // in dest, in the archive
		before    int    // which hard link it happens before
	}{
		"another file of the archive": {"d/ d/f=x e/ e/f=y", "d/ d/f=x e/ e/f=y l==d/f", 1},
		"a link's content of his own": {"d/ d/f=x e/ e/f=y g=x", "d/ d/f=x g=x e/ e/f==g l==d/f", 2},
		"a link that dest has":        {"d/ d/f=x e/ e/f=y g=x k=x", "d/ d/f=x e/ e/f=y g=x k==g l==d/f", 2},
		"of a link":                   {"d/ d/k=x e/ e/k=y f=x", "f=x d/ d/k==f e/ e/k=y l==d/k", 2},
		"of several blocks": {"d/ d/f=x" + big + " e/ e/f=y" + big,
			"d/ d/f=x" + big + " e/ e/f=y" + big + " l==d/f", 1},
		"with holes": {"d/ d/f=" + holed[0] + " e/ e/f=" + holed[1],
			"d/ d/f=" + holed[0] + " e/ e/f=" + holed[1] + " l==d/f", 1},
	} {
		for _, staging := range []string{"staging", ""} {
			top := tempDir(t)
			dest := filepath.Join(top, "dest")
			plant(t, dest, parse(t, c.has))
			opts := Options{}
			stage := NewStage(t.Context(), rootAt(t, dest), made(t, top, staging), opts)
			links := 0
			sink := meanwhile{stage, func() {
				if links++; links == c.before {
					exchange(t, filepath.Join(dest, "d"), filepath.Join(dest, "e"))
				}
			}}
			entries, _, err := archive.Scan(t.Context(), bytes.NewReader(tarball(t, parse(t, c.gets))), archive.Options{}, sink)
			check(t, stage.Close())
			if staging == "" {
				check(t, err)
				opts.Differs = stage.Differs
				plan, err := Compare(t.Context(), entries, place(t, dest), opts)
				check(t, err)
				if got := show(plan.Changes()); !strings.Contains(got, "add l") {
					t.Errorf("%s: %s", name, got)
				}
				continue
			}
			if !errors.Is(err, ErrStale) || !strings.Contains(err.Error(), `stage "l": hard link target "d/`) {
				t.Errorf("%s: %v", name, err)
			}
			if data, err := os.ReadFile(filepath.Join(top, staging, "l")); err == nil {
				t.Errorf("%s: it is staged, %.9q", name, data)
			}
		}
	}
}

// TestLinksReread: the same of one file, which is found again, with another content, in the
// place of another one.
func TestLinksReread(t *testing.T) {
	for name, content := range map[string][]string{"": {"x", "y"}, "with holes": {holed[0], holed[1]}} {
		top := tempDir(t)
		dest := filepath.Join(top, "dest")
		plant(t, dest, parse(t, "g=x d/ d/f="+content[0]+" e/ e/f="+content[1]))
		stage, links := NewStage(t.Context(), rootAt(t, dest), made(t, top, "staging"), Options{}), 0
		sink := meanwhile{stage, func() {
			if links++; links == 2 {
				exchange(t, filepath.Join(dest, "d"), filepath.Join(dest, "e"))
				return
			}
			from, to := filepath.Join(dest, "d/f"), filepath.Join(dest, "e/f")
			info, err := os.Stat(from)
			check(t, err)
			check(t, os.Rename(from, to))
			check(t, os.WriteFile(to, []byte(content[1]), 0o644))
			check(t, os.Chtimes(to, info.ModTime(), info.ModTime()))
		}}
		tarred := tarball(t, parse(t, "g=x d/ d/f="+content[0]+" k==g e/ e/f="+content[1]+" l==d/f"))
		_, _, err := archive.Scan(t.Context(), bytes.NewReader(tarred), archive.Options{}, sink)
		check(t, stage.Close())
		if !errors.Is(err, ErrStale) || !strings.Contains(err.Error(), `stage "l": hard link target "d/`) {
			t.Errorf("%s: %v", name, err)
		}
		if data, err := os.ReadFile(filepath.Join(top, "staging/l")); err == nil {
			t.Errorf("%s: it is staged, %.9q", name, data)
		}
	}
}

// TestExchangedLater: the same after all has been staged. It is not taken for what was
// found there.
func TestExchangedLater(t *testing.T) {
	for _, words := range []string{"d/ d/f=x e/ e/f=y", "d/ d/f=" + holed[0] + " e/ e/f=" + holed[1]} {
		top := tempDir(t)
		dest, staging := filepath.Join(top, "dest"), filepath.Join(top, "staging")
		plant(t, dest, parse(t, words))
		opts := Options{}
		entries, err := scan(t, tarball(t, parse(t, words)), dest, staging, &opts)
		check(t, err)
		exchange(t, filepath.Join(dest, "d"), filepath.Join(dest, "e"))
		plan, err := Compare(t.Context(), entries, place(t, dest), opts)
		check(t, err)
		if err := plan.Apply(t.Context(), place(t, staging)); !errors.Is(err, ErrStale) {
			t.Errorf("%v: %s", err, show(plan.Changes()))
		}
	}
}

func exchange(t *testing.T, a, b string) {
	t.Helper()
	check(t, os.Rename(a, a+".old"))
	check(t, os.Rename(b, a))
	check(t, os.Rename(a+".old", b))
}

// TestLinksToNothing: an empty file may be one with holes in an archive, too. Dest has it,
// and not what leads to it.
func TestLinksToNothing(t *testing.T) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	check(t, w.WriteHeader(&tar.Header{
		Name: "a", Mode: 0o644, Uid: os.Getuid(), Gid: os.Getgid(), ModTime: time.Unix(1e9, 0), Format: tar.FormatPAX,
		Typeflag: tar.TypeReg, PAXRecords: map[string]string{
			"GNX.sparse.major": "0", "GNX.sparse.minor": "1", "GNX.sparse.numblocks": "1",
			"GNX.sparse.map": "0,0", "GNX.sparse.size": "0",
		},
	}))
	check(t, w.WriteHeader(&tar.Header{
		Name: "b", Linkname: "a", Mode: 0o644, Uid: os.Getuid(), Gid: os.Getgid(), ModTime: time.Unix(1e9, 0),
		Typeflag: tar.TypeLink,
	}))
	check(t, w.Close())
	tarred := bytes.ReplaceAll(buf.Bytes(), []byte("GNX.sparse."), []byte("GNU.sparse."))
	for _, staging := range []string{"", "staging"} {
		top := tempDir(t)
		dest := filepath.Join(top, "dest")
		plant(t, dest, parse(t, "a=@0"))
		opts := Options{}
		if staging != "" {
			staging = filepath.Join(top, staging)
		}
		entries, err := scan(t, tarred, dest, staging, &opts)
		check(t, err)
		plan, err := Compare(context.Background(), entries, place(t, dest), opts)
		check(t, err)
		if got := show(plan.Changes()); got != "add b" {
			t.Errorf("changes %s", got)
		}
		if staging == "" {
			continue
		}
		check(t, plan.Apply(t.Context(), place(t, staging)))
		info, err := os.Lstat(filepath.Join(dest, "b"))
		check(t, err)
		if info.Size() != 0 || info.Mode() != fs.FileMode(0o644) {
			t.Errorf("%d bytes, %s", info.Size(), info.Mode())
		}
	}
}
