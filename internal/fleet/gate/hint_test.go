package gate

import (
	"errors"
	"fmt"
	"testing"

	"stretcher/internal/fleet"
	"stretcher/internal/text/failure"
)

// TestHint: what an error says itself stands before what is said of its kind.
func TestHint(t *testing.T) {
	if got := hint(failure.Hinted("remove it", fmt.Errorf("%w: spoilt", fleet.ErrStopped))); got != "remove it" {
		t.Errorf("%q", got)
	}
	if hint(fleet.ErrStopped) == "" || hint(fleet.ErrUnreachable) == "" || hint(errors.New("else")) != "" {
		t.Error("the hint of a kind is missing, or is for others")
	}
}
