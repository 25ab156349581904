package cli

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// TestSpellings: every flag in every spelling that unit files have.
func TestSpellings(t *testing.T) {
	for _, tc := range []struct {
		args string
		want func(o DeployOptions) bool
	}{
		{"s3://b/k -max-bandwidth 10MB", func(o DeployOptions) bool { return o.MaxBandwidth == 10_000_000 }},
		{"s3://b/k --max-bandwidth=512KiB", func(o DeployOptions) bool { return o.MaxBandwidth == 512<<10 }},
		{"s3://b/k --max-band-width 100", func(o DeployOptions) bool { return o.MaxBandwidth == 100 }},
		{"s3://b/k -max-band-width=100", func(o DeployOptions) bool { return o.MaxBandwidth == 100 }},
		{"-timeout 30 s3://b/k", func(o DeployOptions) bool { return o.Timeout == 30*time.Second }},
		{"--timeout 30s s3://b/k", func(o DeployOptions) bool { return o.Timeout == 30*time.Second }},
		{"-random-delay 2.5", func(o DeployOptions) bool { return o.RandomDelay == 2500*time.Millisecond }},
		{"-retry 3 -retry-wait 1", func(o DeployOptions) bool { return o.Retry == 3 && o.RetryWait == time.Second }},
		{"", func(o DeployOptions) bool {
			return o.Retry == 0 && o.RetryWait == 3*time.Second && o.RsyncVerbose == "-v" &&
				o.LockWait == 10*time.Minute && !o.Force
		}},
		{"-rsync-verbose -v", func(o DeployOptions) bool { return o.RsyncVerbose == "-v" }},
		{"-rsync-verbose -vv", func(o DeployOptions) bool { return o.RsyncVerbose == "-vv" }},
		{"--rsync-verbose=", func(o DeployOptions) bool { return o.RsyncVerbose == "" }},
		{"--rsync-verbose --stats", func(o DeployOptions) bool { return o.RsyncVerbose == "--stats" }},
		{"s3://b/k -retry 2", func(o DeployOptions) bool { return o.Retry == 2 && o.URLs[0] == "s3://b/k" }},
		{"-log-format json -log-file f -progress never -strict-exit", func(o DeployOptions) bool {
			return o.Format == "json" && o.File == "f" && o.Progress == "never"
		}},
		{"-force=false", func(o DeployOptions) bool { return !o.Force }},
		{"-force", func(o DeployOptions) bool { return o.Force }},
		{"-state-dir /s -config c", func(o DeployOptions) bool {
			return o.StateDir == "/s" && o.Config == "c" && o.ConfigGiven
		}},
		{"-timeout 30 -- s3://b/k", func(o DeployOptions) bool { return o.URLs[0] == "s3://b/k" && o.Timeout > 0 }},
		{"-- s3://b/k", func(o DeployOptions) bool { return len(o.URLs) == 1 && !o.ConfigGiven }},
	} {
		c := callWith(t, nil, strings.Fields(tc.args)...)
		if c.status != ExitGood || c.deploy == nil || !tc.want(*c.deploy) || c.stderr != "" {
			t.Errorf("%q: status %d, told %+v, said %q", tc.args, c.status, c.deploy, c.stderr)
		}
	}
}

