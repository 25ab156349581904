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
				var to *os.Root
				if staging != "" {
					check(t, os.Mkdir(filepath.Join(top, staging), 0o700))
					to = rootAt(t, filepath.Join(top, staging))
				}
				opts := Options{}
				stage := NewStage(t.Context(), rootAt(t, dest), to, opts)
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
