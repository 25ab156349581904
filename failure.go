package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"

	"stretcher/internal/archive"
	"stretcher/internal/disk"
	"stretcher/internal/fetch/transfer"
	"stretcher/internal/journal/lock"
	"stretcher/internal/policy"
)

// Classes of failure that have an exit status of their own. Any other error
// is a step that failed.
var (
	errUsage     = errors.New("wrong usage")
	errMalformed = errors.New("malformed input")
	errRefused   = errors.New("refused")
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

// failure is an error of a class, with a hint for the user when there is
// something to do about it. The hint is shown apart from the error.
type failure struct {
	class error
	err   error
	hint  string
}

// Error is the error without its class and hint.
func (f *failure) Error() string { return f.err.Error() }

// Unwrap gives errors.Is the class and the cause.
func (f *failure) Unwrap() []error { return []error{f.class, f.err} }

func usage(format string, args ...any) error {
	return &failure{class: errUsage, err: fmt.Errorf(format, args...), hint: "see stretcher --help"}
}

func malformed(format string, args ...any) error {
	return &failure{class: errMalformed, err: fmt.Errorf(format, args...)}
}

func refused(format string, args ...any) error {
	return &failure{class: errRefused, err: fmt.Errorf(format, args...)}
}

// hinted adds a hint to an error of any class.
func hinted(hint string, err error) error {
	return &failure{class: classOf(err), err: err, hint: hint}
}

// hintOf returns the hint that goes with err, or "".
func hintOf(err error) string {
	var f *failure
	if errors.As(err, &f) && f.hint != "" {
		return f.hint
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, disk.ErrNoRoom) {
		return "make room there; temporary files go where TMPDIR names, or beside dest"
	}
	return storeHint(err)
}

// textOf is what is said of an error: its text, with the paths quoted that
// package os leaves bare. In this package errors are made into text here and in
// sayf, and nowhere else: until then they keep their causes.
func textOf(err error) string {
	return strings.NewReplacer(quotedPaths(err)...).Replace(err.Error())
}

// quotedPaths are pairs of what causes of an error from package os say and
// what is to be said instead.
func quotedPaths(err error) (pairs []string) {
	switch e := err.(type) {
	case *fs.PathError:
		return []string{e.Error(), fmt.Sprintf("%s %q: %s", e.Op, e.Path, textOf(e.Err))}
	case *os.LinkError:
		return []string{e.Error(), fmt.Sprintf("%s %q %q: %s", e.Op, e.Old, e.New, textOf(e.Err))}
	case interface{ Unwrap() error }:
		if cause := e.Unwrap(); cause != nil {
			return quotedPaths(cause)
		}
	case interface{ Unwrap() []error }:
		for _, cause := range e.Unwrap() {
			pairs = append(pairs, quotedPaths(cause)...)
		}
	}
	return pairs
}

// sayf is fmt.Sprintf for what people read: errors are as in textOf.
func sayf(format string, args ...any) string {
	args = slices.Clone(args)
	for i, arg := range args {
		if err, ok := arg.(error); ok {
			args[i] = textOf(err)
		}
	}
	return fmt.Sprintf(format, args...)
}

// signalError is the cause of a run that was interrupted.
type signalError struct{ os.Signal }

// Error names the signal.
func (s signalError) Error() string { return "interrupted by signal " + s.String() }

// interrupted returns the signal that ended ctx, if one did.
func interrupted(ctx context.Context) (signalError, bool) {
	var s signalError
	ok := errors.As(context.Cause(ctx), &s)
	return s, ok
}

// classOf returns err's class, or err itself when it has none.
func classOf(err error) error {
	for _, class := range []error{errUsage, errMalformed, errRefused} {
		if errors.Is(err, class) {
			return class
		}
	}
	return err
}

// exitCode maps an error to the exit status that the README promises.
func exitCode(err error) int {
	var s signalError
	switch {
	case err == nil:
		return exitGood
	case errors.As(err, &s):
		if n, ok := s.Signal.(syscall.Signal); ok {
			return exitSignal + int(n)
		}
		return exitFailed
	case errors.Is(err, errUsage):
		return exitUsage
	case errors.Is(err, lock.ErrHeld):
		return exitBusy
	case errors.Is(err, errRefused), errors.Is(err, policy.ErrRefused), errors.Is(err, archive.ErrUnsafe), errors.Is(err, archive.ErrLimit), errors.Is(err, transfer.ErrTooLarge):
		return exitRefused
	case errors.Is(err, errMalformed), errors.Is(err, archive.ErrMalformed):
		return exitMalformed
	default:
		return exitFailed
	}
}
