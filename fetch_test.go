package main

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"stretcher/internal/cli"
	"stretcher/internal/journal"
)

// TestLeastRate: what fetches holds servers to the rate of the host policy.
func TestLeastRate(t *testing.T) {
	for text, want := range map[string]int64{"limits: {rate: 7kB}": 7000, "limits: {rate: 0}": 0, "{}": 1 << 10} {
		dir := t.TempDir()
		name := filepath.Join(dir, "policy.yml")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s := cli.Settings{Stdout: io.Discard, Stderr: io.Discard}
		s.Config, s.ConfigGiven, s.StateDir = name, true, filepath.Join(dir, "state")
		d, closeAll, err := newDeployer(t.Context(), s, journal.Unnoted, nil)
		if err != nil {
			t.Fatal(err)
		}
		closeAll()
		if got := d.fetcher.Transfer.LeastRate; got != want {
			t.Errorf("%q: %d bytes per second, not %d", text, got, want)
		}
	}
}
