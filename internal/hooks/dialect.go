package hooks

import (
	"errors"
	"slices"

	"stretcher/internal/text/failure"
)

// Deployment is what the hooks of one point are told of the run.
type Deployment struct {
	Run         string // id
	Name        string // the manifest's name
	Version     string // the manifest's version
	Dest        string // "" = there is none
	Tree        string // directory that hooks of this point work on; "" = there is none (yet)
	Programs    string // directory that has the files that the manifest's hooks name; "" = there is none (yet)
	Repository  string // takes its part, and that of Tree, where there is none: it holds the manifest; "" = none does
	Annotations map[string]string
	Commands    []string // the first word of each command line of the manifest
	Environ     []string // NAME=value: what hooks may pass on of the environment this program was started with
	Base        []string // NAME=value: what of it programs of the manifest get by themselves
	ManifestEnv []string // NAME=value: the manifest's env
	Own         []string // NAME=value: STRETCHER_*, what this run is about

	// Manifest is what the manifest's own hooks are told in place of this.
	Manifest *Deployment
}

// Env is what every hook gets beside what its dialect gives it: the manifest's
// env, then what the run is about.
func (d Deployment) Env() []string { return slices.Concat(d.ManifestEnv, d.Own) }

// OfManifest is what the manifest's own hooks are told.
func (d Deployment) OfManifest() Deployment {
	if d.Manifest != nil {
		return *d.Manifest
	}
	return d
}

// Dialect is one way to write hooks down. A value serves one run, and no
// method is called concurrently.
type Dialect interface {
	// Name is the dialect's name, as Hook.Dialect has it.
	Name() string
	// Any tells whether there may be hooks: without, nothing else is called.
	Any() bool
	// Doubts tells what looks like a mistake that hides a hook.
	Doubts() []error
	// Prepare makes what the hooks need. It is called once, before At. dir
	// makes a private directory that goes with the run, also when it dies.
	Prepare(dir func(what string) (string, error)) error
	// At returns the hooks of a point in the order in which they run. A
	// doubt is told and hides no hook; an error ends the run.
	At(p Point, d Deployment) (list []Hook, doubts []error, err error)
	// List tells of all hooks of a point, whether they would run or not, and of
	// what can't be read. d is nil where there is no manifest.
	List(p Point, d *Deployment) ([]Listed, []error)
}

// Listed is one hook as people are told of it.
type Listed struct {
	Point    string `json:"point"` // "" = it runs when it is asked for
	Stage    string `json:"stage"` // the dialect's word for the point
	Dialect  string `json:"dialect"`
	Name     string `json:"name"`
	Source   string `json:"source"`
	Required bool   `json:"required"` // its failure stops the deployment
	Runs     bool   `json:"runs"`     // as far as can be known before
	Why      string `json:"why"`
}

// Split undoes errors.Join; nil gives none.
func Split(err error) []error {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}

// Refused takes what must end the run out of errors that were joined: the
// first that is failure.ErrRefused. The others are doubts.
func Refused(err error) (doubts []error, refused error) {
	for _, err := range Split(err) {
		if refused == nil && errors.Is(err, failure.ErrRefused) {
			refused = err
		} else {
			doubts = append(doubts, err)
		}
	}
	return doubts, refused
}
