package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/pflag"

	"stretcher/internal/journal/runlog"
	"stretcher/internal/journal/state"
	"stretcher/internal/policy"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/units"
)

// settings is what the command line says.
type settings struct {
	Options
	logFile     string
	logFormat   string
	progress    string
	strictExit  bool
	showVersion bool
	showHelp    bool
	subcommand  string   // "" = deploy
	args        []string // what is left: the URL
	flags       *pflag.FlagSet
	config      string
	stateDir    string
	detach      bool
	history     historyFlags
	hooks       hookFlags
	dryRun      bool
	to          string // the run to go back to
}

// flagSet declares every flag, with the values' defaults in s.
func (s *settings) flagSet() *pflag.FlagSet {
	f := pflag.NewFlagSet("stretcher", pflag.ContinueOnError)
	f.SortFlags = false
	f.SetOutput(io.Discard) // errors are said once, by main
	f.Usage = func() {}
	f.Var((*bandwidthValue)(&s.MaxBandwidth), "max-bandwidth", "limit for downloading archives, per second (10MB, 512KiB)")
	f.Var((*secondsValue)(&s.Timeout), "timeout", "limit for each fetch, retries included (30 = 30s; 0 = none)")
	f.IntVar(&s.Retry, "retry", 0, "how often a failed fetch is tried again")
	s.RetryWait = 3 * time.Second
	f.Var((*secondsValue)(&s.RetryWait), "retry-wait", "time before the first retry; grows with each (3 = 3s)")
	f.Var((*secondsValue)(&s.RandomDelay), "random-delay", "wait a random time up to this at start (2.5 = 2.5s)")
	s.RsyncVerbose = "-v"
	f.Var((*rsyncValue)(&s.RsyncVerbose), "rsync-verbose", "rsync's verbosity option")
	s.LockWait = 10 * time.Minute
	f.Var((*secondsValue)(&s.LockWait), "lock-wait", "how long to wait for another run on the same dest")
	f.BoolVar(&s.Force, "force", false, "run a replayed event, and deploy in full even when nothing changed")
	f.BoolVar(&s.detach, "detach", false, "deploy in the background, in a session of its own")
	f.StringVar(&s.config, "config", policy.Default, "host policy")
	f.StringVar(&s.stateDir, "state-dir", "", "where locks, logs and history are (default "+state.System+", or ~/.local/state/stretcher when not root)")
	f.StringVar(&s.logFile, "log-file", "", "append the log to this file too")
	f.StringVar(&s.logFormat, "log-format", runlog.FormatText, "log as text or json")
	f.StringVar(&s.progress, "progress", "auto", "auto shows a bar on a terminal, never does not")
	f.BoolVar(&s.strictExit, "strict-exit", false, "under consul watch too, exit with the run's status")
	f.BoolVar(&s.dryRun, "dry-run", false, "the same as stretcher plan")
	f.StringVar(&s.to, "to", "", "rollback: to what the run with this id or beginning of an id deployed")
	s.history.declare(f)
	s.hooks.declare(f)
	f.BoolVarP(&s.showVersion, "version", "v", false, "print the version")
	f.BoolVarP(&s.showHelp, "help", "h", false, "print this text")
	f.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "max-band-width" { // as some of v1.x's documents spell it
			name = "max-bandwidth"
		}
		return pflag.NormalizedName(name)
	})
	return f
}

// subcommands are the words that may stand in the URL's place.
func subcommands() []string {
	return []string{"check", "history", "hooks", "plan", "rollback", "status", "version"}
}

// parseArgs reads the command line. The error is failure.ErrUsage.
func parseArgs(args []string) (*settings, error) {
	s := &settings{}
	f := s.flagSet()
	s.flags = f
	if err := f.Parse(longFlags(f, args)); err != nil {
		return nil, failure.Usage("%s", flagError(err))
	}
	s.args = f.Args()
	for _, name := range subcommands() {
		if len(s.args) > 0 && s.args[0] == name {
			s.subcommand, s.args = name, s.args[1:]
		}
	}
	return s, s.check()
}

