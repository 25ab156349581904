package event

import (
	"context"
	"fmt"
	"time"

	"stretcher/internal/text/failure"
)

// Where keys must vouch for manifests, an event does not give way to a newer one
// for that alone: who can send events and sign nothing could otherwise keep a new
// manifest from a host, by an event with the one that the host has. So the older
// ones are looked at, the newest first. That must not take for ever.
const (
	maxLooks  = 256 // as many events as a Consul agent keeps
	looksTime = 5 * time.Minute
)

// Looks are those at the manifests of the older events of one array.
type Looks struct {
	old   map[string]bool // URLs of manifests that are no newer than what the host has had
	count int
	spent time.Duration
}

// NewLooks begins them; url is that of a manifest that has been deployed, "" = of none.
func NewLooks(url string) *Looks { return &Looks{old: map[string]bool{url: url != ""}} }

// Host is what knows of events and their manifests.
type Host struct {
	// Taken tells whether an event has been handled, by its key.
	Taken func(key string) bool
	// News tells whether a manifest is newer than all that the host has had.
	News func(ctx context.Context, url string) (bool, error)
	// Spent tells of an error of News whether it uses the event up, and whether a run
	// would have more to say of it.
	Spent func(err error) (usesUp, tells bool)
	// Skip notes that an event gives way to a newer one.
	Skip func(e Event)

	Info, Warn func(text string)
}

// Next is the newest of the events before e whose manifest is newer than what the host
// has had; nil = none is. The others are skipped; those of which that can't be told
// wait until they are handed over again.
func (l *Looks) Next(ctx context.Context, e *Event, h Host) *Event {
	for e = e.Previous(); e != nil && context.Cause(ctx) == nil; e = e.Previous() {
		if h.Taken(e.Key()) {
			continue
		}
		if l.count >= maxLooks || l.spent >= looksTime {
			h.Warn(fmt.Sprintf("%s waits, and all before it: enough older events were looked at", e))
			return nil
		}
		newer, err := l.isNewer(ctx, e, h)
		waits := false
		if err != nil {
			usesUp, _ := h.Spent(err)
			waits = !usesUp
		}
		switch {
		case context.Cause(ctx) != nil:
			return nil
		case newer:
			h.Info(fmt.Sprintf("%s is older, and its manifest is newer than what this host has had", e))
			return e
		case waits:
			h.Warn(failure.Sayf("%s waits, which is older: %v", e, err))
		default:
			h.Skip(*e)
		}
	}
	return nil
}

// isNewer looks at the manifest of an event. One that was accepted by the keys, and
// is wrong, counts as newer: its run says what is wrong. What could not be deployed
// whatever it says does not.
func (l *Looks) isNewer(ctx context.Context, e *Event, h Host) (newer bool, err error) {
	if e.Problem != nil || l.old[e.URL] {
		return false, nil
	}
	began := time.Now()
	within, cancel := context.WithTimeout(ctx, looksTime-l.spent)
	defer cancel()
	newer, err = h.News(within, e.URL)
	l.count, l.spent = l.count+1, l.spent+time.Since(began)
	if err == nil {
		l.old[e.URL] = !newer
		return newer, nil
	}
	usesUp, tells := h.Spent(err)
	return usesUp && tells, err
}
