package policy

import (
	"cmp"
	"fmt"
	"strconv"
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

// UnmarshalText reads a number that a server bears.
func (c *Connections) UnmarshalText(b []byte) error {
	n, err := strconv.Atoi(string(b))
	if err != nil || n < 1 || n > mostConnections {
		return fmt.Errorf("is not a number from 1 to %d", mostConnections)
	}
	*c = Connections(n)
	return nil
}

// Restricted is what a manifest's own count comes to: the default where it says
// nothing, and no more than the host allows.
func (c Connections) Restricted(host Connections) Connections {
	return smaller(cmp.Or(c, defaultConnections), host)
}
