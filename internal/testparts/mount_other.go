//go:build unix && !linux

package testparts

import "testing"

// Mount skips the test: what it would mount, and how, is Linux's.
func Mount(t testing.TB, _, _, _ string, _ uintptr, _ string) {
	t.Helper()
	t.Skip("only Linux mounts so")
}

// Bind skips the test, as Mount does.
func Bind(t testing.TB, from, to string) {
	t.Helper()
	Mount(t, from, to, "", 0, "")
}
