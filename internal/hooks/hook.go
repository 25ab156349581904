package hooks

import (
	"cmp"
	"context"
	"io"
	"time"

	"stretcher/internal/process"
)

// The dialects.
const (
	P2     = "p2"     // directories of executables
	OCI    = "oci"    // JSON definitions
	Porter = "porter" // lists in the manifest
)

// Condition says whether a hook runs, depending on the step it follows.
type Condition string

// The run conditions. The zero value is Pass.
const (
	Pass   Condition = "pass"   // only when the step went well
	Fail   Condition = "fail"   // only when it failed
	Always Condition = "always" // either way
)

// Met tells whether a hook with this condition runs.
func (c Condition) Met(stepFailed bool) bool {
	switch c {
	case Always:
		return true
	case Fail:
		return stepFailed
	default:
		return !stepFailed
	}
}

// String is the condition's word.
func (c Condition) String() string { return cmp.Or(string(c), string(Pass)) }

// NoGrace, as a Hook's Grace, means KILL without TERM.
const NoGrace = process.NoGrace

// Hook is one thing to run at a point. A dialect makes it, the Runner runs it.
//
// It is one process (Path), or a function of the dialect (Run), or only a
// problem to be recorded.
type Hook struct {
	Dialect string // P2, OCI or Porter
	Name    string // what people call it; in the log, the history and messages
	Source  string // where it is defined: a file, or a key of the manifest
	Point   Point  // "" for a user-defined hook
	Stage   string // the dialect's own word for the point

	Process

	Timeout time.Duration // when it is told to end; 0 = never
	Grace   time.Duration // from TERM to KILL; 0 = process.DefaultGrace; NoGrace = KILL at once

	Required   bool      // its failure stops the deployment
	Concurrent bool      // may run together with adjacent concurrent hooks
	Condition  Condition // on the step it follows

	// Run runs a hook that is more than one process, such as a container that
	// is built first. It must return soon after ctx has ended, leave no
	// process behind, and tell how the part that decides ended. The Runner
	// applies Timeout to ctx; Path, Args and Grace are the dialect's then.
	Run func(ctx context.Context, s Streams) (process.Result, error)

	// Detached says that Run starts processes that go on after it by design,
	// such as a container's monitor: they are not adopted and ended.
	Detached bool

	// Problem is why the hook can't run. It is recorded in place of a run and
	// is a failure only when the hook is Required.
	Problem error

	// Judge tells whether the hook would be refused, as far as what it runs is
	// there already; nil = there is nothing to judge.
	Judge func(ctx context.Context) error
}

// Process is the one process that a hook is.
type Process struct {
	Path  string   // program
	Argv0 string   // argv[0]; "" = Path
	Args  []string // argv without argv[0]
	Env   []string // NAME=value, complete: nothing is inherited; nil = the Runner's Env
	Dir   string   // working directory; "" = the caller's
	Stdin []byte   // nil = nothing to read

	User *process.User // nil = the caller
}

// Streams is what a Hook's Run works with.
type Streams struct {
	Stdout  io.Writer     // one writer for one process at a time
	Stderr  io.Writer     // may be the same as Stdout
	Mark    []string      // variables for the environment of each process it starts
	Started func(pid int) // to be called with the leader of each process group; 0 when it has ended
}

// Outcome is how one hook ended.
type Outcome struct {
	Hook     Hook
	Result   process.Result
	Err      error // nil = good
	Skipped  bool  // its condition was not met; nothing ran
	Started  time.Time
	Duration time.Duration
	Offset   int64 // size of the log when it began, in bytes
}
