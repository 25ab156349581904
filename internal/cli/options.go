package cli

import (
	"context"
	"io"
	"time"

	"stretcher/internal/fetch/publish"
	"stretcher/internal/journal/history"
	"stretcher/internal/manifest/lint"
	"stretcher/internal/trust"
)

// Actions are what commands do that need more than this package knows, by what
// they are for. Each gets all that the command line says of it as a value.
type Actions struct {
	Version string // what the program calls itself

	Deploying
	Looking
	Publishing
	Hooking
	Fleeting
}

// Deploying are the actions that bring what a manifest names.
type Deploying struct {
	// Deploy reads the event and deploys. The outcome is one line for people,
	// without secrets; it is "" when the error has not been said yet.
	Deploy func(context.Context, DeployOptions) (outcome string, err error)
	// Fetch brings what an event's manifest deploys into the cache. It has said
	// its error, unless that is failure.ErrUsage.
	Fetch func(context.Context, DeployOptions) error
	// Rollback deploys what was good before, and returns its row of the
	// history. It has said its error.
	Rollback func(context.Context, RollbackOptions) (history.Run, error)
}

// Looking are the actions that change nothing.
type Looking struct {
	// Plan prints what a deployment would change, and whether it would.
	Plan func(context.Context, ManifestOptions) (changes bool, err error)
	// Check tells what a deployment would run. It prints that, or what the host
	// says of it, unless nothing is to be printed.
	Check func(context.Context, CheckOptions) (lint.Result, error)
	// Render makes of a manifest what it is with the values of its templates, and
	// tells for which variables something stands in.
	Render func(context.Context, RenderOptions) (text []byte, unset []string, err error)
	// Verify tells who vouches for a manifest.
	Verify func(context.Context, VerifyOptions) ([]trust.Signer, error)
	// Schema is the JSON Schema of manifests.
	Schema func() ([]byte, error)
}

// Publishing are the actions of who makes what is deployed.
type Publishing struct {
	// MaxManifest bounds a manifest, in bytes.
	MaxManifest int64
	// Unfit tells why no host that asks for signatures would take the manifest
	// in a file, whoever signs it; nil for one that is fit, or no manifest.
	Unfit func(raw []byte, file string) error
	// Pack publishes an archive. It says on Stderr what it does.
	Pack func(context.Context, PackOptions) (*publish.Result, error)
}

// Hooking are the actions of stretcher hooks.
type Hooking struct {
	// ListHooks prints which hooks there are.
	ListHooks func(context.Context, ListHooksOptions) error
	// RunHooks runs hooks by their name, and returns the exit status of the
	// first that failed.
	RunHooks func(context.Context, RunHooksOptions) (status int, err error)
	// InstallHooks lays a hook pod out.
	InstallHooks func(context.Context, InstallHooksOptions) error
}

// Host is where the program finds what the host says and remembers.
type Host struct {
	Config      string // the host policy
	ConfigGiven bool   // it must be there
	Elsewhere   bool   // it is another host's: what it says of the host is not asked here
	Keys        string // directory of keys to take for those that the policy names; "" = none
	StateDir    string // an absolute path; "" = none, see StateError
	StateError  error
}

// Fetch is how manifests and archives are fetched.
type Fetch struct {
	Timeout      time.Duration // for each; 0 = none
	Retry        int           // attempts after one that failed
	RetryWait    time.Duration // before the first of them
	MaxBandwidth int64         // bytes per second for archives; 0 = no limit
}

// Run is how a deployment runs, whatever it deploys.
type Run struct {
	RandomDelay  time.Duration // upper bound of the delay at start
	StableDelay  bool          // not a random one, but always the same on a host
	LockWait     time.Duration // for another run on the same dest; 0 = none
	RsyncVerbose string        // rsync's verbosity option
	Force        bool          // deploy in full, replayed or current as it may be
	IfChanged    bool          // run nothing when dest holds it already
	Node         string        // of Consul, that the host is in rollouts; "" = that of its agent
}

// Settings are what all commands that work by a manifest are told.
type Settings struct {
	Host
	Fetch
	Run
	Log
	Stdout io.Writer // what was asked for, and what success and failure commands print
	Stderr io.Writer // the log, and the bar
}

// DeployOptions are those of a deployment, or of fetching what it will want.
type DeployOptions struct {
	Settings
	URLs     []string  // as arguments; none: the event is on Stdin
	Stdin    io.Reader // of the process
	Terminal bool      // Stdin is a terminal: nobody pipes an event
}

// RollbackOptions are those of stretcher rollback.
type RollbackOptions struct {
	Settings
	Dest string // absolute
	To   string // a run id or its beginning; "" = the one before
}

// ManifestOptions are those of commands that only look.
type ManifestOptions struct {
	Settings
	URL     string
	JSON    bool
	Explain bool // tell, rule by rule, what the host says
}

// CheckOptions are those of stretcher check.
type CheckOptions struct {
	ManifestOptions
	Several bool   // more than one is looked at: the result has its URL
	Title   string // what is printed begins with this name; "" = with none
	Silent  bool   // print nothing: the result is what tells
	Unset   bool   // variables of templates that are not set are no problem
}

// RenderOptions are those of stretcher render.
type RenderOptions struct {
	Settings
	URL   string
	Show  bool // with secrets
	Unset bool // variables that are not set are no problem
}

// PackOptions are those of stretcher pack.
type PackOptions struct {
	Settings
	Publish      publish.Options
	Template     []byte // of the manifest
	TemplateFile string // that it is from, for messages; "" = from none
	Back         *Back  // what is published is a way back from what Template says; nil: an archive
}

// VerifyOptions are those of stretcher verify.
type VerifyOptions struct {
	Settings
	URL       string
	Keys      string // the directory of the trusted keys; "" = the host policy says which
	Threshold int    // how many of them must vouch; 0 = as the host policy says, 1 with Keys
}

// ListHooksOptions are those of stretcher hooks list.
type ListHooksOptions struct {
	Settings
	URL   string // "" = the hooks of the host
	JSON  bool
	Watch bool // print the list again when it has changed
}

// RunHooksOptions are those of stretcher hooks run.
type RunHooksOptions struct {
	Settings
	Name    string
	URL     string
	EnvFile string // NAME=value lines for the hooks' environment
}

// InstallHooksOptions are those of stretcher hooks install.
type InstallHooksOptions struct {
	Settings
	URL   string
	Event string // p2's word for the point
	Root  string // directory of pods/ and exec/; "" = the host's
}
