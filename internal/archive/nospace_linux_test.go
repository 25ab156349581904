package archive

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestNoSpace(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skip("no tmpfs to fill:", err)
	}
	defer unix.Unmount(dir, 0)
	b := tarOf(ent{name: "f", data: strings.Repeat("x", 1<<20)})
	_, err := extractInto(context.Background(), bytes.NewReader(b), dir, Options{})
	if !errors.Is(err, syscall.ENOSPC) || isOurs(err) {
		t.Errorf("got %v", err)
	}
}
