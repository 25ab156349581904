// Package strategy holds what the ways to deploy an archive have in common:
// the contract that each of them fulfils, and all that one is told of its run.
//
// Its words: a strategy makes dest what an archive holds; the staged tree is
// what it has unpacked for that; what is live is the directory that programs
// find the deployed tree in. A strategy whose deployments stand beside one
// another can go back from one to another: it is a Reverter.
//
// Each strategy is a package below this one, and one line in package all,
// which alone knows them by name. strategytest holds the tests that all of
// them pass. A strategy knows nothing of manifests, the host policy, the
// history or where archives come from: what it needs of these is in a Target.
// It reaches directories through open descriptors, never by a name that
// others may give to something else meanwhile.
//
// It imports archive, disk, process and, of the machines below it, mirror.
package strategy

import (
	"context"
	"iter"

	"stretcher/internal/archive"
	"stretcher/internal/disk"
	"stretcher/internal/disk/tree"
)

// Strategy is a way by which an archive becomes what is deployed. A value
// serves one opened dest, and at most one sync. Its methods are called in this
// order:
//
//   - CheckLayout, whose refusal ends it all;
//   - Holds, OpenLive and Skip, any number of times: they tell whether there
//     is anything to do;
//   - Check, and then either Diff, or Stage and Sync, each once;
//   - OpenLive and Skip again, to record what is live;
//   - of a Reverter Accept, Old any number of times, and Prune; or, when the
//     run has failed after Sync began, Revert and Prune;
//   - Close.
//
// Each may be the last but for Close, and what there is no need for is left
// out. Live and Keeps are asked at any time.
type Strategy interface {
	// CheckLayout refuses a dest whose layout the strategy would destroy or
	// not find its way in. It is asked before anything is fetched, and
	// changes nothing: no command is meant to mend what it finds.
	CheckLayout() error

	// Check tells early what would stop Sync. It is asked before anything is
	// staged, and changes nothing.
	Check() error

	// Stage unpacks the archive, from its beginning, into a new private
	// directory: all of the tree, or what of it differs from dest. It stops
	// when ctx ends. What it made is removed at the end of the run, whether
	// it failed or not. With an error there is nothing to close, and it may be
	// asked again.
	Stage(ctx context.Context, in archive.Input) (Staged, error)

	// Sync makes dest what the archive holds. It may consume what is staged,
	// and notes in s the exclude list that it has read there. It stops when
	// ctx ends. What hooks have changed in the staged tree is deployed; a tree
	// that they have put in its place is an error (staging.Tree's Check). Its
	// error says what state dest is in where that is not "as before".
	Sync(ctx context.Context, s *Staged) error

	// Diff tells what Stage and Sync would do, and changes nothing. It is
	// asked instead of these, after CheckLayout and Check.
	Diff(ctx context.Context, in archive.Input) (Changes, error)

	// Live is the path of the directory that the deployed tree is in, or will
	// be. It is for messages and for programs that are told of it.
	Live() string

	// OpenLive opens the directory that the deployed tree is in: below what is
	// open already, not by its path. It is asked after CheckLayout or after
	// Sync. What it returns is the caller's to close.
	OpenLive() (*disk.Dir, error)

	// Skip tells which paths below Live are no part of the deployed tree,
	// because the strategy leaves alone what is there. list is the text of
	// the archive's exclude list; a nil function skips nothing.
	Skip(list []byte) (func(path string, dir bool) bool, error)

	// Keeps is what must be kept of a deployment so that a later one can be
	// rolled back to it.
	Keeps() Keeps

	// Close closes what the strategy has opened itself: not dest, nor the
	// staged tree that Stage has returned. It may be called again.
	Close() error
}

// Reverter is a Strategy whose earlier deployments stand beside the new one.
type Reverter interface {
	Strategy

	// Holds tells whether what is live is good and has been made of the
	// target's archive. It is asked after CheckLayout.
	Holds() bool

	// Accept notes that what is live has passed all that judges it. An error
	// means that it can't be gone back to later, no more than that. In a
	// rollback it also notes which deployments have been rolled back from. It
	// removes what runs that died have left, unless Old names something.
	Accept(ctx context.Context) error

	// Revert is called when a run has failed in Sync or after it. It notes
	// that the run's own deployment is bad, and why, and makes live again
	// what was good before, if this run has made something else live. It
	// returns the deployment that is live again, "" when nothing had to be
	// changed or nothing could be. The error says what is live instead; with
	// a name it says only that the switch may not have reached the disk.
	Revert(ctx context.Context, why string) (to string, err error)

	// Old are the deployments that Prune removes.
	Old() ([]string, error)

	// Prune removes the deployments that are one too many; after Revert only
	// those that have failed, and none if this run had changed nothing. It returns those that are gone, even with an
	// error.
	Prune(ctx context.Context) (removed []string, err error)
}

// Chooser is a Strategy that does not read what dest has already.
type Chooser interface {
	Strategy
	// Wants gives the digests of the contents that Stage would read of an
	// archive, whose contents are not here yet and must not be read. It is
	// asked after CheckLayout, and changes nothing. ok is false where it would
	// read all, or can't tell.
	Wants(ctx context.Context, in archive.Input) (wanted map[tree.Digest]bool, ok bool, err error)
}

// Keeps is what a rollback to a deployment needs.
type Keeps int

// What is to be kept of a deployment.
const (
	Nothing Keeps = iota // there is no way back
	Archive              // the archive, and its manifest
	Itself               // its manifest: the deployment stands at dest
)

// Staged is a tree that is ready for Sync: an open directory that nobody else
// can rename. It stays the caller's to close.
type Staged struct {
	Dir      *disk.Dir // nil: nothing is staged
	Excludes []byte    // the text of the archive's exclude list, once it has been read

	// Contents is what is known of the files of dest after the sync; nil =
	// nothing. Archived is what was unpacked, where a strategy knows no more.
	Contents *tree.Contents
	Archived *tree.Archived

	// Paths are those that dest is likely to have after the sync, as tree.Recorded
	// has them; nil = who reads dest finds them out.
	Paths iter.Seq[string]
}

// Close closes the directory.
func (s Staged) Close() error {
	if s.Dir == nil {
		return nil
	}
	return s.Dir.Close()
}