// TestCommandAmongFlags: a command's flags, and those of all, may stand
// before and after it.
func TestCommandAmongFlags(t *testing.T) {
	for _, args := range []string{
		"-retry 2 check x", "check -retry 2 x", "check x -retry 2", "-retry=2 check -- x", "--retry 2 check x --json",
	} {
		c := callWith(t, nil, strings.Fields(args)...)
		if c.check == nil || c.check.Retry != 2 || !strings.HasSuffix(c.check.URL, "/x") {
			t.Errorf("%q: told %+v, said %q", args, c.check, c.stderr)
		}
	}
	for _, args := range []string{
		"hooks list --json a", "--json hooks list a", "hooks --json list a", "hooks list a -json",
	} {
		c := callWith(t, nil, strings.Fields(args)...)
		if c.list == nil || !c.list.JSON || !strings.HasSuffix(c.list.URL, "/a") {
			t.Errorf("%q: told %+v, said %q", args, c.list, c.stderr)
		}
	}
	c := callWith(t, nil, "--to", "status", "rollback", "/srv/app") // a value is no command
	if c.rollback == nil || c.rollback.To != "status" || c.rollback.Dest != "/srv/app" {
		t.Errorf("told %+v, said %q", c.rollback, c.stderr)
	}
	if c := callWith(t, nil, "hooks", "run", "list", "x"); c.run == nil || c.run.Name != "list" || c.status != 7 {
		t.Errorf("status %d, told %+v, said %q", c.status, c.run, c.stderr)
	}
	if c := callWith(t, nil, "hooks", "install", "--event", "after_install", "x"); c.install == nil ||
		c.install.Event != "after_install" {
		t.Errorf("told %+v, said %q", c.install, c.stderr)
	}
}

// TestVersion: in all of v1.x's spellings, whatever else is there.
func TestVersion(t *testing.T) {
	for _, args := range []string{
		"-v", "-version", "--version", "version", "-rsync-verbose -v -v", "s3://b/k -v", "rollback -v", "-v=true",
	} {
		c := callWith(t, nil, strings.Fields(args)...)
		if c.status != ExitGood || c.stdout != "stretcher version 1.2.3\n" || c.stderr != "" || c.told() {
			t.Errorf("%q: status %d, printed %q, said %q", args, c.status, c.stdout, c.stderr)
		}
	}
}

// TestDryRun: the same as plan.
func TestDryRun(t *testing.T) {
	for args, status := range map[string]int{
		"--dry-run s3://b/k":                   ExitGood,
		"--dry-run --force --json s3://b/k":    ExitGood,
		"plan s3://b/changes":                  ExitChanges,
		"-dry-run s3://b/changes -retry 2":     ExitChanges,
		"plan --dry-run s3://b/changes --json": ExitChanges,
		"plan -progress never ./not-there.yml": ExitGood,
		"--dry-run --strict-exit ./a/b":        ExitGood,
	} {
		c := callWith(t, nil, strings.Fields(args)...)
		if c.status != status || c.plan == nil || c.deploy != nil || c.plan.JSON != strings.Contains(args, "--json") {
			t.Errorf("%q: status %d, told %+v, said %q", args, c.status, c.plan, c.stderr)
		}
	}
}

