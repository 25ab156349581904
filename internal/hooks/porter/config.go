package porter

import (
	"net/url"
	"reflect"
	"strings"
	"time"

	"stretcher/internal/hooks"
	"stretcher/internal/text/redact"
	"stretcher/internal/text/units"
)

// Lists are the hooks of a manifest by name: what stands below its hooks key.
type Lists map[string][]Entry

// Entry is one hook: a container (Dockerfile, or Repo with Ref), a shell
// command (Run) or a program of the archive (Path).
type Entry struct {
	Dockerfile   string      `yaml:"dockerfile"`    // of the archive, or of the plugin; default there: Dockerfile
	Repo         string      `yaml:"repo"`          // URL of the plugin's git repository
	Ref          string      `yaml:"ref"`           // its tag, branch or commit
	Run          string      `yaml:"run"`           // a command for sh -c
	Path         string      `yaml:"path"`          // an executable of the archive
	Environment  Environment `yaml:"environment"`   // for this hook alone
	RunCondition Condition   `yaml:"run_condition"` // of post hooks; default pass
	Concurrent   bool        `yaml:"concurrent"`    // may run together with its concurrent neighbours
	Timeout      Timeout     `yaml:"timeout"`       // 0 = none; covers clone, build and run
}

// defaultDockerfile is what a plugin is built from when it names no other.
const defaultDockerfile = "Dockerfile"

// Container reports whether the hook runs in a container.
func (e *Entry) Container() bool { return e.Dockerfile != "" || e.Repo != "" }

// IsEmpty reports whether nothing is set: an element of a list that holds
// nothing is no hook.
func (e Entry) IsEmpty() bool { return reflect.ValueOf(e).IsZero() }

// dockerfile is the path of the dockerfile below the tree or the plugin.
func (e *Entry) dockerfile() string {
	if e.Dockerfile == "" {
		return defaultDockerfile
	}
	return e.Dockerfile
}

// shown is a repository's address without credentials. The user that ssh logs
// in as is none.
func shown(repo string) string {
	if !strings.Contains(repo, "://") && repoSCP.MatchString(repo) {
		return repo
	}
	if u, err := url.Parse(repo); err == nil && u.Scheme == "ssh" && u.RawQuery == "" && u.Fragment == "" {
		if _, secret := u.User.Password(); !secret && u.Opaque == "" {
			return repo
		}
	}
	return redact.URL(repo)
}

// What says what the hook is, for people: the command, the path, or the
// dockerfile and where it comes from, without credentials.
func (e *Entry) What() string {
	switch {
	case e.Run != "":
		return e.Run
	case e.Path != "":
		return e.Path
	case e.Repo != "":
		return e.dockerfile() + " of " + shown(e.Repo) + " at " + e.Ref
	default:
		return e.Dockerfile
	}
}

// Condition is a run condition as manifests write it.
type Condition hooks.Condition

// UnmarshalText accepts pass, fail and always.
func (c *Condition) UnmarshalText(b []byte) error {
	*c = Condition(b)
	return conditions().Check(string(b))
}

// Timeout is a time span: a Go duration such as 90s, or a bare number of
// seconds.
type Timeout time.Duration

// UnmarshalText parses a duration; negative ones are refused.
func (t *Timeout) UnmarshalText(b []byte) error {
	d, err := units.ParseSeconds(string(b))
	if err != nil {
		return err
	}
	*t = Timeout(d)
	return nil
}

// Environment is what a hook's environment gets beside the standard
// variables, as in Docker Compose: a value, or nil to pass on the caller's
// where there is one.
type Environment map[string]*string

// FromList reads the list form: NAME=value, or NAME to pass on. The last of
// several values for a name counts.
func (e *Environment) FromList(items []string) error {
	*e = make(Environment, len(items))
	for _, item := range items {
		if item == "" { // an element that holds nothing
			continue
		}
		name, value, found := strings.Cut(item, "=")
		if found {
			(*e)[name] = &value
		} else {
			(*e)[name] = nil
		}
	}
	return nil
}
