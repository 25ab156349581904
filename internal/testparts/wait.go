package testparts

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// waitLimit bounds every wait, on a quiet machine. It is far above what any part
// needs, since it only decides how long a broken test takes to say so.
const waitLimit = 2 * time.Minute

// WaitFor polls cond until it is true, and fails the test with what was waited
// for when that takes longer than 2 min, or what a busy machine makes of them.
// It must be called from the test's own goroutine.
func WaitFor(t testing.TB, what string, cond func() bool) {
	t.Helper()
	if !Eventually(cond) {
		t.Fatalf("gave up waiting for %s", what)
	}
}

// Eventually polls cond until it is true; false when that takes longer than
// WaitFor waits.
func Eventually(cond func() bool) bool { return Poll(cond, nil, 10*time.Millisecond) }

// Poll calls cond every so often until it is true; false when the time of
// WaitFor has passed, or stop was closed.
func Poll(cond func() bool, stop <-chan struct{}, every time.Duration) bool {
	began := time.Now()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-stop:
			return false
		}
		// The machine may have become busy meanwhile.
		if waited := time.Since(began); waited > waitLimit && waited > Limit(waitLimit) {
			return false
		}
	}
	return true
}

// poll is Poll for what is not in a hurry.
func poll(cond func() bool, stop <-chan struct{}) bool { return Poll(cond, stop, 10*time.Millisecond) }

// UntilReady calls try with a time limit for the program that it runs, and with
// the name of the file that the program makes when it has come to where the
// limit shall find it. As long as that file is not made it calls try again, with
// twice the limit: how far a program comes in a tenth of a second is the
// machine's affair. What try leaves is judged after its last call.
func UntilReady(t testing.TB, try func(limit time.Duration, ready string)) {
	t.Helper()
	for limit := 100 * time.Millisecond; limit < waitLimit; limit *= 2 {
		ready := filepath.Join(t.TempDir(), "ready")
		try(limit, ready)
		if _, err := os.Stat(ready); err == nil {
			return
		}
	}
	t.Fatalf("the program never came to where its time should be over")
}

// FreePort gives a port of 127.0.0.1 that nothing uses, TCP or UDP. It lies
// below the range the kernel takes ports of outgoing connections from, so that
// none of those can grab it before the server does; until the test ends no other
// call gives it, in whatever process.
func FreePort(t testing.TB) int {
	t.Helper()
	for range 100 {
		port := 15000 + rand.IntN(17000)
		if reserve(t, port) && portFree(port) {
			return port
		}
	}
	t.Fatal("found no free port on 127.0.0.1")
	return 0
}

// reserve marks a port by a name in the same network namespace, which goes with
// the test or its process.
func reserve(t testing.TB, port int) bool {
	if runtime.GOOS != "linux" {
		return true // it has no abstract names
	}
	mark, err := net.Listen("unix", fmt.Sprintf("@stretcher-test-port-%d", port))
	if err != nil {
		return false
	}
	t.Cleanup(func() { mark.Close() })
	return true
}

func portFree(port int) bool {
	tcp, err := net.Listen("tcp", hostPort(port))
	if err != nil {
		return false
	}
	defer tcp.Close()
	udp, err := net.ListenPacket("udp", hostPort(port))
	if err != nil {
		return false
	}
	udp.Close()
	return true
}

func hostPort(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// answers tells whether something accepts TCP connections at addr.
func answers(addr string) bool {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	c.Close()
	return true
}
