package p2

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"stretcher/internal/hooks"
	"stretcher/internal/text/failure"
)

// Dialect is the hooks of directories as the engine asks for them.
type Dialect struct {
	Options         // Env, Files and what of Pod is the deployment's are set by the methods
	Content Content // of the files that hooks are told of
}

// Name is hooks.P2.
func (*Dialect) Name() string { return hooks.P2 }

// Any tells whether there is a directory, or a hook that must be in one.
func (d *Dialect) Any() bool { return len(d.Dirs)+len(d.Required) > 0 }

// Allowed refuses a host without its required hooks, or with hooks that others
// may write.
func (d *Dialect) Allowed() error {
	if err := untrusted(d.Options); err != nil {
		return err
	}
	if missing := Missing(d.Options); len(missing) > 0 {
		return failure.Refused("the host policy requires hooks that are in no hook directory: %q", missing)
	}
	return nil
}

// Prepare is Allowed, and writes the files that hooks are told of.
func (d *Dialect) Prepare(dir func(what string) (string, error)) error {
	if err := d.Allowed(); err != nil {
		return err
	}
	if len(d.Dirs) == 0 {
		return nil
	}
	name, err := dir("files of hooks")
	if err == nil {
		d.Files, err = WriteFiles(name, d.Content)
	}
	if err != nil {
		return fmt.Errorf("files for hooks: %w", err)
	}
	return nil
}

// Doubts tells of names that look as if they were meant for one event, and
// whose hooks never run, or run at every event.
func (d *Dialect) Doubts() (doubts []error) {
	for _, dir := range d.Dirs {
		if _, is := hooks.ByP2(filepath.Base(dir)); is {
			doubts = append(doubts, fmt.Errorf("hook directory %q is named as an event: its hooks run at every event; "+
				"list the directory above it", dir))
		}
		entries, _ := os.ReadDir(dir) // an error is told when the hooks are read
		for _, e := range entries {
			if doubt := doubtOf(filepath.Join(dir, e.Name())); doubt != nil {
				doubts = append(doubts, doubt)
			}
		}
	}
	return doubts
}

// doubtOf tells what is doubtful of an entry of a hook directory; nil = nothing.
func doubtOf(path string) error {
	name := filepath.Base(path)
	info, err := os.Stat(path)
	if err != nil {
		return nil // the hook that it is is told of
	}
	event, looks := hooks.Meant(name, events)
	_, is := hooks.ByP2(name)
	switch {
	case is && !info.IsDir():
		return fmt.Errorf("hook %q is a file, named as an event: it runs at every event", path)
	case !looks || !info.IsDir():
		return nil
	case event == "":
		return fmt.Errorf("hook directory %q is no event's: what it holds never runs", path)
	}
	return fmt.Errorf("hook directory %q is no event's: what it holds never runs, did you mean %q?", path, event)
}

// events are a point's names as Meant asks for them.
func events(n hooks.Names) []string {
	if n.P2 == "" {
		return nil
	}
	return []string{n.P2}
}

// At returns the hooks of a point; a directory that can't be read is a doubt,
// one that others may write is an error.
func (d *Dialect) At(p hooks.Point, dep hooks.Deployment) ([]hooks.Hook, []error, error) {
	o := d.Options
	o.Env = dep.Env()
	o.Pod.ID, o.Pod.Home, o.Pod.UniqueKey = dep.Name, dep.Dest, dep.Run
	if dep.Dest != "" {
		o.Pod.Root = filepath.Dir(dep.Dest)
	}
	list, err := Hooks(o, p)
	doubts, refused := hooks.Refused(err)
	return list, doubts, refused
}

// List tells of the hooks of a point; at the first one also of what is missing.
func (d *Dialect) List(p hooks.Point, _ *hooks.Deployment) (list []hooks.Listed, bad []error) {
	if p == hooks.Init {
		for _, name := range Missing(d.Options) {
			bad = append(bad, fmt.Errorf("required hook %q is in no hook directory: every deployment is refused", name))
		}
	}
	found, err := Hooks(d.Options, p)
	for _, h := range found {
		list = append(list, listed(h))
		if errors.Is(h.Problem, failure.ErrRefused) {
			bad = append(bad, fmt.Errorf("hook %q: %w", h.Name, h.Problem))
		}
	}
	return list, append(bad, hooks.Split(err)...)
}

func listed(h hooks.Hook) hooks.Listed {
	l := hooks.Listed{
		Point: string(h.Point), Stage: h.Stage, Dialect: h.Dialect, Name: h.Name, Source: h.Source,
		Required: h.Required, Runs: h.Problem == nil, Why: "runs",
	}
	var runs []string
	if h.Required {
		runs = append(runs, "required")
	}
	if only := h.Point.Only(); only != "" {
		runs = append(runs, only)
	}
	switch {
	case errors.Is(h.Problem, failure.ErrRefused):
		l.Why = "refused, and with it every deployment: " + failure.Text(h.Problem)
	case h.Problem != nil:
		l.Why = "skipped: " + failure.Text(h.Problem)
	case len(runs) > 0:
		l.Why = "runs: " + strings.Join(runs, ", ")
	}
	return l
}
