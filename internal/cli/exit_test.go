package cli

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

	"stretcher/internal/archive"
	"stretcher/internal/disk"
	"stretcher/internal/fetch/transfer"
	"stretcher/internal/journal/lock"
	"stretcher/internal/policy"
	"stretcher/internal/text/failure"
)

// TestStatus: each class of failure has the status that the README lists,
// wrapped as it may be.
func TestStatus(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want int
	}{
		{nil, ExitGood},
		{errors.New("a step"), ExitFailed},
		{failure.Usage("x"), ExitUsage},
		{failure.Malformed("x"), ExitMalformed},
		{archive.ErrMalformed, ExitMalformed},
		{failure.Refused("x"), ExitRefused},
		{policy.ErrRefused, ExitRefused},
		{archive.ErrUnsafe, ExitRefused},
		{archive.ErrLimit, ExitRefused},
		{transfer.ErrTooLarge, ExitRefused},
		{lock.ErrHeld, ExitBusy},
		{failure.Signal{Signal: syscall.SIGTERM}, 143},
		{failure.Signal{Signal: os.Interrupt}, 130},
		{failure.Refused("x: %w", failure.Signal{Signal: syscall.SIGHUP}), 129},
		{failure.Malformed("x: %w", archive.ErrUnsafe), ExitRefused},
	} {
		if got := Status(tc.err); got != tc.want {
			t.Errorf("%v: %d, want %d", tc.err, got, tc.want)
		}
		if tc.err != nil {
			if got := Status(fmt.Errorf("step: %w", tc.err)); got != tc.want {
				t.Errorf("wrapped %v: %d, want %d", tc.err, got, tc.want)
			}
		}
	}
}

// TestHint: an error's own hint goes before what its cause says.
func TestHint(t *testing.T) {
	for _, full := range []error{syscall.ENOSPC, disk.ErrNoRoom} {
		if hint := Hint(fmt.Errorf("write: %w", full)); hint == "" {
			t.Errorf("no hint for %v", full)
		}
		if hint := Hint(failure.Hinted("own", full)); hint != "own" {
			t.Errorf("%v: hint %q", full, hint)
		}
	}
}
