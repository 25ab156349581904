package fleet

import (
	"errors"
	"time"
)

// Why a host that asked for a slot has none, or has one no more.
var (
	ErrStopped     = errors.New("the rollout is stopped")
	ErrSuperseded  = errors.New("a newer rollout has taken its place")
	ErrNotAsked    = errors.New("the rollout goes on for other hosts alone")
	ErrOvertaken   = errors.New("a newer run on this host has taken its place")
	ErrUnreachable = errors.New("consul is out of reach")
	ErrBarred      = errors.New("consul does not serve this host") // that of ErrUnreachable which waiting does not end
	ErrTimedOut    = errors.New("its turn has not come in time")
	ErrOvertime    = errors.New("it was at work for longer than the timeout of the rollout")
	ErrLost        = errors.New("its slot is lost")
	ErrUnknown     = errors.New("no such rollout is known")
)

// Answers to who steers a rollout.
var (
	ErrAlready = errors.New("it is so already") // somebody has done it before
	ErrEnded   = errors.New("the rollout has ended")
)

// Record is what a rollout has recorded of its manifest, as the host wrote it that
// began it. No host goes by it.
type Record struct {
	Outline string // what a way back is made of; "" = nothing
	Lacking string // why there is no outline; "" = not known
	URL     string // "" = it can't be told
	Serial  int64  // 0 = it has none
	Signed  bool   // keys had to vouch for it on the host that began the rollout
}

// Remarks are what a rollout records of a manifest beside what it says.
type Remarks struct {
	Signed  bool   // keys had to vouch for it
	Lacking string // why there is no outline; "" where there is one
}

// Entry is a host that asks for a slot of a rollout.
type Entry struct {
	Name    string  // of the manifest
	Version string  // of the manifest
	Serial  int64   // of the manifest; 0 = it has none
	ID      string  // of the rollout: the same on all hosts
	Run     string  // the id of the run
	Machine string  // what tells machines of one node apart; "" = nothing does
	Node    string  // the host as Consul knows it; "" = the agent's own node
	Zone    string  // "" = as the node's metadata say
	Rollout Rollout // within what the host allows
	Outline string  // of the manifest: what a way back is made of; "" = it can't be told
	URL     string  // of the manifest; "" = it can't be told
	Remarks Remarks // on the manifest
	Runs    string  // the version that dest holds when the host comes; "" = none that is known
	Mixed   bool    // it holds parts of several then
	Touched string  // the last run that has changed dest, or may have; "" = none that is known
}

// Newer tells whether an entry takes the place of a rollout with this id and serial:
// that with the higher serial does. Without serials it is who comes later.
func (e Entry) Newer(id string, serial int64) bool {
	switch {
	case e.ID == id:
		return false
	case e.Serial > 0 && serial > 0 && e.Serial != serial:
		return e.Serial > serial
	}
	return true
}

// Ending is what commands take to end, at most: TERM, 10 s, KILL.
const Ending = 12 * time.Second

// Margin is what of a lease is left for ending the work: who has not confirmed its
// slot for the rest of the lease ends it.
func Margin(lease time.Duration) time.Duration { return lease / 4 }
