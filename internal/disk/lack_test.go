package disk

import (
	"errors"
	"fmt"
	"math"
	"testing"

	"golang.org/x/sys/unix"
)

// No size is so large that there seems to be room for it; and what can be given back
// helps where it is enough, or nobody knows how much that is.
func TestHelps(t *testing.T) {
	d, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, size := range []int64{1 << 62, math.MaxInt64 - 1, math.MaxInt64} {
		full := d.Room(size)
		if !errors.Is(full, ErrNoRoom) {
			t.Fatalf("room for %d bytes: %v", size, full)
		}
		full = fmt.Errorf("no place: %w", joined([]error{errors.New("another"), full}))
		if d.Helps(1<<30, full) || !d.Helps(math.MaxInt64, full) {
			t.Errorf("%d bytes: what helps is wrong", size)
		}
	}
	elsewhere := &lack{device: d.Device() + 1, needed: 2, free: 1}
	for _, c := range []struct {
		err  error
		want bool
	}{
		{nil, false}, {unix.EIO, false}, {elsewhere, false}, {unix.ENOSPC, true}, {fmt.Errorf("x: %w", ErrNoRoom), true},
		{joined([]error{elsewhere, &lack{device: d.Device(), needed: reserve, free: reserve}}), true},
		{&lack{device: d.Device(), needed: 2 * reserve, free: reserve}, false},
	} {
		if got := d.Helps(reserve, c.err); got != c.want {
			t.Errorf("%v: %v", c.err, got)
		}
	}
}
