package file

import (
	"context"
	"errors"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"stretcher/internal/fetch/store"
	"stretcher/internal/fetch/store/storetest"
)

func TestFileRefuses(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("loop", filepath.Join(dir, "loop")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path, want string
		kind       error
	}{
		{dir, "is a directory", nil},
		{dir + "/fifo", "not a regular file, but a named pipe", nil},
		{"/dev/zero", "not a regular file, but a device", nil},
		{dir + "/loop", "too many levels", nil},
		{dir + "/none", "no such file or directory", store.ErrNotFound},
		{dir + "/none", "no such file or directory", os.ErrNotExist},
		{dir + "/nul%00", "invalid argument", nil},
	} {
		_, err := newSet(store.Options{}).Open(t.Context(), "file://"+c.path, store.Position{})
		if err == nil || !strings.Contains(err.Error(), c.want) || store.Retryable(err) {
			t.Errorf("%s: %v, want %q", c.path, err, c.want)
		}
		if c.kind != nil && !errors.Is(err, c.kind) {
			t.Errorf("%s: %v is not %v", c.path, err, c.kind)
		}
	}
}

func TestFileReadError(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Log("root may read everything: only the error's class is tested")
	}
	u, err := url.Parse("file:///x")
	if err != nil {
		t.Fatal(err)
	}
	err = fileError(u, &os.PathError{Op: "open", Path: "/x", Err: syscall.EACCES})
	if got, want := err.Error(), `open "file:///x": permission denied`; got != want || !errors.Is(err, store.ErrDenied) {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestFileChangedWhileRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	storetest.Replace(t, path, storetest.Noise(1, 1000))
	obj := storetest.Open(t, newSet(store.Options{}), "file://"+path, store.Position{})
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("more"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(obj.Body); !errors.Is(err, store.ErrChanged) {
		t.Errorf("error %v, want ErrChanged", err)
	}
}

func TestFileCancelled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	storetest.Replace(t, path, storetest.Noise(1, 10))
	ctx, cancel := context.WithCancel(t.Context())
	obj, err := newSet(store.Options{}).Open(ctx, "file://"+path, store.Position{})
	if err != nil {
		t.Fatal(err)
	}
	defer obj.Body.Close()
	cancel()
	if _, err := obj.Body.Read(make([]byte, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
}
