package main

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

// TestExitCode: each class of failure has the status that the README lists,
// wrapped as it may be.
func TestExitCode(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want int
	}{
		{nil, exitGood},
		{errors.New("a step"), exitFailed},
		{failure.Usage("x"), exitUsage},
		{failure.Malformed("x"), exitMalformed},
		{archive.ErrMalformed, exitMalformed},
		{failure.Refused("x"), exitRefused},
		{policy.ErrRefused, exitRefused},
		{archive.ErrUnsafe, exitRefused},
		{archive.ErrLimit, exitRefused},
		{transfer.ErrTooLarge, exitRefused},
		{lock.ErrHeld, exitBusy},
		{failure.Signal{Signal: syscall.SIGTERM}, 143},
		{failure.Signal{Signal: os.Interrupt}, 130},
		{failure.Refused("x: %w", failure.Signal{Signal: syscall.SIGHUP}), 129},
		{failure.Malformed("x: %w", archive.ErrUnsafe), exitRefused},
	} {
		if got := exitCode(tc.err); got != tc.want {
			t.Errorf("%v: %d, want %d", tc.err, got, tc.want)
		}
		if tc.err != nil {
			if got := exitCode(fmt.Errorf("step: %w", tc.err)); got != tc.want {
				t.Errorf("wrapped %v: %d, want %d", tc.err, got, tc.want)
			}
		}
	}
}

// TestHintOf: an error's own hint goes before what its cause says.
func TestHintOf(t *testing.T) {
	for _, full := range []error{syscall.ENOSPC, disk.ErrNoRoom} {
		if hint := hintOf(fmt.Errorf("write: %w", full)); hint == "" {
			t.Errorf("no hint for %v", full)
		}
		if hint := hintOf(failure.Hinted("own", full)); hint != "own" {
			t.Errorf("%v: hint %q", full, hint)
		}
	}
}
