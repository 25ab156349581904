package fleet

import (
	"errors"
	"time"
)

// ErrBegun is the answer to who removes a rollout in whose place another one has begun.
var ErrBegun = errors.New("another rollout of that name has begun meanwhile")

// Forgetting says what is to be removed of a name whose rollout is over.
type Forgetting struct {
	Name   string
	Beside []string // keys that are not among those of rollouts, and go as well
	Force  bool     // though it is not over
	DryRun bool     // nothing is removed

	// Waits is told which hosts may be at work, though nobody hears of them, and until
	// when that is waited for.
	Waits func(hosts []string, until time.Time)
}

// Forgotten is what has been removed, or would be.
type Forgotten struct {
	State State    // how the rollout stood
	Parts []Part   // what there was of it
	Going []string // why it is not over; none = it is
}

// Part is some of the keys of a name's rollouts.
type Part struct {
	Key  string // a key, or what they begin with
	Keys int    // so many
}
