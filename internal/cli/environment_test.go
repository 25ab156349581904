package cli

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

// TestEnvironment: each flag can be set by a variable, the flag wins, and a
// bad value names the variable and not itself.
func TestEnvironment(t *testing.T) {
	env := []string{
		"STRETCHER_TIMEOUT=30", "STRETCHER_RETRY=2", "STRETCHER_MAX_BANDWIDTH=1KiB", "STRETCHER_LOG_FILE=f",
		"STRETCHER_FORCE=true",
		"STRETCHER_STATE_DIR=/s", "STRETCHER_CONFIG=c", "STRETCHER_RSYNC_VERBOSE=-vv", "STRETCHER_LOCK_WAIT=",
		"STRETCHER_PROGRESS=never",
		"STRETCHER_HOOKS_LIST_WATCH=no bool", // of another command
	}
	o := callWith(t, env, "s3://b/k", "--retry", "1", "--force=false").deploy
	if o == nil || o.Timeout != 30*time.Second || o.Retry != 1 || o.MaxBandwidth != 1024 || o.File != "f" ||
		o.Force || o.StateDir != "/s" ||
		o.Config != "c" || !o.ConfigGiven || o.RsyncVerbose != "-vv" || o.LockWait != 10*time.Minute ||
		o.Progress != "never" {
		t.Errorf("told %+v", o)
	}
	if c := callWith(t, []string{"STRETCHER_JSON=1"}, "s3://b/k"); c.deploy == nil {
		t.Errorf("STRETCHER_JSON is for --dry-run; said %s", c.stderr)
	}
	if c := callWith(t, []string{"STRETCHER_JSON=1", "STRETCHER_DRY_RUN=1"}, "s3://b/k"); c.plan == nil || !c.plan.JSON {
		t.Errorf("told %+v, said %s", c.plan, c.stderr)
	}
	if c := callWith(t, []string{"STRETCHER_CHECK_JSON=1"}, "check", "x"); c.check == nil || !c.check.JSON {
		t.Errorf("told %+v, said %s", c.check, c.stderr)
	}
	for _, tc := range []struct{ env, args, want string }{
		{"STRETCHER_TIMEOUT=s3cret", "s3://b/k",
			"invalid STRETCHER_TIMEOUT in the environment: it is not a duration such as 30, 90s or 5m"},
		{"STRETCHER_RETRY=-1", "check x", "invalid STRETCHER_RETRY in the environment: it must not be negative"},
		{"STRETCHER_DETACH=s3cret", "s3://b/k", "invalid STRETCHER_DETACH in the environment: it is not true or false"},
		{"STRETCHER_LOG_FORMAT=s3cret", "s3://b/k",
			"invalid STRETCHER_LOG_FORMAT in the environment: auto or text or json or journal expected"},
	} {
		c := callWith(t, []string{tc.env}, strings.Fields(tc.args)...)
		if c.status != ExitUsage || !strings.HasPrefix(c.stderr, "stretcher: "+tc.want+"\nhint: ") ||
			strings.Contains(c.stderr, "s3cret") || c.told() {
			t.Errorf("%s: status %d, said %s", tc.env, c.status, c.stderr)
		}
	}
}

// valueFor is a value that a flag takes, and not its default.
func valueFor(f *pflag.Flag) string {
	switch kind := f.Value.Type(); kind {
	case "bool":
		return "true"
	case "duration":
		return "7m0.5s"
	case "N":
		return "3"
	case "bytes":
		return "5 KiB"
	case "option":
		return "-vv"
	default: // the last word of those that can be chosen, or any text
		words := strings.Split(kind, "|")
		return words[len(words)-1]
	}
}

// changed are the flags of a command that variables set.
func changed(t *testing.T, env []string, words []string) (names []string) {
	t.Helper()
	a := newApp(Process{Environ: env}, Actions{})
	c := a.root
	for _, word := range words {
		c = child(c, word)
	}
	if err := c.ParseFlags(nil); err != nil {
		t.Fatal(err)
	}
	if err := a.settle(c); err != nil {
		t.Errorf("%q with %q: %v", words, env, err)
	}
	c.Flags().Visit(func(f *pflag.Flag) { names = append(names, f.Name) })
	return names
}

