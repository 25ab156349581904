package policy

import (
	"cmp"
	"strconv"

	"stretcher/internal/text/keys"
)

// Fetch says how an archive is fetched.
type Fetch struct {
	Connections Connections `yaml:"connections"` // at once, at most; 0 = it is not written
}

// Connections is a number of connections.
type Connections int64

const (
	defaultConnections = 4
	mostConnections    = 16
)

// ConnectionsRange is how many connections there can be.
func ConnectionsRange() keys.Number { return keys.Number{Least: 1, Most: mostConnections} }

// UnmarshalText reads a number that a server bears.
func (c *Connections) UnmarshalText(b []byte) error {
	n, err := strconv.ParseInt(string(b), 10, 64)
	if wrong := ConnectionsRange().Check(n); err != nil || wrong != nil {
		return cmp.Or(wrong, ConnectionsRange().Check(-1))
	}
	*c = Connections(n)
	return nil
}

// Restricted is what a manifest's own count comes to: the default where it says
// nothing, and no more than the host allows.
func (c Connections) Restricted(host Connections) Connections {
	return smaller(cmp.Or(c, defaultConnections), host)
}
