// Package again lets a test run its own binary once more as another process:
// to be killed, to hold a lock, to write at the same time.
//
// Its words: a job is what such a process does instead of the tests.
//
// Only tests import it. It is apart from testparts, whose clients of servers
// would make each of these processes slow to start, and imports nothing of
// this module.
package again

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// env tells a process that it has a job.
const env = "STRETCHER_TEST_AGAIN"

// Main is for TestMain: it runs the tests or, in a process of Command, the job
// with Command's arguments, whose error goes to stderr. It returns the exit
// status.
func Main(m *testing.M, job func(args []string) error) int {
	if os.Getenv(env) == "" {
		return m.Run()
	}
	if err := job(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// Command prepares another process of the test binary, which does the job.
func Command(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), env+"=1")
	return cmd
}