// TestWrongUsage: status 2, one line, a hint, and nothing is done.
func TestWrongUsage(t *testing.T) {
	t.Chdir(t.TempDir())
	for args, want := range map[string]string{
		"-nope":                 "unknown flag: -nope",
		"--nope":                "unknown flag: --nope",
		"-=x":                   "unknown flag: -\n",
		"--=x s3://b/k":         "unknown flag: --\n",
		"-timeout":              "flag needs an argument: --timeout",
		"-timeout soon":         `invalid --timeout "soon": it is not a duration such as 30, 90s or 5m`,
		"-timeout -5":           `invalid --timeout "-5": it is not a number of seconds from 0 to 999999999`,
		"-timeout NaN":          `invalid --timeout "NaN": it is not a number of seconds`,
		"-retry x":              `invalid --retry "x": it is not a whole number`,
		"--retry=-1":            "invalid --retry -1: it must not be negative",
		"history --limit=-1":    "invalid --limit -1: it must not be negative",
		"--force=perhaps":       `invalid --force "perhaps": it is not true or false`,
		"-max-bandwidth fast":   `invalid --max-bandwidth "fast": it is not a size such as 500KB or 10MiB`,
		"-rsync-verbose --exec": `invalid --rsync-verbose "--exec": it is not an rsync option for verbosity`,
		"--rsync-verbose=x":     `invalid --rsync-verbose "x": it is not an rsync option for verbosity`,
		"--log-format xml":      `invalid --log-format "xml": auto or text or json or journal expected`,
		"--progress on":         `invalid --progress "on": auto or never expected`,
		"check":                 "check expects at least one URL or file, got 0 arguments",
		"plan a b":              "plan expects one URL or file, got 2 arguments",
		"rollback":              "rollback expects one DEST, got 0 arguments",
		"rollback --to= /srv":   "--to expects a run id",
		"status":                "status expects one DEST, got 0 arguments",
		"version now":           "version expects no arguments, got 1",
		"hooks":                 "hooks expects list, run or install",
		"hooks run x":           "hooks run expects a NAME and a URL, got 1 arguments",
		"hooks install x":       `invalid --event "": one of `,
		"completion tcsh":       "completion expects bash, zsh, fish",
		"history a b":           "history expects at most one DEST, got 2 arguments",
		"history --log x --run": "flag needs an argument: --run",
		"--json s3://b/k":       "--json belongs to stretcher --dry-run, check, history, pack, plan, rollback, status, ",
		"history --log-file x":  "--log-file belongs to stretcher [URL], check, ",
		"--to x s3://b/k":       "--to belongs to stretcher pack, rollback and fleet rollback\n",
		"plan --force x":        "--force belongs to stretcher [URL], rollback and fleet forget\n",
		"hooks list --event x":  "--event belongs to stretcher fleet resume, fleet retry, fleet rollback and hooks install\n",
		"-v5":                   "unknown flag: -v5",
		"nowhere.yml":           `"nowhere.yml" is no command, no URL and no file that is there`,
		"s3:/b/k.yml histroy":   `"histroy" is no command, no URL and no file that is there`,
		"-- history":            `"history" is no command, no URL and no file that is there`,
	} {
		c := callWith(t, nil, strings.Fields(args)...)
		if c.status != ExitUsage || !strings.HasPrefix(c.stderr, "stretcher: "+want) || strings.Count(c.stderr, "\n") != 2 ||
			!strings.Contains(c.stderr, "\nhint: ") || c.stdout != "" || c.told() {
			t.Errorf("%q: status %d, printed %q, said\n%s\nwant %s", args, c.status, c.stdout, c.stderr, want)
		}
	}
}

// TestDidYouMean: a mistake is answered with what is nearest.
func TestDidYouMean(t *testing.T) {
	t.Chdir(t.TempDir())
	for args, want := range map[string]string{
		"histroy":                  "did you mean stretcher history?",
		"rolback /srv/app":         "did you mean stretcher rollback?",
		"stauts":                   "did you mean stretcher status?",
		"hooks lst":                "did you mean stretcher hooks list?",
		"help hooks isntall":       "did you mean stretcher hooks install?",
		"help chekc":               "did you mean stretcher check?",
		"--tiemout 30 s3://b/k":    "did you mean --timeout?",
		"-tiemout=30 s3://b/k":     "did you mean -timeout?",
		"-max-bandwith 1 s3://b/k": "did you mean -max-bandwidth?",
		"history --lmit 3":         "did you mean --limit?",
		"rollback /srv --tt x":     "did you mean --to?",
		"--lmit 3":                 "did you mean --limit?",
		"--lokc-wait 3":            "did you mean --lock-wait?",
		"frobnicate":               "see stretcher --help",
		"--frobnicate":             "see stretcher --help",
		"app.yml":                  "see stretcher --help",
		"x":                        "see stretcher --help",
	} {
		c := callWith(t, nil, strings.Fields(args)...)
		if c.status != ExitUsage || !strings.Contains(c.stderr, "\nhint: "+want) || c.told() {
			t.Errorf("%q: status %d, said\n%s\nwant %s", args, c.status, c.stderr, want)
		}
	}
}

