package dist

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"stretcher/internal/testparts"
)

// TestUnits: systemd understands the units of the package, each with a name after
// the @, and none is enabled by itself.
func TestUnits(t *testing.T) {
	analyze := testparts.Need(t, "systemd-analyze")
	dir, args := t.TempDir(), []string{"verify", "--man=no"}
	for _, path := range glob(t, unpackedDeb(t), "usr/lib/systemd/system/*") {
		unit := string(read(t, path))
		for _, program := range []string{"/usr/bin/consul", "/usr/bin/stretcher"} {
			unit = strings.ReplaceAll(unit, "ExecStart="+program, "ExecStart=/bin/true")
		}
		write(t, filepath.Join(dir, filepath.Base(path)), unit)
		instance := filepath.Join(dir, strings.Replace(filepath.Base(path), "@", "@web", 1))
		if err := os.Symlink(filepath.Base(path), instance); err != nil {
			t.Fatal(err)
		}
		args = append(args, instance)
	}
	if len(args) != 5 {
		t.Fatalf("units: %q", args)
	}
	out, err := exec.Command(analyze, args...).CombinedOutput()
	if err != nil || strings.Contains(string(out), dir) {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestUnitsStartWhatTheySay: events of the name after the @ go to the program, and
// a timer's run deploys only what has changed.
func TestUnitsStartWhatTheySay(t *testing.T) {
	dir := filepath.Join(root, "packaging/systemd")
	for name, want := range map[string]string{
		"stretcher-watch@.service": "ExecStart=/usr/bin/consul watch -type event -name %i /usr/bin/stretcher\n",
		"stretcher-pull@.service": "EnvironmentFile=/etc/stretcher/pull-%i.env\n" +
			"ExecStart=/usr/bin/stretcher --if-changed ${MANIFEST}\n",
		"stretcher-pull@.timer": "WantedBy=timers.target\n",
	} {
		if !strings.Contains(string(read(t, filepath.Join(dir, name))), want) {
			t.Errorf("%s does not have %s", name, want)
		}
	}
}

// TestManualPages: man shows each without a complaint.
func TestManualPages(t *testing.T) {
	man := testparts.Need(t, "man")
	pages := glob(t, unpackedDeb(t), "usr/share/man/man1/*")
	for _, page := range pages {
		cmd := exec.Command(man, "--warnings", "-l", page)
		cmd.Env = append(os.Environ(), "MANWIDTH=80", "LC_ALL=C.UTF-8", "MANPAGER=cat", "MAN_KEEP_FORMATTING=")
		var complaints strings.Builder
		cmd.Stderr = &complaints
		out, err := cmd.Output()
		name := strings.TrimSuffix(filepath.Base(page), ".1.gz")
		if err != nil || complaints.Len() > 0 || !strings.Contains(string(out), name+" - ") {
			t.Errorf("%s: %v\n%s\n%s", page, err, complaints.String(), out)
		}
	}
	if len(pages) < 15 {
		t.Errorf("pages: %q", pages)
	}
}

// TestCompletionsAreFound: each shell finds the package's file by itself, and
// completes by it.
func TestCompletionsAreFound(t *testing.T) {
	usr := filepath.Join(unpackedDeb(t), "usr")
	for shell, args := range map[string][]string{
		"bash": {"--norc", "-ec", `. /usr/share/bash-completion/bash_completion
_completion_loader stretcher || test $? = 124
complete -p stretcher
COMP_WORDS=(stretcher rollb) COMP_CWORD=1 COMP_LINE="stretcher rollb" COMP_POINT=15
$(complete -p stretcher | sed 's/.*-F \([^ ]*\).*/\1/') stretcher rollb stretcher
printf '%s\n' "${COMPREPLY[@]}"`},
		"zsh": {"-f", "-ec", `fpath=(` + usr + `/share/zsh/vendor-completions $fpath)
autoload -Uz compinit && compinit -D -u
echo $_comps[stretcher]
autoload -Uz +X _stretcher && echo rollback loaded`},
		"fish": {"--no-config", "-c", `set --prepend fish_complete_path ` + usr + `/share/fish/vendor_completions.d
complete --do-complete 'stretcher rollb'`},
	} {
		cmd := exec.Command(testparts.Need(t, shell), args...)
		cmd.Env = append(os.Environ(), "XDG_DATA_DIRS="+usr+"/share", "HOME="+t.TempDir(),
			"PATH="+usr+"/bin:"+os.Getenv("PATH"), "STRETCHER_STATE_DIR="+t.TempDir())
		out, err := cmd.CombinedOutput()
		if err != nil || !regexp.MustCompile(`(?m)^rollback\b`).Match(out) {
			t.Errorf("%s: %v\n%s", shell, err, out)
		}
	}
}

// TestNumbers: what packages call a version, and that their systems have the
// versions in that order.
func TestNumbers(t *testing.T) {
	dpkg := testparts.Need(t, "dpkg")
	script := string(read(t, filepath.Join(root, "packaging/dist.sh")))
	functions := regexp.MustCompile(`(?ms)^(number|alpine)\(\) \{$.*?^\}$`).FindAllString(script, -1)
	if len(functions) != 2 {
		t.Fatalf("functions: %q", functions)
	}
	before := ""
	for _, row := range [][3]string{
		{"ff3e33c-dirty", "0.0.0+ff3e33c.dirty", "0.0.0_git20260921-r0"},
		{"v2.0.0-rc.1", "2.0.0~rc.1", "2.0.0_rc1-r0"},
		{"v2.0.0-rc.1-4-gabcdef0", "2.0.0~rc.1+4.gabcdef0", "2.0.0_rc1_p4-r0"},
		{"v2.0.0", "2.0.0", "2.0.0-r0"},
		{"v2.0.0-dirty", "2.0.0+0.dirty", "2.0.0_git20260921-r0"},
		{"v2.0.0-12-gabcdef0", "2.0.0+12.gabcdef0", "2.0.0_p12-r0"},
		{"v2.0.1-12-gabcdef0-dirty", "2.0.1+12.gabcdef0.dirty", "2.0.1_p12-r0"},
		{"2.10.0", "2.10.0", "2.10.0-r0"},
	} {
		cmd := exec.Command("bash", "-ec", "when() { echo 20260921; }\n"+strings.Join(functions, "\n")+
			"\nn=$(number \"$1\"); echo \"$n\" \"$(alpine \"$n\")\"", "bash", row[0])
		out, err := cmd.CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != row[1]+" "+row[2] {
			t.Errorf("%s: %q, %v, want %q", row[0], got, err, row[1:])
		}
		if before != "" && exec.Command(dpkg, "--compare-versions", before, "lt", row[1]).Run() != nil {
			t.Errorf("dpkg has %s before %s", row[1], before)
		}
		before = row[1]
	}
}
