package failure

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"testing"
)

// TestClasses: an error keeps class, hint and cause through what is wrapped
// around it.
func TestClasses(t *testing.T) {
	cause := fs.ErrPermission
	for _, tc := range []struct {
		name        string
		err, class  error
		hint, text  string
		losesItsWhy bool
	}{
		{name: "usage", err: Usage("x: %w", cause), class: ErrUsage, hint: "see stretcher --help",
			text: "x: permission denied"},
		{name: "malformed", err: Malformed("x: %w", cause), class: ErrMalformed, text: "x: permission denied"},
		{name: "refused", err: Refused("x: %w", cause), class: ErrRefused, text: "x: permission denied"},
		{name: "no class", err: Hinted("wait", cause), class: cause, hint: "wait", text: "permission denied"},
		{name: "hint within", err: Malformed("x: %w", Hinted("wait", cause)), class: ErrMalformed, hint: "wait",
			text: "x: permission denied"},
		{name: "hint without", err: Hinted("outer", Hinted("inner", Refused("x: %w", cause))), class: ErrRefused,
			hint: "outer", text: "x: permission denied"},
		{name: "empty hint", err: Hinted("", Hinted("inner", cause)), class: cause, hint: "inner", text: "permission denied"},
		{name: "wrapped", err: fmt.Errorf("step: %w", Hinted("wait", Refused("x: %w", cause))), class: ErrRefused,
			hint: "wait", text: "step: x: permission denied"},
		{name: "retold", err: Retold("no", Hinted("wait", Refused("x"))), class: ErrRefused, hint: "wait", text: "no",
			losesItsWhy: true},
	} {
		if !errors.Is(tc.err, tc.class) || Hint(tc.err) != tc.hint || tc.err.Error() != tc.text {
			t.Errorf("%s: class %v, hint %q, text %q", tc.name, Class(tc.err), Hint(tc.err), tc.err)
		}
		if errors.Is(tc.err, cause) == tc.losesItsWhy {
			t.Errorf("%s: cause is %v", tc.name, errors.Is(tc.err, cause))
		}
	}
	if plain := errors.New("plain"); Class(plain) != plain || Hint(plain) != "" {
		t.Errorf("class %v, hint %q", Class(plain), Hint(plain))
	}
}

// TestInterrupted: a signal is found as the cause of a context's end, however
// deep.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	if _, ok := Interrupted(ctx); ok {
		t.Error("interrupted before anything has happened")
	}
	cancel(fmt.Errorf("stopped: %w", Signal{syscall.SIGTERM}))
	s, ok := Interrupted(ctx)
	if !ok || s.Signal != syscall.SIGTERM || s.Error() != "interrupted by signal terminated" {
		t.Errorf("got %v, %v", s, ok)
	}
}
