package cli

import (
	"cmp"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"stretcher/internal/journal/state"
	"stretcher/internal/policy"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/progress"
)

// newCommand is a command of the table as all have it: what it prints is
// printed by this package, and its flags stand in the order in which they are
// declared.
func newCommand(c *cobra.Command) *cobra.Command {
	c.SilenceErrors, c.SilenceUsage = true, true
	c.Args = cobra.ArbitraryArgs // each counts its own, for messages of its own
	c.Flags().SortFlags, c.PersistentFlags().SortFlags = false, false
	return c
}

const stateUsage = "where locks, logs and history are (default " + state.System +
	", or ~/.local/state/stretcher when not root)"

// declare declares the flags of all commands.
func (h *Host) declare(f *pflag.FlagSet) {
	h.Config = policy.Default
	f.Var(&textValue{&h.Config, "FILE"}, "config", "host policy")
	f.Var(&textValue{&h.StateDir, "DIR"}, "state-dir", stateUsage)
	asFile(f, "config")
	asDirectory(f, "state-dir")
}

// declare declares the flags of commands that fetch archives.
func (o *Fetch) declare(f *pflag.FlagSet) {
	o.declareManifest(f)
	f.Var((*bandwidthValue)(&o.MaxBandwidth), "max-bandwidth", "limit for downloading archives, per second (10MB, 512KiB)")
}

// declareManifest declares those of commands that fetch manifests alone.
func (o *Fetch) declareManifest(f *pflag.FlagSet) {
	o.RetryWait = 3 * time.Second
	f.Var((*secondsValue)(&o.Timeout), "timeout", "limit for each fetch, retries included (30 = 30s; 0 = none)")
	f.Var((*countValue)(&o.Retry), "retry", "how often a failed fetch is tried again")
	f.Var((*secondsValue)(&o.RetryWait), "retry-wait", "time before the first retry; grows with each (3 = 3s)")
}

// declare declares the flags of commands that deploy.
func (o *Run) declare(f *pflag.FlagSet) {
	o.RsyncVerbose = "-v"
	o.declareDelay(f)
	f.Var((*rsyncValue)(&o.RsyncVerbose), "rsync-verbose", "rsync's verbosity option")
	o.declareLockWait(f)
	f.BoolVar(&o.Force, "force", false, "run a replayed event, and deploy in full even when nothing changed")
}

func (o *Run) declareDelay(f *pflag.FlagSet) {
	f.Var((*secondsValue)(&o.RandomDelay), "random-delay", "wait a random time up to this at start (2.5 = 2.5s)")
	f.BoolVar(&o.StableDelay, "stable-delay", false, "with --random-delay: the same time at each start on this host")
}

// checkDelay tells whether the flags of a delay go together.
func (o *Run) checkDelay() error {
	if o.StableDelay && o.RandomDelay == 0 {
		return failure.Usage("--stable-delay expects --random-delay, which says how long the delay may be")
	}
	return nil
}

func (o *Run) declareLockWait(f *pflag.FlagSet) {
	o.LockWait = 10 * time.Minute
	f.Var((*secondsValue)(&o.LockWait), "lock-wait", "how long to wait for another run on the same dest")
}

// declare declares the flags of commands that log.
func (o *Log) declare(f *pflag.FlagSet) {
	o.Format, o.Progress = formatAuto, "auto"
	f.Var(&textValue{&o.File, "FILE"}, "log-file", "append the log to this file too")
	f.Var(&choiceValue{&o.Format, logFormats()}, "log-format",
		"log as text, as json or for the journal; auto tells by standard error")
	f.Var(&choiceValue{&o.Progress, []string{"auto", "never"}}, "progress",
		"auto shows on a terminal how far a step is, never does not")
	asFile(f, "log-file")
}

// declareJSON declares --json.
func declareJSON(f *pflag.FlagSet, v *bool) {
	f.BoolVar(v, "json", false, "print one JSON object per line")
}

// asFile and asDirectory tell shells what a flag's value is the name of.
func asFile(f *pflag.FlagSet, name string) { annotate(f, name, cobra.BashCompFilenameExt) }

func asDirectory(f *pflag.FlagSet, name string) { annotate(f, name, cobra.BashCompSubdirsInDir) }

func annotate(f *pflag.FlagSet, name, what string) {
	_ = f.SetAnnotation(name, what, nil) // it has just been declared
}

// settings completes what a command was told with what holds for all.
func (a *app) settings(s Settings) Settings {
	s.Host, s.Stdout, s.Stderr = a.host, a.Stdout, a.Stderr
	s.wait = a.wait
	if s.Format == "" || s.Format == formatAuto {
		s.Format = a.formatFor()
	}
	s.Bar = s.Progress == "auto" && isTerminal(s.Stderr)
	s.terminal = progress.Terminal{Columns: func() int { return columnsOf(a.Stderr) }, UTF8: a.isUTF8()}
	return s
}

// Screen is what shows the log, and how far a step is.
func (s Settings) Screen() *progress.Screen {
	if !s.Bar {
		return progress.New(s.Stderr, progress.Terminal{})
	}
	return progress.New(s.Stderr, s.terminal)
}

// isUTF8 tells whether the locale has more characters than ASCII.
func (a *app) isUTF8() bool {
	locale := strings.ToLower(cmp.Or(a.Getenv("LC_ALL"), a.Getenv("LC_CTYPE"), a.Getenv("LANG")))
	return strings.Contains(locale, "utf-8") || strings.Contains(locale, "utf8")
}

// destArg is a DEST as manifests name it.
func destArg(arg string) (string, error) {
	if arg == "" { // of a variable that is not set, not the current directory
		return "", failure.Usage("DEST is empty")
	}
	return filepath.Abs(arg)
}
