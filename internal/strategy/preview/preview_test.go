package preview

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stretcher/internal/archive"
	"stretcher/internal/disk"
	"stretcher/internal/strategy"
	"stretcher/internal/strategy/filter"
	"stretcher/internal/strategy/mirror"
	"stretcher/internal/text/failure"
)

// archived is an archive of files, each with its name as content.
func archived(t *testing.T, names ...string) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "archive"))
	must(t, err)
	t.Cleanup(func() { _ = f.Close() })
	tw := tar.NewWriter(f)
	for _, name := range names {
		must(t, tw.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(name))}))
		_, err := io.WriteString(tw, name)
		must(t, err)
	}
	must(t, tw.Close())
	return f
}

func target(t *testing.T) *strategy.Target {
	t.Helper()
	dest, err := disk.OpenDest(filepath.Join(t.TempDir(), "dest"))
	must(t, err)
	t.Cleanup(func() { _ = dest.Close() })
	return &strategy.Target{Dest: dest, Excludes: []string{"*.pid"},
		Source: strategy.Source{Origin: func() string { return "test" }}}
}

func paths(changes strategy.Changes) (lines []string) {
	for _, c := range changes.List {
		lines = append(lines, c.Kind.String()+" "+c.Path)
	}
	return lines
}

func TestOptions(t *testing.T) {
	f := archived(t, "app", "new.pid")
	for _, tc := range []struct {
		name  string
		opts  Options
		want  []string
		bytes int64
	}{
		{"zero", Options{}, []string{"add ", "add app", "add new.pid"}, 10},
		{"excludes", Options{Excludes: true}, []string{"add ", "add app"}, 3},
		{"tree", Options{Tree: func(entries []archive.Entry, _ *filter.List) ([]archive.Entry, *filter.List, error) {
			return entries[:2], nil, nil
		}}, []string{"add ", "add app"}, 3},
	} {
		changes, err := Diff(t.Context(), target(t), archive.FileInput(f, false), tc.opts)
		must(t, err)
		if got := paths(changes); !slices.Equal(got, tc.want) || changes.Bytes != tc.bytes {
			t.Errorf("%s: %q, %d bytes", tc.name, got, changes.Bytes)
		}
	}
}

// TestWhole: a tree that is written as a whole counts as a whole, if anything
// of it changes.
func TestWhole(t *testing.T) {
	f := archived(t, "app", "same")
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "same"), []byte("same"), 0o644))
	root, err := os.OpenRoot(dir)
	must(t, err)
	defer root.Close()
	live := mirror.Place{Path: dir, Name: "live", Dir: root}
	opts := Options{Checksum: true, Whole: true, Live: &live}
	changes, err := Diff(t.Context(), target(t), archive.FileInput(f, false), opts)
	must(t, err)
	if !slices.Contains(paths(changes), "add app") || slices.Contains(paths(changes), "add same") || changes.Bytes != 7 {
		t.Errorf("%q, %d bytes", paths(changes), changes.Bytes)
	}
}

func TestErrors(t *testing.T) {
	f := archived(t, "app")
	broken := errors.New("broken")
	opts := Options{Tree: func([]archive.Entry, *filter.List) ([]archive.Entry, *filter.List,
		error) {
		return nil, nil, broken
	}}
	if _, err := Diff(t.Context(), target(t), archive.FileInput(f, false), opts); !errors.Is(err, broken) {
		t.Errorf("err = %v", err)
	}
	must(t, f.Truncate(514))
	_, err := Diff(t.Context(), target(t), archive.FileInput(f, false), Options{})
	if !errors.Is(err, archive.ErrMalformed) {
		t.Errorf("err = %v", err)
	}
}

// TestExcludeFromIsBounded: a plan refuses the list that a deployment refuses.
func TestExcludeFromIsBounded(t *testing.T) {
	text := strings.Repeat("*a*b*\n", filter.MaxWild/4)
	f := archived(t)
	_, err := f.Seek(0, io.SeekStart)
	must(t, err)
	tw := tar.NewWriter(f)
	must(t, tw.WriteHeader(&tar.Header{Name: "list", Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(text))}))
	_, err = io.WriteString(tw, text)
	must(t, errors.Join(err, tw.Close()))
	to := target(t)
	to.ExcludeFrom = "list"
	_, err = Diff(t.Context(), to, archive.FileInput(f, false), Options{Excludes: true})
	if !errors.Is(err, failure.ErrRefused) || !strings.Contains(err.Error(), "patterns with wildcards") {
		t.Errorf("err = %v", err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