// check refuses values before the disk or the network is touched.
func (s *settings) check() error {
	switch {
	case s.Retry < 0:
		return failure.Usage("invalid --retry %d: it must not be negative", s.Retry)
	case s.logFormat != runlog.FormatText && s.logFormat != runlog.FormatJSON:
		return failure.Usage("invalid --log-format %q: text or json expected", s.logFormat)
	case s.progress != "auto" && s.progress != "never":
		return failure.Usage("invalid --progress %q: auto or never expected", s.progress)
	}
	if s.subcommand == "rollback" && s.to == "" && s.flags.Changed("to") {
		return failure.Usage("--to expects a run id")
	}
	if s.to != "" && s.subcommand != "rollback" {
		return failure.Usage("--to belongs to stretcher rollback")
	}
	if s.dryRun && s.subcommand != "" && s.subcommand != "plan" {
		return failure.Usage("--dry-run can't be used with stretcher %s", s.subcommand)
	}
	return cmp.Or(s.history.check(s), s.hooks.check(s))
}

// longFlags gives v1.0's -timeout its second dash, so that pflag does not
// read it as -t -i -m ... Only words that stand where a flag can stand are
// changed, not the values of flags and nothing after "--".
func longFlags(f *pflag.FlagSet, args []string) []string {
	out := make([]string, 0, len(args))
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			return append(out, args[i:]...)
		}
		name, _, hasValue := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		flag := f.Lookup(name)
		if !strings.HasPrefix(arg, "-") || flag == nil {
			out = append(out, arg)
			continue
		}
		if !strings.HasPrefix(arg, "--") && len(name) > 1 {
			arg = "-" + arg
		}
		out = append(out, arg)
		if takesNext := flag.NoOptDefVal == "" && !hasValue; takesNext && i+1 < len(args) {
			i++
			out = append(out, args[i])
		}
	}
	return out
}

// flagError puts pflag's message into our form.
func flagError(err error) string {
	text := err.Error()
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) {
		text = fmt.Sprintf("invalid --%s %q: %s", invalid.GetFlag().Name, invalid.GetValue(), valueError(invalid))
	}
	return text
}

// valueError is the reason why a value was refused, without what the flag
// package puts around it.
func valueError(err *pflag.InvalidValueError) string {
	cause := errors.Unwrap(err)
	if cause == nil {
		return "not understood"
	}
	if strings.HasPrefix(cause.Error(), "strconv.") {
		return "it is not a whole number"
	}
	return cause.Error()
}

// secondsValue is a time span: a bare number of seconds, or a Go duration.
type secondsValue time.Duration

// String is the span as a Go duration, for the help text.
func (v *secondsValue) String() string { return time.Duration(*v).String() }

// Type is what the help text calls the value.
func (v *secondsValue) Type() string { return "duration" }

// Set reads a span.
func (v *secondsValue) Set(s string) error {
	d, err := units.ParseSeconds(s)
	if err != nil {
		return fmt.Errorf("it %w", err)
	}
	*v = secondsValue(d)
	return nil
}

// bandwidthValue is a number of bytes per second, with a unit or without.
type bandwidthValue int64

// Type is what the help text calls the value.
func (v *bandwidthValue) Type() string { return "bytes" }

// String is the number with a binary unit, for the help text.
func (v *bandwidthValue) String() string {
	if *v == 0 {
		return "0"
	}
	return humanize.IBytes(uint64(*v))
}

// Set reads a number of bytes.
func (v *bandwidthValue) Set(s string) error {
	n, err := humanize.ParseBytes(s)
	if err != nil || n > 1<<62 {
		return errors.New("it is not a size such as 500KB or 10MiB")
	}
	*v = bandwidthValue(n)
	return nil
}

// rsyncValue is one option that changes what rsync prints, and nothing else.
type rsyncValue string

var rsyncVerbosity = regexp.MustCompile(`^(-[vqhi]+|--(verbose|quiet|stats|progress|itemize-changes|human-readable|(info|debug|out-format)=.+))?$`)

// Type is what the help text calls the value.
func (v *rsyncValue) Type() string { return "option" }

// String is the option, for the help text.
func (v *rsyncValue) String() string { return string(*v) }

// Set accepts an option that changes what rsync prints.
func (v *rsyncValue) Set(s string) error {
	if !rsyncVerbosity.MatchString(s) {
		return errors.New("it is not an rsync option for verbosity, such as -v, -vv, -q, --stats or --info=FLAGS")
	}
	*v = rsyncValue(s)
	return nil
}
