package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stretcher/internal/cli"
	"stretcher/internal/policy/verdict"
)

// call runs the program in this process, with nothing on its standard input.
func call(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	stdin, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	var out, errs bytes.Buffer
	p := cli.Process{Args: append([]string{"stretcher"}, args...), Environ: os.Environ(), Stdin: stdin, Stdout: &out,
		Stderr: &errs}
	status = cli.Main(t.Context(), p, actions(nil))
	return status, out.String(), errs.String()
}

// fleetDir is a directory with manifests and policies for one host.
type fleetDir struct{ dir string }

// newFleet makes the host: an archive, a directory to deploy to, a symlink out
// of it, and a state directory.
func newFleet(t *testing.T) fleetDir {
	t.Helper()
	f := fleetDir{t.TempDir()}
	for _, dir := range []string{"srv", "elsewhere", "home", "hooks", "keys", "strange"} {
		if err := os.Mkdir(filepath.Join(f.dir, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../elsewhere", filepath.Join(f.dir, "srv/out")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"app.tar", "other.tar"} {
		if err := os.WriteFile(filepath.Join(f.dir, name), packed(t), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(f.write(t, "tool", "#!/bin/sh\n"), 0o777); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"keys/a", "strange/b"} {
		if status, _, stderr := call(t, "keygen", "--no-password", filepath.Join(f.dir, key)); status != 0 {
			t.Fatal(stderr)
		}
		if err := os.Rename(filepath.Join(f.dir, key+".key"), filepath.Join(f.dir, filepath.Base(key)+".key")); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("STRETCHER_STATE_DIR", filepath.Join(f.dir, "state"))
	t.Setenv("HOME", filepath.Join(f.dir, "home"))
	t.Setenv("CONSUL_INDEX", "")
	t.Setenv("SERF_EVENT", "")
	t.Setenv("COLOUR", "red")
	return f
}

// packed is the archive: a file, and a symlink that extract: strict refuses.
func packed(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range []*tar.Header{
		{Typeflag: tar.TypeReg, Name: "file", Mode: 0o644, Size: 2000},
		{Typeflag: tar.TypeSymlink, Name: "link", Linkname: "/etc/hostname"},
	} {
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(make([]byte, h.Size)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// write writes a file with the directory for DIR, and the archive's sum
// for SUM.
func (f fleetDir) write(t *testing.T, name, text string) string {
	t.Helper()
	sum := fmt.Sprintf("%x", sha256.Sum256(packed(t)))
	path := filepath.Join(f.dir, name)
	text = strings.NewReplacer("DIR", f.dir, "SUM", sum).Replace(text)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// sign signs a manifest that says of itself that it is signed.
func (f fleetDir) sign(t *testing.T, manifest string) {
	t.Helper()
	_ = os.Remove(manifest + ".minisig")
	if !strings.HasSuffix(readFile(t, manifest), "# signed") {
		return
	}
	if status, _, stderr := call(t, "sign", "--key", filepath.Join(f.dir, "a.key"), manifest); status != 0 {
		t.Fatal(stderr)
	}
}

// judged are policies, each with the manifests that it is asked about beside
// "commands": those that it may refuse, and some that it should not.
func judged() map[string][]string {
	return map[string][]string{
		`{}`: {"mirrors", "another archive", "a symlink out", "dest is the state", "holds the state", "hooks",
			"anybody's program", "a wrong sum", "expired"},
		`allow: {manifests: ["file://DIR/"], sources: ["file://DIR/"], dests: [DIR]}`: {"mirrors", "a symlink out"},
		`allow: {manifests: ["file://DIR/x/", "s3://deploys/"]}`:                      {"commands only"},
		`allow: {sources: ["file://DIR/app.tar"]}`: {
			"mirrors", "another archive", "commands only",
		},
		`allow: {sources: ["s3://deploys/"]}`: {"commands only"},
		`allow: {dests: [DIR/srv]}`: {
			"a symlink out", "dest elsewhere", "commands only",
		},
		`allow: {dests: [DIR/elsewhere]}`:                     {"a symlink out", "dest elsewhere"},
		`limits: {manifest: 10}`:                              {},
		`limits: {archive: 1KiB}`:                             {"commands only", "mirrors"},
		`limits: {unpacked: 1KiB}`:                            {"mirrors"},
		`limits: {files: 1}`:                                  {"mirrors"},
		`extract: strict`:                                     {"mirrors", "commands only"},
		`hooks: {dirs: [DIR/hooks], required: [ensure_user]}`: {"commands only"},
		`require_state: true`:                                 {"commands only"},
		`allow: {names: [commands, x]}`:                       {"signed", "mirrors", "a template"},
		`allow: {strategies: [rsync, mv]}`:                    {"commands only"},
		`allow: {strategies: [native]}`:                       {"commands only"},
		`commands: deny`: {
			"commands only", "hooks", "anybody's program", "mirrors",
		},
		`env: []`:                  {"a template", "mirrors"},
		`env: [HOME]`:              {"a template"},
		`env: [COLOUR]`:            {"a template"},
		`allow: {users: [nobody]}`: {"mirrors"},
		`alow: {}`:                 {},
		`trust: {keys: DIR/keys}`: {"signed", "older", "expired", "without a serial", "signed wrong sum", "signed program",
			"commands only"},
		`trust: {keys: DIR/keys, threshold: 2}`: {"signed"},
		`trust: {keys: DIR/strange}`:            {"signed"},
		`trust: {keys: DIR/hooks}`:              {"signed"},
		`run_as: nobody-at-all`:                 {"mirrors"},
	}
}

// judgedManifests are manifests by what they are about.
func judgedManifests() map[string]string {
	const (
		native = "checksum: sha256:SUM\nsync_strategy: native\n"
		dated  = "expires: 2200-01-01T00:00:00Z\n"
		src    = "src: file://DIR/app.tar\n" + native
		wrong  = "src: file://DIR/app.tar\nchecksum: md5:00000000000000000000000000000000\nsync_strategy: native\n"
	)
	return map[string]string{
		"commands only":     `commands: {post: ["true"]}`,
		"mirrors":           "src: [file://DIR/app.tar, file://DIR/other.tar]\n" + native + "dest: DIR/srv/m",
		"another archive":   "src: file://DIR/other.tar\n" + native + "dest: DIR/srv/o",
		"a symlink out":     src + "dest: DIR/srv/out/app",
		"dest elsewhere":    src + "dest: DIR/elsewhere/app2",
		"dest is the state": src + "dest: DIR/state/app",
		"holds the state":   src + "dest: DIR",
		"commands":          src + "dest: DIR/srv/commands\ncommands: {post: [\"true\"], failure: [\"true\"]}",
		"hooks":             src + "dest: DIR/srv/hooks\nhooks: {post_promote: [{run: \"true\"}]}",
		"anybody's program": "name: x\nhooks: {pre_pack: [{path: tool}]}",
		"a template":        "name: '{{ must_env \"COLOUR\" }}'\n" + src + "dest: DIR/srv/template",
		"a wrong sum":       wrong + "dest: DIR/srv/sum",
		"signed":            dated + "serial: 5\nname: x\n" + src + "dest: DIR/srv/signed\n# signed",
		"older":             dated + "serial: 4\nname: x\n" + src + "dest: DIR/srv/signed\n# signed",
		"signed wrong sum":  dated + "serial: 5\nname: x\n" + wrong + "dest: DIR/srv/signed\n# signed",
		"signed program":    dated + "serial: 6\nname: y\nhooks: {pre_pack: [{path: tool}]}\n# signed",
		"expired":           "expires: 2020-01-01T00:00:00Z\nserial: 5\nname: x\n" + src + "dest: DIR/srv/expired\n# signed",
		"without a serial":  dated + "name: x\n" + src + "dest: DIR/srv/serial\n# signed",
	}
}

// TestCheckAsDeploy: check never says yes where a deployment says no, nor the
// other way round; nor does plan. What only a deployment finds out check says.
func TestCheckAsDeploy(t *testing.T) {
	f := newFleet(t)
	manifests := judgedManifests()
	refused, taken := 0, 0
	for _, host := range slices.Sorted(maps.Keys(judged())) {
		config := f.write(t, "policy.yml", host)
		for _, name := range append(judged()[host], "commands") {
			m := f.write(t, "app.yml", manifests[name])
			f.sign(t, m)
			report, planned := explained(t, "check", config, m), explained(t, "plan", config, m)
			status, _, stderr := call(t, "--config", config, "file://"+m)
			is := status == cli.ExitRefused
			if later := slices.ContainsFunc(report.Rulings, isLater); report.refused() != is && !(is && later) {
				t.Errorf("%s, %s: check: %s (%s), deployed: %d, %s", host, name, report.Verdict, report.Error, status, stderr)
			}
			if planned.refused() != is {
				t.Errorf("%s, %s: plan: %s (%s), deployed: %d, %s", host, name, planned.Verdict, planned.Error, status, stderr)
			}
			if is {
				refused++
			} else {
				taken++
			}
		}
	}
	t.Logf("%d refused, %d taken", refused, taken)
	if refused < 30 || taken < 30 {
		t.Errorf("%d refused, %d taken: the table shows little", refused, taken)
	}
}

// told is a report as JSON has it.
type told struct {
	Verdict verdict.Verdict
	Error   string
	Rulings []verdict.Ruling
}

func (r told) refused() bool { return r.Verdict == verdict.Refused }

func isLater(one verdict.Ruling) bool { return one.Verdict == verdict.Later }

// explained asks check or plan. Status, verdict and rulings must agree.
func explained(t *testing.T, command, config, manifest string) (r told) {
	t.Helper()
	status, stdout, stderr := call(t, command, "--json", "--explain", "--config", config, manifest)
	line, _, _ := strings.Cut(stdout, "\n")
	if err := json.Unmarshal([]byte(line), &r); err != nil {
		t.Fatalf("%s: status %d, printed %q, said %s", command, status, stdout, stderr)
	}
	no := slices.ContainsFunc(r.Rulings, func(one verdict.Ruling) bool { return one.Verdict == verdict.Refused })
	good := status == cli.ExitGood || command == "plan" && status == cli.ExitChanges
	if r.refused() != (status == cli.ExitRefused) || r.refused() && !no || good != (r.Verdict == verdict.Allowed) {
		t.Errorf("%s: status %d, verdict %s, rulings %+v", command, status, r.Verdict, r.Rulings)
	}
	return r
}