// TestVariables: each flag of each command is set by its variable, and by no
// other one. What several commands have by one variable means the same to them.
func TestVariables(t *testing.T) {
	a := newApp(Process{}, Actions{})
	owners, env := map[string]*pflag.Flag{}, map[string]string{}
	for _, c := range a.commands() {
		if err := c.ParseFlags(nil); err != nil {
			t.Fatal(err)
		}
		c.Flags().VisitAll(func(f *pflag.Flag) {
			name := variable(c, f)
			if name == "" {
				return
			}
			if got := changed(t, []string{name + "=" + valueFor(f)}, path(c)); !slices.Equal(got, []string{f.Name}) {
				t.Errorf("%q: %s sets %q, want --%s", path(c), name, got, f.Name)
			}
			if other := owners[name]; other != nil && (other.Name != f.Name || other.Value.Type() != f.Value.Type() ||
				other.Usage != f.Usage) {
				t.Errorf("%q: %s sets --%s (%s), and elsewhere --%s (%s)", path(c), name, f.Name, f.Usage, other.Name, other.Usage)
			}
			owners[name], env[name] = f, name+"="+valueFor(f)
		})
	}
	if len(owners) < 60 {
		t.Errorf("only %d variables", len(owners))
	}
	for _, c := range a.commands() {
		others := maps.Clone(env)
		c.Flags().VisitAll(func(f *pflag.Flag) { delete(others, variable(c, f)) })
		if got := changed(t, slices.Collect(maps.Values(others)), path(c)); len(got) > 0 {
			t.Errorf("%q: variables of others set %q", path(c), got)
		}
	}
}

// TestNoName: an empty name is no name, and not the default.
func TestNoName(t *testing.T) {
	for _, c := range newApp(Process{}, Actions{}).commands() {
		if c.HasSubCommands() && c.HasParent() {
			continue
		}
		c.InheritedFlags() // which come with those of its own
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if kind := f.Value.Type(); kind != "FILE" && kind != "DIR" {
				return
			}
			got := callWith(t, nil, append(path(c), "--"+f.Name, "", "x")...)
			if got.status != ExitUsage || !strings.Contains(got.stderr, "--"+f.Name+" expects a ") || got.told() {
				t.Errorf("%q --%s '': status %d, said %q", path(c), f.Name, got.status, got.stderr)
			}
		})
	}
}

// TestRunVariables: what commands of a deployment are told by the environment
// is not taken for a flag when they call the program.
func TestRunVariables(t *testing.T) {
	told := []string{
		"RUN_ID", "NAME", "VERSION", "MANIFEST_URL", "SRC", "CHECKSUM", "DEST", "STAGING", "POINT", "STATUS", "ERROR",
		"COMMAND_ID", "HOOK_ID", "RUN_SUMMARY",
	}
	var env []string
	for _, name := range told {
		env = append(env, "STRETCHER_"+name+"=true")
	}
	for _, c := range newApp(Process{}, Actions{}).commands() {
		if got := changed(t, env, path(c)); len(got) > 0 {
			t.Errorf("%q: what commands are told sets %q", path(c), got)
		}
	}
	c := callWith(t, env, "s3://b/k")
	if c.status != ExitGood || c.deploy == nil || c.stdout != "" || c.stderr != "" {
		t.Errorf("status %d, told %+v, printed %q, said %q", c.status, c.deploy, c.stdout, c.stderr)
	}
}

// TestGetenv: the last value of a variable counts, as for the C library of
// most systems; a name is no prefix.
func TestGetenv(t *testing.T) {
	p := Process{Environ: []string{"A=1", "AB=2", "A=3"}}
	if got := p.Getenv("A"); got != "3" {
		t.Errorf("A is %q", got)
	}
	if got := p.Getenv("B"); got != "" {
		t.Errorf("B is %q", got)
	}
}
