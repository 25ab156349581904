package docs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"stretcher/internal/testparts"
)

// hardened runs a script with what a unit leaves to it: its capabilities, no new
// privileges, and a file system that is read-only but for some directories.
func hardened(t *testing.T, unit, script string, env []string, writable ...string) string {
	t.Helper()
	caps := regexp.MustCompile(`(?m)^CapabilityBoundingSet=(.+)$`).FindStringSubmatch(unit)
	if caps == nil || !strings.Contains(unit, "\nNoNewPrivileges=yes\n") ||
		!strings.Contains(unit, "\nProtectSystem=strict\n") {
		t.Fatalf("the unit forbids less than is tried here:\n%s", unit)
	}
	set := strings.ToLower(strings.ReplaceAll(strings.ReplaceAll(caps[1], "CAP_", "+"), " ", ","))
	mounts := "set -e; mount --make-rprivate /; "
	for _, dir := range writable {
		mounts += fmt.Sprintf("mount --bind '%s' '%s'; ", dir, dir)
	}
	mounts += "mount -o remount,bind,ro /; "
	unshare := testparts.Need(t, "unshare")
	if out, err := exec.Command(unshare, "--mount", "mount", "--make-rprivate", "/").CombinedOutput(); err != nil {
		testparts.Missing(t, "no mounts of one's own here: %v\n%s", err, out)
	}
	cmd := exec.Command(unshare, "--mount", "sh", "-c",
		mounts+`exec setpriv --no-new-privs --bounding-set "$1" --inh-caps -all sh -ec "$2"`, "sh", "-all,"+set, script)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	return string(out)
}

// TestDeploysUnderTheExampleUnit: what the example unit leaves to a deployer is
// enough for root's: owners and modes, setuid and setgid files, by each strategy.
func TestDeploysUnderTheExampleUnit(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can give rights away and still deploy as root")
	}
	testparts.Need(t, "rsync")
	testparts.Need(t, "setpriv")
	unit := exampleUnit(t, services()[0])
	srv, state := t.TempDir(), t.TempDir()
	start := regexp.MustCompile(`(?m)^ExecStart=/usr/bin/stretcher (.*) https://\S+/%i\.yml$`)
	flags := start.FindStringSubmatch(exampleUnit(t, "stretcher@.service"))
	if flags == nil {
		t.Fatal("the unit of one deployment names no manifest by what stands after the @")
	}
	script := strings.NewReplacer("SRV", srv, "PROGRAM", testparts.Program(t), "FLAGS", flags[1]).Replace(`
mkdir SRV/app; echo hello > SRV/app/file; chown -R 47001:47001 SRV/app; chmod 6755 SRV/app/file
tar -czf SRV/app.tar.gz -C SRV/app .
if touch /usr/deployed 2> /dev/null; then exit 9; fi
for strategy in rsync native releases mv; do
    cat > SRV/app.yml <<END
src: file://SRV/app.tar.gz
checksum: sha256:$(sha256sum SRV/app.tar.gz | cut -d ' ' -f 1)
dest: SRV/$strategy
sync_strategy: $strategy
commands: {post: ["grep -E '^(NoNewPrivs|CapBnd)' /proc/self/status"]}
END
    PROGRAM FLAGS file://SRV/app.yml
done
`)
	out := hardened(t, unit, script, []string{"STRETCHER_STATE_DIR=" + state, testparts.NoExitSleep}, srv, state)
	bound := regexp.MustCompile(`CapBnd:\t0{11}[08]00fb\b`).FindAllString(out, -1) // the unit's set, as the kernel has it
	if strings.Count(out, "NoNewPrivs:\t1") != 4 || len(bound) != 4 {
		t.Errorf("a command had more rights than the unit leaves:\n%s", out)
	}
	for _, file := range []string{"rsync/file", "native/file", "releases/current/file", "mv/file"} {
		fi, err := os.Stat(filepath.Join(srv, file))
		if err != nil {
			t.Error(err)
		} else if uid := fi.Sys().(*syscall.Stat_t).Uid; uid != 47001 ||
			fi.Mode()&(os.ModeSetuid|os.ModeSetgid) != os.ModeSetuid|os.ModeSetgid {
			t.Errorf("%s: owner %d, mode %v", file, uid, fi.Mode())
		}
	}
}

// TestRunAsUnderTheExampleUnit: commands of another user are started, and what a
// hook of his leaves behind is found and ended.
func TestRunAsUnderTheExampleUnit(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root runs commands as others")
	}
	testparts.Need(t, "setpriv")
	srv, state := t.TempDir(), t.TempDir()
	script := strings.NewReplacer("SRV", srv, "PROGRAM", testparts.Program(t)).Replace(`
echo 'run_as: nobody' > SRV/policy.yml
cat > SRV/app.yml <<END
name: app
commands: {pre: ["echo command by $(id -u nobody): \$(id -u)"]}
hooks: {post_sync: [{run: "setsid sleep 1000 > /dev/null 2>&1 & echo left \$!"}]}
END
PROGRAM --config SRV/policy.yml file://SRV/app.yml
`)
	out := hardened(t, exampleUnit(t, services()[0]), script,
		[]string{"STRETCHER_STATE_DIR=" + state, testparts.NoExitSleep}, srv, state)
	by := regexp.MustCompile(`(?m)command by (\d+): (\d+)$`).FindStringSubmatch(out)
	if by == nil || by[1] != by[2] || by[1] == "0" {
		t.Errorf("the command ran as %q:\n%s", by, out)
	}
	left := regexp.MustCompile(`(?m)left (\d+)$`).FindStringSubmatch(out)
	if left == nil {
		t.Fatalf("no hook ran:\n%s", out)
	}
	// A process that has ended may still be in the table, for its parent to see.
	if stat, err := os.ReadFile("/proc/" + left[1] + "/stat"); err == nil && !strings.Contains(string(stat), ") Z ") {
		t.Errorf("what the hook started goes on: %s\n%s", stat, out)
	}
}
