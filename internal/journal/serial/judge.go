package serial

import (
	"context"
	"errors"
	"fmt"

	"stretcher/internal/text/failure"
)

// Judge compares serials of manifests with what the host has had. Where keys must
// vouch for manifests, one that can't be compared is refused: nobody can tell what
// the floor is.
type Judge struct {
	Store   *Store
	Broken  error   // why there is no state directory; nil = there is one
	Trusted Trusted // the keys whose serials count; nil: no keys are asked for
	Warn    func(text string)
}

// floor is the lowest serial that a manifest may have.
func (j *Judge) floor(name string) (int64, error) {
	if j.Broken != nil {
		return 0, j.Broken
	}
	return j.Store.Floor(name, j.Trusted)
}

// Compare refuses what is older than what the host has had; 0 is no serial. It raises
// nothing.
func (j *Judge) Compare(name string, serial int64) error {
	if serial == 0 {
		return nil
	}
	floor, err := j.floor(name)
	if err != nil && j.Trusted == nil {
		return nil // a deployment will say so
	}
	return j.judge(name, serial, floor, err)
}

// Raise is Compare for a deployment: what is not refused counts as had from then on.
func (j *Judge) Raise(ctx context.Context, c Claim) error {
	floor, err := int64(0), j.Broken
	if err == nil {
		floor, err = j.Store.Raise(ctx, c, j.Trusted)
	}
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	return j.judge(c.Name, c.Serial, floor, err)
}

// IsNews tells whether a serial is higher than all that the host has had.
func (j *Judge) IsNews(name string, serial int64) (bool, error) {
	floor, err := j.Store.Floor(name, j.Trusted)
	if err != nil {
		return false, failure.NotYet(err)
	}
	return serial > floor, nil
}

// Tell says what a serial is compared with; "" where that is not known. A host has its
// own floors: on a machine that makes manifests there are none.
func (j *Judge) Tell(name string) string {
	switch floor, err := j.floor(name); {
	case err != nil:
		return ""
	case floor == 0:
		return fmt.Sprintf("there is none of %q in %q to compare it with: a host has its own", name, j.Store.state)
	default:
		return fmt.Sprintf("the highest of %q is %d, in %q", name, floor, j.Store.Path(name))
	}
}

// judge refuses a serial that is lower than the floor. err says why that is not known.
func (j *Judge) judge(name string, serial, floor int64, err error) error {
	switch {
	case err != nil && j.Trusted != nil:
		hint := ""
		if errors.Is(err, ErrDamaged) {
			hint = "bring it back from a backup, or take it away: docs/signing.md says what that costs"
		}
		err = failure.Refused("serial %d of %q can't be compared: %w", serial, name, err)
		return failure.Hinted(hint, failure.NotYet(err))
	case err != nil:
		j.Warn(failure.Sayf("serial %d of %q is not compared: %v", serial, name, err))
	case serial < floor:
		hint := fmt.Sprintf("to go back, stretcher rollback DEST; else the manifest needs a higher serial. "+
			"If %d was a mistake: docs/signing.md. It is in %q", floor, j.Store.Path(name))
		return failure.Hinted(hint,
			failure.Refused("serial %d of %q is lower than %d, which this host has had", serial, name, floor))
	}
	return nil
}
