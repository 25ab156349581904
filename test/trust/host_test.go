package trust

import (
	"archive/tar"
	"bytes"
	"cmp"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"stretcher/internal/testparts"
)

// host is a machine that takes manifests from one server, signed by alice, and
// deploys one application. Whatever its commands do shows in the file ran.
type host struct {
	t          *testing.T
	dir        string
	dest       string
	dests      string  // of the policy: below what dests may lie
	web        *server // that the policy allows
	other      *server // that it does not
	alice      *signer // whom it trusts
	eve        *signer // whom it does not
	trust      string  // of the policy: what trust holds
	rules      string  // of the policy: further lines
	allow      string  // of the policy: further entries of allow
	args       []string
	env        []string
	stdin      string
	policyText string   // of the policy: all of it, whatever else is said
	also       string   // of the policy: another server that is allowed
	may        []string // requests that may be made of web; nil = for the manifest and its signature
	runs       string   // what may be in the file ran after an attack
}

func newHost(t *testing.T) *host {
	t.Helper()
	dir, err := os.MkdirTemp("", "host-") // not t.TempDir: the attack's name shall not be in what is said
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	h := &host{t: t, dir: dir, web: newServer(t), other: newServer(t), alice: newSigner("alice"), eve: newSigner("eve")}
	h.dest, h.dests = h.path("srv/app"), h.path("srv")
	h.trust = fmt.Sprintf("{keys: %s, threshold: 1}", h.path("etc/trusted.d"))
	for _, dir := range []string{"etc/trusted.d", "srv/app", "outside", "tmp", "home"} {
		must(t, os.MkdirAll(h.path(dir), 0o755))
	}
	h.write("etc/trusted.d/alice.pub", h.alice.pub())
	h.write("srv/app/index.html", "before")
	h.write("outside/precious", "precious")
	h.hook("etc/hooks.d/after_auth_fail/tell", `echo "$STRETCHER_ERROR" >> `+h.path("told"))
	h.env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + h.path("home"), "TMPDIR=" + h.path("tmp"),
		"STRETCHER_STATE_DIR=" + h.path("state"), "WORK=" + h.dir, testparts.NoExitSleep}
	return h
}

// path is a file of the host.
func (h *host) path(name string) string { return filepath.Join(h.dir, name) }

func (h *host) write(name, text string) {
	h.t.Helper()
	write(h.t, h.path(name), text)
}

// hook writes a program.
func (h *host) hook(name, script string) {
	h.t.Helper()
	h.write(name, "#!/bin/sh\n"+script+"\n")
	must(h.t, os.Chmod(h.path(name), 0o755))
}

// doc is a manifest.
type doc struct {
	name, serial, expires, src, sum, dest, more string
	commands                                    string
}

// doc is the manifest of a version, whose serial is the version.
func (h *host) doc(version int) doc {
	archive := pack("index.html", fmt.Sprint("version ", version))
	name := fmt.Sprintf("/app-%d.tar", version)
	h.web.put(name, archive)
	d := doc{name: "app", serial: fmt.Sprint(version), expires: inHours(24), src: h.web.URL + name, dest: h.dest,
		sum: fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(archive)))}
	d.commands = h.commands(version)
	return d
}

// commands are such that each leaves a line in the file ran.
func (h *host) commands(version int) string {
	var all []string
	for _, point := range []string{"pre", "post", "verify", "success", "failure"} {
		all = append(all, fmt.Sprintf("%s: [%q]", point, h.mark(fmt.Sprint(point, " ", version))))
	}
	return "{" + strings.Join(all, ", ") + "}"
}

// mark is a command that leaves a line in the file ran.
func (h *host) mark(line string) string { return fmt.Sprintf("echo %s >> %s", line, h.path("ran")) }

// inHours is a point in time as a manifest has it.
func inHours(n int) string {
	return time.Now().Add(time.Duration(n) * time.Hour).UTC().Format(time.RFC3339)
}

func (d doc) String() string {
	var b strings.Builder
	for _, key := range [][2]string{{"name", d.name}, {"serial", d.serial}, {"expires", d.expires}, {"src", d.src},
		{"checksum", d.sum}, {"dest", d.dest}, {"commands", d.commands}} {
		if key[1] != "" {
			fmt.Fprintf(&b, "%s: %s\n", key[0], key[1])
		}
	}
	return b.String() + "sync_strategy: native\n" + d.more
}

