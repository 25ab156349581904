//go:build unix && !linux

package confined

// ACL is what a directory hands on to what is made in it. These systems are
// not asked for it.
type ACL []byte

// DefaultACL is none.
func DefaultACL(int) (ACL, error) { return nil, nil }

// HasACL tells that there is none.
func HasACL(int) bool { return false }

// Inherit changes nothing.
func (ACL) Inherit(int) error { return nil }

// InheritAt changes nothing.
func (ACL) InheritAt(int, string) error { return nil }
