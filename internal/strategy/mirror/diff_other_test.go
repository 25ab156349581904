//go:build unix && !linux

package mirror

import (
	"math/rand/v2"
	"os"
	"testing"
)

// surroundings are the same everywhere: ACLs and mounts are tried on Linux.
type surroundings struct{}

func (*trial) surround(*rand.Rand) {}
func (*trial) begin()              {}

func private(t testing.TB, dir string) { check(t, os.Mkdir(dir, 0o700)) }

func aclsOf(string) string { return "" }
