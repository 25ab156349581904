// Package hookenv tells a hook what it has been run for. It is for authors of
// directory hooks in Go:
//
//	func main() {
//		env := hookenv.CurrentEnv()
//		env.ExitUnlessEvent(hookenv.BeforeInstall)
//		home, err := env.PodHome()
//		...
//	}
//
// Its words are those of p2: an event is the point at which the hook runs, a
// pod is the deployment, its home is the destination. What p2 knows too comes
// from the environment variables HOOK*, so that a hook written with this
// package can also be run by hand, and by p2; the rest from STRETCHER_*.
package hookenv

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"gopkg.in/yaml.v3"
)

// Event is the point of the deployment at which a hook runs.
type Event string

// The events, in process order.
const (
	PreparerInit    Event = "preparer_init"    // the manifest is accepted
	BeforeInstall   Event = "before_install"   // before the archive is fetched
	AfterAuthFail   Event = "after_auth_fail"  // the manifest or its archive was refused
	AfterInstall    Event = "after_install"    // the new tree is staged
	BeforeUninstall Event = "before_uninstall" // before the destination changes
	BeforeLaunch    Event = "before_launch"    // the destination has changed
	AfterLaunch     Event = "after_launch"     // after the post and verify commands
)

// Events returns all events in process order.
func Events() []Event {
	return []Event{PreparerInit, BeforeInstall, AfterAuthFail, AfterInstall, BeforeUninstall, BeforeLaunch, AfterLaunch}
}

// AsEvent returns the event with that name.
func AsEvent(name string) (Event, error) {
	if e := Event(name); slices.Contains(Events(), e) {
		return e, nil
	}
	return "", fmt.Errorf("%q is not an event", name)
}

// Env reads the environment of a hook.
type Env struct {
	lookup func(string) (string, bool)
	exit   func(code int)
}

// CurrentEnv returns the environment that this process was started with.
func CurrentEnv() *Env { return &Env{lookup: os.LookupEnv, exit: os.Exit} }

// get returns a variable that must have a value.
func (e *Env) get(name string) (string, error) {
	v, ok := e.lookup(name)
	if !ok || v == "" {
		return "", fmt.Errorf("%s is not set: is this a hook?", name)
	}
	return v, nil
}

// Hook is the name of the directory that holds the hook.
func (e *Env) Hook() (string, error) { return e.get("HOOK") }

// Event is the event that the hook runs for.
func (e *Env) Event() (Event, error) {
	name, err := e.get("HOOK_EVENT")
	if err != nil {
		return "", err
	}
	return AsEvent(name)
}

// ExitUnlessEvent returns the event if it is one of events. Otherwise the
// program ends: with status 0 at another event, since a hook that is not
// concerned has not failed; with status 1 and a line on stderr when there is
// no event.
func (e *Env) ExitUnlessEvent(events ...Event) Event {
	event, err := e.Event()
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		e.exit(1)
	case !slices.Contains(events, event):
		e.exit(0)
	}
	return event
}

// Node is the name of the host.
func (e *Env) Node() (string, error) { return e.get("HOOKED_NODE") }

// PodID is the name of the deployment.
func (e *Env) PodID() (string, error) { return e.get("HOOKED_POD_ID") }

// PodHome is the destination of the deployment.
func (e *Env) PodHome() (string, error) { return e.get("HOOKED_POD_HOME") }

// PodUniqueKey is the id of this run.
func (e *Env) PodUniqueKey() (string, error) { return e.get("HOOKED_POD_UNIQUE_KEY") }

// PodUniqueName is the name of the deployment and the id of this run.
func (e *Env) PodUniqueName() (string, error) {
	id, err := e.PodID()
	if err != nil {
		return "", err
	}
	key, err := e.PodUniqueKey()
	if err != nil {
		return "", err
	}
	return id + "-" + key, nil
}

// Staging is the directory of the unpacked tree. That there is none at this
// event is an error, which wraps fs.ErrNotExist.
func (e *Env) Staging() (string, error) {
	path, err := e.get("STRETCHER_STAGING")
	if err != nil {
		return "", err
	}
	if info, err := os.Stat(path); err != nil || !info.IsDir() {
		return "", fmt.Errorf("%w: no tree is staged at this event", fs.ErrNotExist)
	}
	return path, nil
}

// Status is how the deployment goes: "failed" at AfterAuthFail, "running" at
// all other events; "" where it is not known.
func (e *Env) Status() string {
	v, _ := e.lookup("STRETCHER_STATUS")
	return v
}

// Failure is why the deployment has failed, in one line; "" = it has not.
func (e *Env) Failure() string {
	v, _ := e.lookup("STRETCHER_ERROR")
	return v
}

// SystemPodRoot is the directory that holds PodHome.
func (e *Env) SystemPodRoot() (string, error) { return e.get("HOOKED_SYSTEM_POD_ROOT") }

// PodReadOnly tells whether the pod must not be written to.
func (e *Env) PodReadOnly() bool {
	v, _ := e.lookup("HOOKED_POD_READ_ONLY")
	return v == "true"
}

// ConfigDirPath is the directory that holds the configuration; "" when there
// is none.
func (e *Env) ConfigDirPath() string {
	v, _ := e.lookup("HOOKED_CONFIG_DIR_PATH")
	return v
}

// EnvPath is a directory with one file for each variable of the manifest's
// env; "" when there is none.
func (e *Env) EnvPath() string {
	v, _ := e.lookup("HOOKED_ENV_PATH")
	return v
}

// Variable is the value of a variable of the manifest's env. ok is false when
// the manifest does not have it.
func (e *Env) Variable(name string) (value string, ok bool, err error) {
	dir := e.EnvPath()
	if dir == "" || name != filepath.Base(name) {
		return "", false, nil
	}
	b, err := os.ReadFile(filepath.Join(dir, name))
	if errors.Is(err, os.ErrNotExist) {
		return "", false, nil
	}
	return string(b), err == nil, err
}

// Config is the config map of the manifest.
func (e *Env) Config() (map[string]any, error) {
	config := map[string]any{}
	if err := e.read("HOOKED_CONFIG_PATH", &config); err != nil {
		return nil, err
	}
	return config, nil
}

// Manifest is what hooks most often ask of a manifest. The file named by
// HOOKED_POD_MANIFEST has all of it.
type Manifest struct {
	Name        string            `yaml:"name"`
	Version     string            `yaml:"version"`
	Src         List              `yaml:"src"` // mirrors, in order
	Checksum    string            `yaml:"checksum"`
	Dest        string            `yaml:"dest"`
	Annotations map[string]string `yaml:"annotations"`
	Config      map[string]any    `yaml:"config"`
}

// List is a list of strings that may be written as its only element.
type List []string

// UnmarshalYAML reads a string or a list of strings.
func (l *List) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		*l = List{n.Value}
		return nil
	}
	return n.Decode((*[]string)(l))
}

// Manifest is the manifest being deployed.
func (e *Env) Manifest() (*Manifest, error) {
	m := &Manifest{}
	if err := e.read("HOOKED_POD_MANIFEST", m); err != nil {
		return nil, err
	}
	return m, nil
}

// read decodes the YAML file that a variable names.
func (e *Env) read(variable string, into any) error {
	path, err := e.get(variable)
	if err != nil {
		return err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("%s: %w", variable, err)
	}
	if err := yaml.Unmarshal(b, into); err != nil {
		return fmt.Errorf("%s %q: %w", variable, path, err)
	}
	return nil
}