// TestManifestArguments: what is deployed by which argument.
func TestManifestArguments(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for _, name := range []string{"app.yml", "histroy"} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir("dir", 0o700); err != nil {
		t.Fatal(err)
	}
	for arg, want := range map[string]string{
		"s3://b/k":       "s3://b/k",
		" s3://b/k\r\n":  " s3://b/k\r\n", // the event's reader trims
		"":               "",
		" ":              " ",
		"app.yml":        "file://" + dir + "/app.yml",
		"./app.yml":      "file://" + dir + "/app.yml",
		"dir/../app.yml": "file://" + dir + "/app.yml",
		"./none.yml":     "file://" + dir + "/none.yml",
		"../none.yml":    "file://" + filepath.Dir(dir) + "/none.yml",
		"/a b/c%.yml":    "file:///a%20b/c%25.yml",
		"histroy":        "file://" + dir + "/histroy",
	} {
		c := callWith(t, nil, arg)
		if c.deploy == nil || len(c.deploy.URLs) != 1 || c.deploy.URLs[0] != want {
			t.Errorf("%q: told %+v, said %s", arg, c.deploy, c.stderr)
		}
	}
	if c := callWith(t, nil, "dir"); c.status != ExitUsage || c.told() {
		t.Errorf("a directory: status %d, told %+v", c.status, c.deploy)
	}
	if c := callWith(t, nil, "s3://a/b", "app.yml"); c.deploy == nil || len(c.deploy.URLs) != 2 {
		t.Errorf("two: told %+v; it is the reader of the event who refuses them", c.deploy)
	}
}

// TestFlagsAgree: a name takes a value in all commands or in none, for it is
// read before the command is known. pack has a --version of its own, which it is
// read by once more.
func TestFlagsAgree(t *testing.T) {
	a := newApp(Process{}, Actions{})
	for name, flag := range a.flags() {
		for _, c := range a.commands() {
			if c.Name() == "pack" && name == "version" {
				continue
			}
			if f := c.Flags().Lookup(name); f != nil && (f.NoOptDefVal != flag.NoOptDefVal || f.Shorthand != flag.Shorthand) {
				t.Errorf("--%s of %q is another than elsewhere", name, c.CommandPath())
			}
		}
	}
}

// TestVersionOfPack: pack means something of its own by --version, wherever it
// stands; no other command does.
func TestVersionOfPack(t *testing.T) {
	for args, want := range map[string]string{
		"pack x --to /y --version 1": "x 1", "--to /y --version 1 pack x": "x 1", "-version=1 pack --to /y x": "x 1",
		"--version pack": "", "pack --version": "", "--version": "", "version --version": "", "-v pack": "", "pack -v": "",
	} {
		got := ""
		a := newApp(Process{Args: append([]string{"stretcher"}, strings.Fields(args)...), Stdout: io.Discard,
			Stderr: io.Discard}, Actions{})
		for _, c := range a.commands() {
			if c.Name() == "pack" {
				c.RunE = func(c *cobra.Command, args []string) error {
					got = args[0] + " " + c.Flags().Lookup("version").Value.String()
					return nil
				}
			}
		}
		if a.main(t.Context()); got != want {
			t.Errorf("%q: %q", args, got)
		}
	}
}

// TestIsVerbosity: what changes what rsync prints, and nothing that does more.
func TestIsVerbosity(t *testing.T) {
	for option, want := range map[string]bool{
		"": true, "-v": true, "-vv": true, "-q": true, "-vhi": true, "--stats": true, "--info=FLIST2": true,
		"--out-format=%n": true,
		"--debug=ALL":     true, "--verbose": true, "--quiet": true, "--progress": true, "--itemize-changes": true,
		"--human-readable": true,
		"-":                false, "--": false, "v": false, "-e": false, "-ve": false,
		"--info": false, "--info=": false, "--rsh=x": false,
		"-v --rsh=x": false, "--stats=1": false, "--delete": false, "-v\n": false,
	} {
		if got := isVerbosity(option); got != want {
			t.Errorf("%q: %v", option, got)
		}
	}
}
