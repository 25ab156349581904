// Package history remembers what ran on this machine and tells it.
//
// Its words: a run is one execution of the program; a step is a command or a
// hook that the run started, at a point of the lifecycle, written in a
// dialect; the result says how a run ended; an event is what asked for the
// run, and its key is what the event is known by when it is handed over again;
// a key is handled when a run for it has ended, whatever the result; a run is
// dead when it never ended and its process is gone; a fingerprint is whatever
// the caller compares to find that two runs would deploy the same. First and
// last, before and after are meant by the order in which things were written,
// never by the clock, which may be set back or forward between two runs. Names,
// URLs and errors come in redacted: this package hides nothing.
//
// The store is one SQLite file in WAL mode, which several processes may use
// at once. The row of a run is written when it begins and again at each step,
// so that a run that dies has left where it was. A database that can't be
// read is moved aside, never removed, and a new one made: an archive of the
// past must not stop a deploy. The renderers (WriteTable, WriteJSON,
// WriteMetrics, ...) work on values and need no store.
//
// The package may import modernc.org/sqlite, golang.org/x/sys/unix, and of this
// module internal/disk and text/printable. It opens nothing until Open is called.
package history

import (
	"errors"
	"time"
)

// Sentinels that callers may test for with errors.Is.
var (
	// ErrNotFound: no run has this id, or there is no such run.
	ErrNotFound = errors.New("no such run")
	// ErrAmbiguous: several runs have an id that begins like this.
	ErrAmbiguous = errors.New("several runs have an id that begins like this")
	// ErrBusy: another process kept the database locked until the busy timeout.
	ErrBusy = errors.New("the history database is locked")
	// ErrCorrupt: the database is damaged, or is none.
	ErrCorrupt = errors.New("the history database is damaged")
	// ErrEmpty: there is a file, and no history in it.
	ErrEmpty = errors.New("there is no history in it")
)

// Result says how a run ended, or that it has not.
type Result string

// The results of a run.
const (
	Running Result = "running" // not ended, as far as the database knows
	Good    Result = "good"
	Failed  Result = "failed"
	Refused Result = "refused" // signature, checksum, policy, limit, unsafe archive
	Stopped Result = "stopped" // its rollout ended before it had its turn; dest is as it was
	Died    Result = "died"    // its process ended without a result
	Skipped Result = "skipped" // an event that a newer one replaced; nothing ran
)

// Run is one execution of the program.
type Run struct {
	ID       string    // UUIDv7
	Started  time.Time // to the microsecond
	Finished time.Time // zero while running; of a died run the last sign of life
	Deployment
	Result   Result
	Step     string // the step it is in, or ended in
	Exit     int    // the program's exit code; meaningless unless the run has ended
	Error    string // one line; "" for a good run
	Event    string // for people: "consul ID", "serf NAME LTIME", "argument", "stdin"
	EventKey string // what a replayed event is known by; "" for none
	User     string // who started it; "" when that says nothing
	Back     string // a run that has failed: the release that it switched back to; "" = none
	Trust
	Process
	Cost
}

// Cost is what a run has taken by now.
type Cost struct {
	Elapsed time.Duration // by a clock that nobody sets; 0 = not known
	Fetched int64         // bytes of archives and indexes that came from servers
}

// Trust says by what a run was let.
type Trust struct {
	Policy  string // the host policy, with the digest of its content; "" = not known
	Signers string // the files of the keys that vouched for the manifest; "" = nobody had to
	Serial  int64  // of the manifest; 0 = it has none
}

// Deployment is what a run deploys, and where.
type Deployment struct {
	Name        string
	Version     string
	Dest        string // real or as in the manifest, but always the same for one dest
	URL         string // of the manifest, redacted
	Fingerprint string // what was deployed: checksum, strategy, excludes, mode
	Tree        string // where or what the recorded tree of dest is
}

// Process is what is known of a run's process, and what it leaves.
type Process struct {
	PID       int       // with ProcStart: is it the same process still?
	ProcStart string    // boot id and start time, in the caller's form
	Log       string    // path of the log file
	Staging   []string  // paths to remove when the run has died
	Touched   time.Time // last sign of life; set by the store, not by the caller
}

// Ended reports whether the run itself has said how it ended.
func (r Run) Ended() bool { return r.Result != Running && r.Result != Died }

// Duration is the time from start to end, or to the last sign of life; 0 for
// a run that is not finished. A clock that is set meanwhile changes it only
// where nothing else was measured.
func (r Run) Duration() time.Duration {
	if r.Finished.IsZero() {
		return 0
	}
	if r.Elapsed > 0 {
		return r.Elapsed
	}
	return max(r.Finished.Sub(r.Started), 0)
}

// Step is a command or hook that a run started and that has ended.
type Step struct {
	Run      string // id
	Seq      int    // from 1, in the order of AddStep
	Point    string // "pre_extract", ...
	Dialect  string // "commands", "p2", "porter", "oci", ...
	Stage    string // the dialect's own word for the point; "" = it has none
	Name     string // command line, or name of the hook
	Source   string // where the hook is defined: a file, or a key of the manifest; "" = it is no hook
	Started  time.Time
	Duration time.Duration
	Exit     int    // -1 when it has none: a signal ended it, or it never started
	Why      string // why it never started; "" = it did
	Signal   string // "SIGTERM", ...; "" when none ended it
	TimedOut bool
	Offset   int64 // where its output begins in the run's log file, in bytes
}

// OK reports whether the step did what it should.
func (s Step) OK() bool { return s.Exit == 0 && s.Signal == "" && !s.TimedOut }

// Detail is a run with its steps, in order.
type Detail struct {
	Run
	Steps []Step
}

// Alive reports whether the process that pid and start (Run.PID,
// Run.ProcStart) name still runs.
type Alive func(pid int, start string) bool

// Judge gives running runs whose process is gone the result Died, in place.
// It is for those who only read; Store.Died writes it down.
func Judge(runs []Run, alive Alive) {
	for i := range runs {
		if r := &runs[i]; r.Result == Running && !alive(r.PID, r.ProcStart) {
			r.Result, r.Finished = Died, r.Touched
		}
	}
}
