package archive

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"

	"stretcher/internal/testparts"
)

func TestNoSpace(t *testing.T) {
	dir := t.TempDir()
	testparts.Mount(t, "tmpfs", dir, "tmpfs", 0, "size=64k")
	b := tarOf(ent{name: "f", data: strings.Repeat("x", 1<<20)})
	_, err := extractInto(context.Background(), bytes.NewReader(b), dir, Options{})
	if !errors.Is(err, syscall.ENOSPC) || isOurs(err) {
		t.Errorf("got %v", err)
	}
}
