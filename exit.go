package main

import (
	"errors"
	"syscall"

	"stretcher/internal/archive"
	"stretcher/internal/disk"
	"stretcher/internal/fetch/store"
	"stretcher/internal/fetch/transfer"
	"stretcher/internal/journal/lock"
	"stretcher/internal/policy"
	"stretcher/internal/text/failure"
)

// Exit statuses, as the README lists them.
const (
	exitGood      = 0
	exitFailed    = 1
	exitUsage     = 2
	exitMalformed = 3
	exitRefused   = 4
	exitChanges   = 10 // plan
	exitBusy      = 75
	exitSignal    = 128 // plus the signal's number
)

// exitCode maps an error to the exit status that the README promises.
func exitCode(err error) int {
	var s failure.Signal
	switch {
	case err == nil:
		return exitGood
	case errors.As(err, &s):
		if n, ok := s.Signal.(syscall.Signal); ok {
			return exitSignal + int(n)
		}
		return exitFailed
	case errors.Is(err, failure.ErrUsage):
		return exitUsage
	case errors.Is(err, lock.ErrHeld):
		return exitBusy
	case isRefusal(err):
		return exitRefused
	case errors.Is(err, failure.ErrMalformed), errors.Is(err, archive.ErrMalformed):
		return exitMalformed
	default:
		return exitFailed
	}
}

// isRefusal reports whether err is what the manifest or the host does not
// allow.
func isRefusal(err error) bool {
	for _, refusal := range []error{
		failure.ErrRefused, policy.ErrRefused, archive.ErrUnsafe, archive.ErrLimit, transfer.ErrTooLarge,
	} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	return false
}

// hintOf returns the hint that goes with err, or "".
func hintOf(err error) string {
	if hint := failure.Hint(err); hint != "" {
		return hint
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, disk.ErrNoRoom) {
		return "make room there; temporary files go where TMPDIR names, or beside dest"
	}
	return store.Hint(err)
}
