package cli

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// TestEnvironment: each flag can be set by a variable, the flag wins, and a
// bad value names the variable and not itself.
func TestEnvironment(t *testing.T) {
	env := []string{
		"STRETCHER_TIMEOUT=30", "STRETCHER_RETRY=2", "STRETCHER_MAX_BANDWIDTH=1KiB", "STRETCHER_LOG_FILE=f",
		"STRETCHER_FORCE=true",
		"STRETCHER_STATE_DIR=/s", "STRETCHER_CONFIG=c", "STRETCHER_RSYNC_VERBOSE=-vv", "STRETCHER_LOCK_WAIT=",
		"STRETCHER_PROGRESS=never",
		"STRETCHER_WATCH=no bool", // of another command
	}
	o := callWith(t, env, "s3://b/k", "--retry", "1", "--force=false").deploy
	if o == nil || o.Timeout != 30*time.Second || o.Retry != 1 || o.MaxBandwidth != 1024 || o.File != "f" ||
		o.Force || o.StateDir != "/s" ||
		o.Config != "c" || !o.ConfigGiven || o.RsyncVerbose != "-vv" || o.LockWait != 10*time.Minute ||
		o.Progress != "never" {
		t.Errorf("told %+v", o)
	}
	if c := callWith(t, []string{"STRETCHER_JSON=1"}, "s3://b/k"); c.deploy == nil {
		t.Errorf("STRETCHER_JSON is for those that know it; said %s", c.stderr)
	}
	if c := callWith(t, []string{"STRETCHER_JSON=1"}, "check", "x"); c.check == nil || !c.check.JSON {
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

// TestRunVariables: what commands of a deployment are told by the environment
// is not taken for a flag when they call the program.
func TestRunVariables(t *testing.T) {
	told := []string{
		"RUN_ID", "NAME", "VERSION", "MANIFEST_URL", "SRC", "CHECKSUM", "DEST", "STAGING", "POINT", "STATUS", "ERROR",
		"COMMAND_ID", "HOOK_ID",
	}
	var env []string
	for _, name := range told {
		env = append(env, "STRETCHER_"+name+"=true")
	}
	a := newApp(Process{}, Actions{})
	for name, f := range a.flags() {
		if slices.Contains(env, variable(name)+"=true") && inEnvironment(f) {
			t.Errorf("%s sets --%s, and is told to commands", variable(name), name)
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