// pack makes an archive: names and contents by turns. A name that ends in a
// slash is a directory's, one with an arrow a symlink's.
func pack(files ...string) string {
	var b bytes.Buffer
	tw := tar.NewWriter(&b)
	for i := 0; i+1 < len(files); i += 2 {
		name, target, isLink := strings.Cut(files[i], " -> ")
		header := tar.Header{Name: name, Mode: 0o755, Size: int64(len(files[i+1])), Typeflag: tar.TypeReg}
		if isLink {
			header.Typeflag, header.Linkname, header.Size = tar.TypeSymlink, target, 0
		}
		_ = tw.WriteHeader(&header)
		_, _ = tw.Write([]byte(files[i+1]))
	}
	_ = tw.Close()
	return b.String()
}

// publish puts a manifest on the server, signed by alice.
func (h *host) publish(d fmt.Stringer) string { return h.web.vouched("/app.yml", d, h.alice) }

// publishAs puts a manifest and what is to be its signature on the server.
func (h *host) publishAs(manifest, signature string) string {
	h.web.put("/app.yml", manifest)
	h.web.put("/app.yml.minisig", signature)
	return h.web.URL + "/app.yml"
}

// policy writes the host policy, and returns its file. It is replaced as a whole:
// another run may be reading it.
func (h *host) policy() string {
	h.t.Helper()
	list := fmt.Sprintf("[%q]", h.web.URL+"/")
	if h.also != "" {
		list = fmt.Sprintf("[%q, %q]", h.web.URL+"/", h.also+"/")
	}
	text := fmt.Sprintf("allow: {manifests: %[1]s, sources: %[1]s, dests: [%[2]s]%[3]s}\n", list, h.dests, h.allow)
	if h.trust != "" {
		text += "trust: " + h.trust + "\n"
	}
	text += fmt.Sprintf("hooks: {dirs: [%s]}\n", h.path("etc/hooks.d")) + h.rules
	h.write("policy.new", cmp.Or(h.policyText, text))
	must(h.t, os.Rename(h.path("policy.new"), h.path("etc/policy.yml")))
	return h.path("etc/policy.yml")
}

// is is a manifest with another serial.
func (d doc) is(serial int) doc {
	d.serial = fmt.Sprint(serial)
	return d
}

// of is a manifest with another archive.
func (h *host) of(d doc, archive string) doc {
	h.web.put(strings.TrimPrefix(d.src, h.web.URL), archive)
	d.sum = fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(archive)))
	return d
}

// refusesArchive: the manifest is good, and its archive is answered by
// something that is refused before a command runs.
func (h *host) refusesArchive(do answer, why string) {
	h.t.Helper()
	url := h.publish(h.doc(5))
	h.web.on("/app-5.tar", do)
	h.may, h.runs = []string{"/app.yml", "/app.yml.minisig", "/app-5.tar"}, "failure 5\n"
	h.refuses("fetch: .*"+why, url)
}

// refusesTree: the manifest and the archive are good, and what is in it is
// refused.
func (h *host) refusesTree(d doc, archive, why string) {
	h.t.Helper()
	url := h.publish(h.of(d, archive))
	h.may, h.runs = []string{"/app.yml", "/app.yml.minisig", "/app-5.tar"}, "pre 5\nfailure 5\n"
	h.refuses("extract: .*"+why, url)
}

// outcome is how the program has ended.
type outcome struct {
	exit int
	said string
}

// command is the program, with the host's policy and what else all runs have.
func (h *host) command(args ...string) *exec.Cmd {
	h.t.Helper()
	all := append([]string{"--config", h.policy()}, h.args...)
	if len(args) == 0 || !slices.Contains([]string{"history", "status"}, args[0]) {
		all = append(all, "--retry", "0")
	}
	cmd := exec.Command(testparts.Shipped(h.t), append(all, args...)...)
	cmd.Env, cmd.Dir, cmd.Stdin = h.env, h.path("home"), strings.NewReader(h.stdin)
	return cmd
}

// run runs the program. The command's name, if there is one, is the first of
// args.
func (h *host) run(args ...string) outcome {
	h.t.Helper()
	out, err := h.command(args...).CombinedOutput()
	return outcome{testparts.ExitStatus(err), string(out)}
}

// refuses runs the program, which must refuse with the exit status of that. Why
// is a pattern for what it says.
func (h *host) refuses(why string, args ...string) string {
	h.t.Helper()
	return h.fails(4, why, args...)
}

// fails runs the program, which must end with that exit status, and leave all as
// it was: no command ran, nothing has changed but the state, and nothing was
// asked for that may not be.
func (h *host) fails(exit int, why string, args ...string) string {
	h.t.Helper()
	before := h.look()
	got := h.run(args...)
	h.ended(got, exit, why)
	h.unharmed(before, got.said)
	return got.said
}

