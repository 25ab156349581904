package fetch

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"time"
)

// Spread is how long this host waits before it asks, at most most, so that a fleet
// does not ask at once: at random, or always the same time. Why says more of it.
func Spread(most time.Duration, always bool) (wait time.Duration, why string) {
	if !always {
		return rand.N(most), ""
	}
	host, err := os.Hostname()
	if err != nil || host == "" || host == "localhost" {
		return rand.N(most), fmt.Sprintf(", at random: host name %q tells no host from others", host)
	}
	return share(host, most), fmt.Sprintf(", as always on %q", host)
}

// share is a host's part of a span. Hosts keep their order, whatever the span is.
func share(host string, most time.Duration) time.Duration {
	sum := sha256.Sum256([]byte(host))
	part := float64(binary.BigEndian.Uint64(sum[:8])>>11) / (1 << 53)
	return time.Duration(part * float64(most))
}
