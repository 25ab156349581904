package main

import (
	"errors"
	"testing"

	"stretcher/internal/strategy"
)

// refusing is a strategy that finds a layout it would destroy.
type refusing struct {
	strategy.Strategy
	err     error
	checked bool
}

func (r *refusing) CheckLayout() error { return r.err }

func (r *refusing) Check() error {
	r.checked = true
	return nil
}

// TestCheck: a layout that has been refused is looked at no further.
func TestCheck(t *testing.T) {
	r := &refusing{err: errors.New("refused")}
	if err := (Spec{Strategy: r}).check(); !errors.Is(err, r.err) || r.checked {
		t.Errorf("err = %v, checked: %v", err, r.checked)
	}
	r.err = nil
	if err := (Spec{Strategy: r}).check(); err != nil || !r.checked {
		t.Errorf("err = %v, checked: %v", err, r.checked)
	}
}
