package manifest

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
)

// Fingerprint names what a deployment of m puts at dest, and how. It is in the
// history: what goes into it must stay as it is, or no host knows any more
// what it has.
func (m *Manifest) Fingerprint() string {
	parts := []any{
		m.Checksum.String(), m.SyncStrategy, m.Excludes, m.ExcludeFrom, m.DestMode, m.Extract, m.Releases.Shared,
	}
	if len(m.Hooks.MakeTree()) > 0 {
		parts = append(parts, "hooks")
	}
	if m.Strip > 0 {
		parts = append(parts, map[string]int64{"strip_components": m.Strip})
	}
	b, err := json.Marshal(parts)
	if err != nil {
		panic(err) // strings and numbers
	}
	return fmt.Sprintf("%x", sha256.Sum256(b))
}
