package porter

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"stretcher/internal/disk"
	"stretcher/internal/hooks"
	"stretcher/internal/process"
)

// standard are the variables that porter gives to every hook when its own
// environment has them. Here it is what programs get by themselves.
var standard = [...]string{"DOCKER_ENV_FILE", "HAPROXY_STATS_USERNAME", "HAPROXY_STATS_PASSWORD", "HAPROXY_STATS_URL"}

// names are the names of the variables, sorted.
func (e Environment) names() []string {
	names := make([]string, 0, len(e))
	for name := range e {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// resolve returns NAME=value for what is set, here or in the caller's
// environment, sorted by name. Each value goes to mask too.
func (e Environment) resolve(caller []string, mask func(name, value string)) []string {
	var env []string
	for _, name := range e.names() {
		value := e[name]
		if value == nil {
			value = process.Variable(caller, name)
		}
		if value != nil {
			mask(name, *value)
			env = append(env, name+"="+*value)
		}
	}
	return env
}

// PassedOn are the names of the variables that hooks pass on from the caller's
// environment.
func (l Lists) PassedOn() (names []string) {
	for _, list := range l {
		for i := range list {
			for name, value := range list[i].Environment {
				if value == nil {
					names = append(names, name)
				}
			}
		}
	}
	return names
}

// scope is what the hooks of one list are told.
type scope struct {
	hooks.Deployment
	file Environment // from --env-file; nil = none
}

// added is what the hook gets beside the caller's environment; of several
// values for a name the last counts.
func (s *scope) added(e *Entry, mask func(name, value string)) []string {
	env := append(s.Env(), "PORTER_SERVICE_NAME="+s.Name, "PORTER_SERVICE_VERSION="+s.Version)
	pass := Environment{}
	for _, name := range standard {
		if process.Variable(s.Base, name) != nil { // nobody has asked for it
			pass[name] = nil
		}
	}
	env = append(env, pass.resolve(s.Environ, func(name, value string) {
		if strings.HasPrefix(name, "HAPROXY_") {
			mask(name, value)
		}
	})...)
	env = append(env, s.file.resolve(s.Environ, mask)...)
	return last(append(env, e.Environment.resolve(s.Environ, mask)...))
}

// last drops all but the last value of each name.
func last(env []string) []string {
	seen := make(map[string]bool, len(env))
	kept := make([]string, 0, len(env))
	for _, kv := range slices.Backward(env) {
		name, _, _ := strings.Cut(kv, "=")
		if !seen[name] {
			seen[name] = true
			kept = append(kept, kv)
		}
	}
	slices.Reverse(kept)
	return kept
}

// ParseEnvFile reads the file of --env-file: NAME=value lines, the value as
// it stands up to the end of the line, or NAME to pass on the caller's. Empty
// lines and lines that begin with # are skipped. Errors name the line and
// never a value.
func ParseEnvFile(data []byte) (Environment, error) {
	env := Environment{}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	for i, line := range strings.Split(string(data), "\n") {
		line = strings.TrimLeft(strings.TrimSuffix(line, "\r"), " \t")
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, found := strings.Cut(line, "=")
		switch {
		case !found && !validName(strings.TrimSpace(name)), found && !validName(name):
			return nil, fmt.Errorf("environment file: line %d is not NAME=value", i+1)
		case strings.ContainsRune(value, 0):
			return nil, fmt.Errorf("environment file: line %d has a NUL in it", i+1)
		case found:
			env[name] = &value
		default:
			env[strings.TrimSpace(name)] = nil
		}
	}
	return env, nil
}

// maxEnvLine is the longest line, in bytes, that engines read from a file of
// variables.
const maxEnvLine = 60_000

// split parts env into the lines of a file that container engines read, and
// what such a file can't hold: those values the engine takes from its own
// environment.
func split(env, engine []string) (file []byte, inherited []string, err error) {
	for _, kv := range env {
		name, value, _ := strings.Cut(kv, "=")
		switch {
		case !validName(name):
			return nil, nil, fmt.Errorf("environment variable %q: a container takes no such name", name)
		case !strings.ContainsAny(value, "\r\n") && utf8.ValidString(value) && len(kv) <= maxEnvLine:
			file = append(file, kv+"\n"...)
		default:
			if own := process.Variable(engine, name); own != nil && *own != value {
				return nil, nil, fmt.Errorf("environment variable %q: "+
					"a value of several lines can't replace the one of the container engine", name)
			}
			inherited = append(inherited, kv)
		}
	}
	return file, inherited, nil
}

// maxEnvFile bounds an environment file, in bytes.
const maxEnvFile = 1 << 20

// ReadEnvFile reads an environment file; "" is none.
func ReadEnvFile(name string) (Environment, error) {
	if name == "" {
		return nil, nil
	}
	f, err := disk.OpenRegular(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxEnvFile+1))
	if err == nil && len(data) > maxEnvFile {
		err = fmt.Errorf("larger than %d bytes", maxEnvFile)
	}
	if err != nil {
		return nil, err
	}
	return ParseEnvFile(data)
}
