package cli

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"stretcher/internal/archive"
	"stretcher/internal/disk"
	"stretcher/internal/fetch/store"
	"stretcher/internal/fetch/transfer"
	"stretcher/internal/fleet"
	"stretcher/internal/journal/lock"
	"stretcher/internal/policy"
	"stretcher/internal/text/failure"
)

// Exit statuses, as the README lists them.
const (
	ExitGood      = 0
	ExitFailed    = 1
	ExitUsage     = 2
	ExitMalformed = 3
	ExitRefused   = 4
	ExitChanges   = 10 // plan
	ExitBusy      = 75
	exitSignal    = 128 // plus the signal's number
)

// Status maps an error to the exit status that the README promises.
func Status(err error) int {
	var s failure.Signal
	switch {
	case err == nil:
		return ExitGood
	case errors.As(err, &s):
		if n, ok := s.Signal.(syscall.Signal); ok {
			return exitSignal + int(n)
		}
		return ExitFailed
	case errors.Is(err, failure.ErrUsage):
		return ExitUsage
	case errors.Is(err, lock.ErrHeld):
		return ExitBusy
	case isRefusal(err):
		return ExitRefused
	case errors.Is(err, failure.ErrMalformed), errors.Is(err, archive.ErrMalformed):
		return ExitMalformed
	default:
		return ExitFailed
	}
}

// ExitTable is the exit statuses as the documents and help list them, and
// notes, which have no status.
func ExitTable() [][2]string {
	return [][2]string{
		{"0", "deployed, or nothing to do"},
		{"1", "a step failed"},
		{"2", "wrong usage"},
		{"3", "the event, manifest or archive is malformed"},
		{"4", "refused: signature, serial, expiry, checksum, policy, limit or unsafe archive"},
		{"10", "plan: dest would change"},
		{"75", "another run holds the lock on dest and the wait is over"},
		{"129, 130, 143", "interrupted by SIGHUP, SIGINT or SIGTERM, after failure commands and clean-up"},
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

// Hint returns the hint that goes with err, or "".
func Hint(err error) string {
	if hint := failure.Hint(err); hint != "" {
		return hint
	}
	var file *fs.PathError
	if errors.As(err, &file) && file.Path == os.Stdout.Name() {
		return "" // it is the caller's, and nothing of ours lies there
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, disk.ErrNoRoom) {
		return "make room there; temporary files go where TMPDIR names, or beside dest"
	}
	if errors.Is(err, fleet.ErrUnreachable) {
		return "CONSUL_HTTP_ADDR, CONSUL_HTTP_TOKEN and so on say how Consul is reached"
	}
	return store.Hint(err)
}
