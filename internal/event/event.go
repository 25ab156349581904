// Package event reads what asked for a deployment: an argument, a line on
// standard input, the array of a Consul watch or the payload of a Serf event.
//
// Its words: the event is the newest one that was handed over, the older ones
// came beside it; its key is what it is known by when it is handed over again.
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
	Agent   string  // Serf: who handed it over, by another name after each start; "" = not known
	URL     string  // the manifest's
	Query   bool    // Serf: somebody waits for a reply of one line
	Older   []Event // Consul: what came before it in the same array, the oldest first
	Problem error   // why URL is none; nil: it may be one
}

// Previous is the newest of the older events, with those before it, or nil.
func (e Event) Previous() *Event {
	last := len(e.Older) - 1
	if last < 0 {
		return nil
	}
	previous := e.Older[last]
	previous.Older = e.Older[:last]
	return &previous
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
// as long as the agent that handed it over runs. Serf itself hands over each
// event once: without an agent, two events are not taken for one.
func (e Event) Key() string {
	switch {
	case e.Source == Consul && e.ID != "":
		return "consul:" + e.ID
	case e.Source == Serf && e.LTime != "" && e.Agent != "":
		return strings.Join([]string{"serf", e.Agent, e.Name, e.LTime, fmt.Sprintf("%x", sha256.Sum256([]byte(e.URL)))}, ":")
	default:
		return ""
	}
}
