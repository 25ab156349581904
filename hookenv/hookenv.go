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
// Its words and names are those of p2's package hooks: a hook type, or event, is
// the point at which the hook runs, a pod is the deployment, its home is the
// destination. What p2 knows too comes from the environment variables HOOK*, so
// that a hook written with this package can also be run by hand, and by p2; the
// rest from STRETCHER_*. docs/hooks.md lists what of p2's is missing, and why.
package hookenv

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"gopkg.in/yaml.v3"
)

// DefaultPath is a directory of hooks that is read where it exists.
const DefaultPath = "/usr/local/p2hooks.d"

// The variables that tell a hook what it has been run for.
const (
	HookEnvVar                = "HOOK"                   // the directory that holds the hook
	HookEventEnvVar           = "HOOK_EVENT"             // the event
	HookedNodeEnvVar          = "HOOKED_NODE"            // the host
	HookedPodIDEnvVar         = "HOOKED_POD_ID"          // the name of the deployment
	HookedPodHomeEnvVar       = "HOOKED_POD_HOME"        // the destination
	HookedPodManifestEnvVar   = "HOOKED_POD_MANIFEST"    // a file
	HookedConfigPathEnvVar    = "HOOKED_CONFIG_PATH"     // a file
	HookedEnvPathEnvVar       = "HOOKED_ENV_PATH"        // a directory
	HookedConfigDirPathEnvVar = "HOOKED_CONFIG_DIR_PATH" // a directory
	HookedSystemPodRootEnvVar = "HOOKED_SYSTEM_POD_ROOT" // the directory that holds the destination
	HookedPodUniqueKeyEnvVar  = "HOOKED_POD_UNIQUE_KEY"  // the id of the run
	HookedPodReadOnly         = "HOOKED_POD_READ_ONLY"   // true or false
)

// HookType is the point of the deployment at which a hook runs.
type HookType string

// String is the name of the event.
func (t HookType) String() string { return string(t) }

// The events, in process order.
const (
	PreparerInit    HookType = "preparer_init"    // the manifest is accepted
	BeforeInstall   HookType = "before_install"   // before the archive is fetched
	AfterAuthFail   HookType = "after_auth_fail"  // the manifest or its archive was refused
	AfterInstall    HookType = "after_install"    // the new tree is staged
	BeforeUninstall HookType = "before_uninstall" // before the destination changes
	BeforeLaunch    HookType = "before_launch"    // the destination has changed
	AfterLaunch     HookType = "after_launch"     // after the post and verify commands
)

// HookTypes returns all events in process order.
func HookTypes() []HookType {
	return []HookType{PreparerInit, BeforeInstall, AfterAuthFail, AfterInstall, BeforeUninstall, BeforeLaunch, AfterLaunch}
}

// AsHookType returns the event with that name.
func AsHookType(name string) (HookType, error) {
	if t := HookType(name); slices.Contains(HookTypes(), t) {
		return t, nil
	}
	return "", fmt.Errorf("%q is not an event", name)
}

// HookEnv reads the environment of a hook. The zero value reads that of this
// process.
type HookEnv struct {
	variables func(string) (string, bool) // nil = those of this process
	end       func(code int)              // nil = this process
}

// CurrentEnv returns the environment that this process was started with.
func CurrentEnv() *HookEnv { return &HookEnv{} }

func (e *HookEnv) lookup(name string) (string, bool) {
	if e.variables == nil {
		return os.LookupEnv(name)
	}
	return e.variables(name)
}

func (e *HookEnv) exit(code int) {
	if e.end == nil {
		os.Exit(code)
	}
	e.end(code)
}

// get returns a variable that must have a value.
func (e *HookEnv) get(name string) (string, error) {
	v, ok := e.lookup(name)
	if !ok || v == "" {
		return "", fmt.Errorf("%s is not set: is this a hook?", name)
	}
	return v, nil
}

// Hook is the name of the directory that holds the hook.
func (e *HookEnv) Hook() (string, error) { return e.get(HookEnvVar) }

// Event is the event that the hook runs for.
func (e *HookEnv) Event() (HookType, error) {
	name, err := e.get(HookEventEnvVar)
	if err != nil {
		return "", err
	}
	return AsHookType(name)
}

// ExitUnlessEvent returns the event if it is one of events. Otherwise the
// program ends: with status 0 at another event, since a hook that is not
// concerned has not failed; with status 1 and a line on stderr when there is
// no event.
func (e *HookEnv) ExitUnlessEvent(events ...HookType) HookType {
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

// Node is the name of the host: what the system says, where nobody else has said
// it.
func (e *HookEnv) Node() (string, error) {
	if node, err := e.get(HookedNodeEnvVar); err == nil {
		return node, nil
	}
	return os.Hostname()
}

// PodID is the name of the deployment.
func (e *HookEnv) PodID() (string, error) { return e.get(HookedPodIDEnvVar) }

// PodHome is the destination of the deployment.
func (e *HookEnv) PodHome() (string, error) { return e.get(HookedPodHomeEnvVar) }

// PodUniqueKey is the id of this run.
func (e *HookEnv) PodUniqueKey() (string, error) { return e.get(HookedPodUniqueKeyEnvVar) }

// PodUniqueName is the name of the deployment and the id of this run.
func (e *HookEnv) PodUniqueName() (string, error) {
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
func (e *HookEnv) Staging() (string, error) {
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
func (e *HookEnv) Status() string {
	v, _ := e.lookup("STRETCHER_STATUS")
	return v
}

// Error is why the deployment has failed, in one line; "" = it has not.
func (e *HookEnv) Error() string {
	v, _ := e.lookup("STRETCHER_ERROR")
	return v
}

// SystemPodRoot is the directory that holds PodHome.
func (e *HookEnv) SystemPodRoot() (string, error) { return e.get(HookedSystemPodRootEnvVar) }

// PodReadOnly tells whether the pod must not be written to.
func (e *HookEnv) PodReadOnly() bool {
	v, _ := e.lookup(HookedPodReadOnly)
	only, err := strconv.ParseBool(v)
	return only && err == nil
}

// ConfigDirPath is the directory that holds the configuration; "" when there
// is none.
func (e *HookEnv) ConfigDirPath() string {
	v, _ := e.lookup(HookedConfigDirPathEnvVar)
	return v
}

// EnvPath is a directory with one file for each variable of the manifest's
// env; "" when there is none.
func (e *HookEnv) EnvPath() string {
	v, _ := e.lookup(HookedEnvPathEnvVar)
	return v
}

// Variable is the value of a variable of the manifest's env. ok is false when
// the manifest does not have it.
func (e *HookEnv) Variable(name string) (value string, ok bool, err error) {
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
func (e *HookEnv) Config() (map[string]any, error) {
	config := map[string]any{}
	if err := e.read(HookedConfigPathEnvVar, &config); err != nil {
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
func (e *HookEnv) Manifest() (*Manifest, error) {
	m := &Manifest{}
	if err := e.read(HookedPodManifestEnvVar, m); err != nil {
		return nil, err
	}
	return m, nil
}

// read decodes the YAML file that a variable names.
func (e *HookEnv) read(variable string, into any) error {
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
