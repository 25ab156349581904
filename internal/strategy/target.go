package strategy

import (
	"context"
	"io/fs"

	"stretcher/internal/archive"
	"stretcher/internal/disk"
	"stretcher/internal/disk/tree"
	"stretcher/internal/process"
)

// defaultMode is the mode of a deployed tree's root when nothing tells it.
const defaultMode fs.FileMode = 0o755

// Target is all that a strategy knows of its run. Only the fields that say so
// may be missing.
type Target struct {
	Strategy string       // its name; package all sets it
	Run      string       // id of the run
	Dest     *disk.Dest   // opened once; the caller's to close
	NoDest   error        // why Dest could not be opened, so that it has only a name; Check may return it
	DestMode *fs.FileMode // of the deployed tree, whatever the archive says; nil = what it says, else 0755

	Excludes    []string // patterns of what is not deployed and left alone at dest
	ExcludeFrom string   // a file in the archive with more of them; "" = none

	Name    string // of the deployment, without secrets
	Version string // likewise; may be ""
	Whole   bool   // all of the tree must be staged: hooks will look at it

	// Others are the deployments that another strategy has at dest.
	// Package all sets it.
	Others func() []Deployments

	Last
	Source
	Tools
	Options
}

// Last is what is known of the deployment that dest holds.
type Last struct {
	// Contents is what its record knows of the files in dest. nil: nothing
	// is known; a new one does.
	Contents func() *tree.Contents
	// Deployed is the checksum of its archive; "" or a nil function: not known.
	Deployed func() string
	// Touched tells whether files of it have been changed though their size and
	// time are as they were, or may have been. nil: that is not known.
	Touched func(ctx context.Context) bool
}

// KnownContents is what is known of the files in dest, to be added to.
func (t *Target) KnownContents() *tree.Contents {
	if t.Contents == nil {
		return tree.NewContents()
	}
	return t.Contents()
}

// Source is what is known of the archive.
type Source struct {
	Archive  archive.Options // how it is read
	Origin   func() string   // where it is from, for messages
	Checksum string          // ALGORITHM:HEX
}

// Tools are what a strategy works with.
type Tools struct {
	Log   Logger
	Place Places
	// Progress is told how much of all that Sync does is done. nil: nobody wants
	// to know.
	Progress func(done, total int64)
	// Child runs a child process with the environment of the run's commands.
	// It is noted, so that it is ended when this process is killed. What it
	// prints goes to the log.
	Child func(ctx context.Context, c process.Command) error
}

// Options are what flags and the manifest say to one strategy alone.
type Options struct {
	RsyncVerbose string // rsync's option, "" = none
	Native       NativeOptions
	Releases     ReleasesOptions
}

// Mode is the mode of the tree's root, unless it is that of the archive's.
func (t *Target) Mode() fs.FileMode {
	if t.DestMode != nil {
		return *t.DestMode
	}
	return defaultMode
}

// NativeOptions are the manifest's keys for strategy native.
type NativeOptions struct {
	Checksum bool // compare content, not size and time
}

// ReleasesOptions are the manifest's keys for strategy releases.
type ReleasesOptions struct {
	Keep   int      // good releases that stay
	Shared []string // paths that all releases share
	Link   string   // how unchanged files share their room: "" or reflink, hard, none
	Stay   bool     // a release that failed stays live
	Back   string   // the release to make live again; "" = a new one
}

// Logger takes what a strategy says. *runlog.Log is one.
type Logger interface {
	Info(msg string, args ...any)
	Warn(msg string, args ...any)
}

// Places makes a run's private directories.
type Places interface {
	// Private makes a directory that only the run can write, in a place that
	// nobody else can rename. what it is for is said in messages. The run
	// knows of it before it is made and removes it in the end, whatever
	// happens. The caller closes what it gets.
	Private(what string, w Where) (*disk.Dir, error)
	// Above opens the directory that Private would make one in.
	Above(w Where) (*disk.Dir, error)
	// Drop removes such a directory early, with all that is in it.
	Drop(dir *disk.Dir) error
}

// Where says which places will do.
type Where struct {
	SameDevice bool       // on the file system of Dest only
	Dest       *disk.Dest // nil = the target's
	Full       []uint64   // not on these file systems: they have no room
	Into       *disk.Dir  // where what is staged will stand, whose default ACL it gets; nil = it gets none
}

// Definition is what is known of a strategy before there is a run: a line in
// package all.
type Definition struct {
	Name string // as manifests name it
	New  func(Target) (Strategy, error)

	Sections []string // keys of manifests that only this strategy reads
	Patterns bool     // it reads exclude patterns itself, so that each must be one
	Default  bool     // package all may choose it for a manifest that names none

	// Deployments lists what a Reverter finds at dest. nil: its deployments
	// do not stand beside one another.
	Deployments func(dest *disk.Dest) (Deployments, error)
}

// Deployments are those that stand beside one another at a dest.
type Deployments struct {
	All      []Deployment // newest first
	Live     string       // the run whose deployment is live; "" = none
	Previous string       // the run to go back to; "" = none

	Strategy string   // that made them; package all sets it
	What     string   // they are and what belongs to them, in plain words
	Names    []string // in dest, of What; those of directories end in /
	Sure     bool     // marks say that the strategy made them
}

// Deployment is what is known of one of them.
type Deployment struct {
	Run           string // that made it
	Name, Version string
	Good          bool
	Left          bool   // somebody went back from it
	State         string // in a word, and why if it is not good
}