// rejects runs the program, which must call a manifest invalid or refuse it; all
// else is as for fails.
func (h *host) rejects(why string, args ...string) {
	h.t.Helper()
	before := h.look()
	got := h.run(args...)
	exit := 4
	if got.exit == 3 {
		exit = 3
	}
	h.ended(got, exit, why)
	h.unharmed(before, got.said)
}

// ended judges how the program has ended.
func (h *host) ended(got outcome, exit int, why string) {
	h.t.Helper()
	if got.exit != exit || !regexp.MustCompile(why).MatchString(got.said) {
		h.t.Errorf("exit status %d, want %d and %q:\n%s", got.exit, exit, why, got.said)
	}
}

// unharmed judges what a run has done.
func (h *host) unharmed(before, said string) {
	h.t.Helper()
	if ran := h.ran(); ran != h.runs {
		h.t.Errorf("commands ran: %q, want %q\n%s", ran, h.runs, said)
	}
	if now := h.look(); now != before {
		h.t.Errorf("the host was\n%s\nand is\n%s\n%s", before, now, said)
	}
	h.askedFor(said)
}

// askedFor judges the requests.
func (h *host) askedFor(said string) {
	h.t.Helper()
	if asked := h.other.asked(); len(asked) > 0 {
		h.t.Errorf("requests of a server that is not allowed: %q\n%s", asked, said)
	}
	may := h.may
	if may == nil {
		may = []string{"/app.yml", "/app.yml.minisig"}
	}
	for _, name := range h.web.asked() {
		if !slices.Contains(may, name) {
			h.t.Errorf("a request for %q; allowed are %q\n%s", name, may, said)
		}
	}
}

// ran are the commands that ran.
func (h *host) ran() string { return h.read("ran") }

// read is the content of a file, or "".
func (h *host) read(name string) string {
	text, _ := os.ReadFile(h.path(name))
	return string(text)
}

// told is what the hooks for refused manifests were told.
func (h *host) told() string { return h.read("told") }

// look is what all directories but the state directory hold.
func (h *host) look() string {
	h.t.Helper()
	var b strings.Builder
	for _, dir := range []string{"etc", "srv", "outside", "tmp", "home"} {
		err := filepath.WalkDir(h.path(dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			rel, _ := filepath.Rel(h.dir, path)
			if rel == "etc/policy.yml" { // it is written for each run
				return nil
			}
			fmt.Fprintf(&b, "%s %s", rel, info.Mode())
			switch {
			case info.Mode().IsRegular():
				text, _ := os.ReadFile(path)
				fmt.Fprintf(&b, " %s %x", info.ModTime(), sha256.Sum256(text))
			case info.Mode().Type() == fs.ModeSymlink:
				target, _ := os.Readlink(path)
				b.WriteString(" -> " + target)
			}
			b.WriteString("\n")
			return nil
		})
		must(h.t, err)
	}
	return b.String()
}

// deploys runs the program, which must deploy a version.
func (h *host) deploys(version int, args ...string) {
	h.t.Helper()
	got := h.run(args...)
	h.ended(got, 0, "")
	h.holds(version, got.said)
}

// holds fails unless dest holds a version.
func (h *host) holds(version int, said string) {
	h.t.Helper()
	if text := h.read("srv/app/index.html"); text != fmt.Sprint("version ", version) {
		h.t.Errorf("dest holds %q, want version %d\n%s", text, version, said)
	}
	if ran := h.ran(); !strings.Contains(ran, fmt.Sprint("post ", version, "\n")) {
		h.t.Errorf("the commands of version %d did not run, but %q\n%s", version, ran, said)
	}
}

// has deploys a version, as it should be, before the attack begins.
func (h *host) has(version int) {
	h.t.Helper()
	h.deploys(version, h.publish(h.doc(version)))
	h.forget()
}

// forget forgets what has been until now.
func (h *host) forget() {
	h.web.forget()
	h.other.forget()
	_ = os.Remove(h.path("ran"))
	_ = os.Remove(h.path("told"))
}

// stillTakes fails unless the host takes a good manifest after the attack.
func (h *host) stillTakes(version int) {
	h.t.Helper()
	h.forget()
	h.deploys(version, h.publish(h.doc(version)))
}

// start starts the program, and returns what waits for its end.
func (h *host) start(args ...string) (ended func() outcome) {
	h.t.Helper()
	cmd := h.command(args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	must(h.t, cmd.Start())
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	h.t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	return func() outcome {
		err := <-done
		return outcome{testparts.ExitStatus(err), out.String()}
	}
}
