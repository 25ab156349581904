// Package event reads what asked for a deployment: an argument, a line on
// standard input, the array of a Consul watch or the payload of a Serf event.
//
// Its words: the event is the newest one that was handed over, the skipped
// are older ones beside it; its key is what it is known by when it is handed
// over again.
//
// It may import internal/text/failure. It fetches nothing and remembers
// nothing.
package event

import (
	"crypto/sha256"
	"fmt"
	"strings"
)

// Where an event came from.
const (
	Argument  = "argument"
	Stdin     = "stdin"
	Consul    = "consul"
	Serf      = "serf"
	Rollback  = "rollback"
	Malformed = "malformed event" // one that could not be read
)

// Event is what asked for a deployment.
type Event struct {
	Source  string  // one of the constants
	ID      string  // Consul: the event's UUID
	Name    string  // Consul, Serf: the event's name
	LTime   string  // Consul, Serf: Lamport time, as it was given
	URL     string  // the manifest's
	Query   bool    // Serf: somebody waits for a reply of one line
	Skipped []Event // Consul: older events that came in the same array
}

// String names the event as logs and history do.
func (e Event) String() string {
	switch e.Source {
	case Consul:
		return fmt.Sprintf("consul %s %s", e.Name, e.ID)
	case Serf:
		return fmt.Sprintf("serf %s %s", e.Name, e.LTime)
	default:
		return e.Source
	}
}

// Key is what the event is known by when it is handed over again, or "" for
// one that can't be told from the next: a URL on the command line or on
// stdin. Lamport times begin again with the cluster, so a Serf event is known
// within one boot of this machine only.
func (e Event) Key(boot string) string {
	switch {
	case e.Source == Consul && e.ID != "":
		return "consul:" + e.ID
	case e.Source == Serf && e.LTime != "":
		return strings.Join([]string{"serf", boot, e.Name, e.LTime, fmt.Sprintf("%x", sha256.Sum256([]byte(e.URL)))}, ":")
	default:
		return ""
	}
}
