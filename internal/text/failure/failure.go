// Package failure is what an error tells besides its text: the class that
// decides the exit status, and what the user can do about it.
//
// Its words: a class is one of the errors ErrUsage, ErrMalformed and
// ErrRefused; an error without a class is a step that failed. A hint is said
// to the user apart from the error. The text of an error is what Text makes
// of it; until then errors keep their causes.
//
// It imports text/printable alone.
package failure

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"stretcher/internal/text/printable"
)

// Classes of failure that have an exit status of their own. Any other error
// is a step that failed.
var (
	ErrUsage     = errors.New("wrong usage")
	ErrMalformed = errors.New("malformed input")
	ErrRefused   = errors.New("refused")
)

// failure is an error of a class, with a hint for the user when there is
// something to do about it.
type failure struct {
	class error
	err   error
	hint  string
}

// Error is the error without its class and hint.
func (f *failure) Error() string { return f.err.Error() }

// Unwrap gives errors.Is the class and the cause.
func (f *failure) Unwrap() []error { return []error{f.class, f.err} }

// SeeHelp is the hint at the help, or the end of one. Who knows which command was
// meant names the help of that.
const SeeHelp = "see stretcher --help"

// Usage is fmt.Errorf for wrong usage, with a hint at the help.
func Usage(format string, args ...any) error {
	return &failure{class: ErrUsage, err: fmt.Errorf(format, args...), hint: SeeHelp}
}

// Malformed is fmt.Errorf for an event, a manifest or an archive that is not
// well-formed.
func Malformed(format string, args ...any) error {
	return &failure{class: ErrMalformed, err: fmt.Errorf(format, args...)}
}

// Refused is fmt.Errorf for what is not allowed.
func Refused(format string, args ...any) error {
	return &failure{class: ErrRefused, err: fmt.Errorf(format, args...)}
}

// Hinted adds a hint to an error of any class. An empty hint leaves the one
// that the error has.
func Hinted(hint string, err error) error {
	return &failure{class: Class(err), err: err, hint: hint}
}

// notYet is an error of what may be otherwise later.
type notYet struct{ error }

// Unwrap gives the cause.
func (n notYet) Unwrap() error { return n.error }

// NotYet makes err one of what may be otherwise later: something was not there, or
// the host must be mended. Who asked may ask again.
func NotYet(err error) error { return notYet{err} }

// IsNotYet tells whether err is such a one.
func IsNotYet(err error) bool { return errors.As(err, new(notYet)) }

// Retold is err said in other words: what it is for errors.Is, and its hint,
// stay.
func Retold(text string, err error) error {
	return &failure{class: Class(err), err: errors.New(text), hint: Hint(err)}
}

// Hint returns the outermost hint that err carries, or "".
func Hint(err error) string {
	var f *failure
	for errors.As(err, &f) {
		if f.hint != "" {
			return f.hint
		}
		err = f.err
	}
	return ""
}

// Class returns err's class, or err itself when it has none.
func Class(err error) error {
	for _, class := range []error{ErrUsage, ErrMalformed, ErrRefused} {
		if errors.Is(err, class) {
			return class
		}
	}
	return err
}

// Text is what is said of an error, in one line: its text, with the paths
// quoted that package os leaves bare, and escaped as package printable does.
// Errors are made into text here and in Sayf, and nowhere else.
func Text(err error) string {
	text := strings.NewReplacer(quotedPaths(err)...).Replace(err.Error())
	return printable.Line(strings.ReplaceAll(text, "\n", "; ")) // of errors that were joined
}

// quotedPaths are pairs of what causes of an error from package os say and
// what is to be said instead.
func quotedPaths(err error) (pairs []string) {
	switch e := err.(type) {
	case *fs.PathError:
		return []string{e.Error(), fmt.Sprintf("%s %q: %s", operation(e.Op), e.Path, Text(e.Err))}
	case *os.LinkError:
		return []string{e.Error(), fmt.Sprintf("%s %q %q: %s", operation(e.Op), e.Old, e.New, Text(e.Err))}
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

// operation is what package os calls a thing that it does, without the "at" of
// system calls that work below an open directory.
func operation(op string) string {
	switch op {
	case "openat", "statat", "lstatat", "mkdirat", "unlinkat", "readlinkat", "chmodat", "chownat", "lchownat", "chtimesat",
		"renameat", "linkat", "symlinkat":
		return strings.TrimSuffix(op, "at")
	}
	return op
}

// Sayf is fmt.Sprintf for what people read: errors are as in Text.
func Sayf(format string, args ...any) string {
	args = slices.Clone(args)
	for i, arg := range args {
		if err, ok := arg.(error); ok {
			args[i] = Text(err)
		}
	}
	return fmt.Sprintf(format, args...)
}

// Signal is the cause of a run that was interrupted.
type Signal struct{ os.Signal }

// Error names the signal.
func (s Signal) Error() string { return "interrupted by signal " + s.String() }

// AsInterrupted makes the interruption that ended ctx the reason for what
// somebody has made of it.
func AsInterrupted(ctx context.Context, err error) error {
	if sig, ok := Interrupted(ctx); ok && err != nil && !errors.As(err, new(Signal)) {
		return fmt.Errorf("%w (%s)", sig, Text(err))
	}
	return err
}

// Interrupted returns the signal that ended ctx, if one did.
func Interrupted(ctx context.Context) (Signal, bool) {
	var s Signal
	ok := errors.As(context.Cause(ctx), &s)
	return s, ok
}
