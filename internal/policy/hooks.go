package policy

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"stretcher/internal/text/units"
)

// Hooks says which hooks of the host run at deployments, and how.
type Hooks struct {
	Dirs      []string `yaml:"dirs"`       // directories of executables, in order
	OCIDirs   []string `yaml:"oci_dirs"`   // directories of JSON definitions; a later one masks an earlier one
	Required  []string `yaml:"required"`   // executables whose failure stops the deployment: NAME or EVENT/NAME
	TermAfter Span     `yaml:"term_after"` // when an executable is told to end, from its start; 0 = 30 s
	KillAfter Span     `yaml:"kill_after"` // when it is killed, from its start; 0 = 60 s

	Engine     Text `yaml:"engine"`      // podman, docker or a path; "" = whichever is there
	EngineArgs List `yaml:"engine_args"` // before the engine's command
	BuildArgs  List `yaml:"build_args"`  // options of build
	RunArgs    List `yaml:"run_args"`    // options of run
}

// Times that hold where the policy says nothing.
const (
	defaultTermAfter = 30 * time.Second
	defaultKillAfter = 60 * time.Second
)

// Times returns when executables are told to end and when they are killed,
// both from their start.
func (h Hooks) Times() (term, kill time.Duration) {
	term, kill = time.Duration(h.TermAfter), time.Duration(h.KillAfter)
	if term == 0 {
		term = defaultTermAfter
		if kill > 0 {
			term = min(term, kill)
		}
	}
	if kill == 0 {
		kill = max(defaultKillAfter, term)
	}
	return term, kill
}

// add adds the hooks of a further layer. Definitions of a later directory mask
// those of an earlier one: what came before stays the later.
func (h *Hooks) add(more Hooks) {
	h.Dirs = append(h.Dirs, more.Dirs...)
	h.OCIDirs = append(slices.Clone(more.OCIDirs), h.OCIDirs...)
	h.Required = append(h.Required, more.Required...)
	h.TermAfter, h.KillAfter = smaller(h.TermAfter, more.TermAfter), smaller(h.KillAfter, more.KillAfter)
	if h.TermAfter > 0 && h.KillAfter > 0 {
		h.TermAfter = min(h.TermAfter, h.KillAfter)
	}
	h.Engine = cmp.Or(h.Engine, more.Engine)
	h.EngineArgs = either(h.EngineArgs, more.EngineArgs)
	h.BuildArgs = either(h.BuildArgs, more.BuildArgs)
	h.RunArgs = either(h.RunArgs, more.RunArgs)
}

// either is the list that is there, were it an empty one.
func either(a, b List) List {
	if a == nil {
		return b
	}
	return a
}

func (h Hooks) check() error {
	if term, kill := h.Times(); kill < term {
		return mistake{"hooks.kill_after", fmt.Errorf("%s is before term_after, %s", kill, term)}
	}
	for _, name := range h.Required {
		if name == "" {
			return mistake{"hooks.required", errors.New("has an empty name")}
		}
	}
	return nil
}

// Span is a time span: a Go duration, or a bare number of seconds.
type Span time.Duration

// UnmarshalText reads 30s, 2m and 30.
func (s *Span) UnmarshalText(b []byte) error {
	d, err := units.ParseSeconds(string(b))
	if err != nil || d <= 0 {
		return errors.New("is not a time span such as 30s or 2m")
	}
	*s = Span(d)
	return nil
}
