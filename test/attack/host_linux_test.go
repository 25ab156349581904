package attack

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"stretcher/internal/testparts"
)

// stranger is the user who attacks. He has no account.
const stranger = 47001

// host is a machine with a directory of the stranger's that root deploys to.
type host struct {
	t      *testing.T
	dir    string // root's
	home   string // the stranger's, above dest
	dest   string
	victim string // root's, with files that nobody shall change
	before string // what victim looks like
	env    []string
	keys   string // of manifests, besides the usual ones
	owner  int    // of what is deployed
}

// places are the kinds of places that TMPDIR may name: of root alone, for
// everybody as /tmp is, and of the stranger.
var places = map[string]func(h *host) string{
	"private": func(h *host) string { return h.make("tmp", 0o755, 0) },
	"sticky":  func(h *host) string { return h.make("sticky", fs.ModeSticky|0o777, 0) },
	"exposed": func(h *host) string { return h.make("home/app/tmp", 0o755, stranger) },
	"none":    func(*host) string { return "" },
}

func newHost(t *testing.T, place string) *host {
	t.Helper()
	dir := t.TempDir()
	for d := dir; d != filepath.Clean(os.TempDir()) && d != "/"; d = filepath.Dir(d) {
		must(t, os.Chmod(d, 0o755)) // the stranger must get there
	}
	h := &host{t: t, dir: dir}
	h.make("home", 0o755, 0)
	h.home = h.make("home/app", 0o755, stranger)
	h.dest = filepath.Join(h.home, "web")
	h.victim = h.make("victim", 0o700, 0)
	must(t, os.Mkdir(filepath.Join(h.victim, "etc"), 0o750))
	must(t, os.WriteFile(filepath.Join(h.victim, "etc/shadow"), []byte("secret"), 0o600))
	must(t, os.WriteFile(filepath.Join(h.victim, "index.html"), []byte("precious"), 0o600))
	h.before = look(t, h.victim)
	h.env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "STRETCHER_STATE_DIR=" + filepath.Join(dir, "state")}
	if tmp := places[place](h); tmp != "" {
		h.env = append(h.env, "TMPDIR="+tmp)
	}
	allow := fmt.Sprintf("allow: {dests: [%s]}\n", dir) // that the symlink is the stranger's keeps victim safe
	if place == "none" {
		allow = fmt.Sprintf("allow: {dests: [%s]}\n", h.home) // so does the policy
	}
	h.write("keep.yml", allow)
	h.write("policy.yml", allow+"cache: {archives: 0}\n") // an archive that is not kept may lie anywhere
	return h
}

// write writes a file of root's.
func (h *host) write(name, text string) {
	h.t.Helper()
	must(h.t, os.WriteFile(filepath.Join(h.dir, name), []byte(text), 0o644))
}

// make makes a directory of a user.
func (h *host) make(name string, mode fs.FileMode, uid int) string {
	h.t.Helper()
	dir := filepath.Join(h.dir, name)
	must(h.t, os.Mkdir(dir, 0o700))
	must(h.t, os.Chown(dir, uid, uid))
	must(h.t, os.Chmod(dir, mode))
	return dir
}

// pack makes a manifest and its archive, which differ from version to version.
func (h *host) pack(strategy string, version int) string {
	h.t.Helper()
	var b bytes.Buffer
	tw := tar.NewWriter(&b)
	add := func(name, text string, mode int64, typ byte) {
		header := tar.Header{Name: name, Mode: mode, Size: int64(len(text)), Typeflag: typ, Uid: h.owner, Gid: h.owner}
		must(h.t, tw.WriteHeader(&header))
		_, err := io.WriteString(tw, text)
		must(h.t, err)
	}
	if h.owner != 0 { // else there is no entry for the root: its mode is set at the end
		add("./", "", 0o755, tar.TypeDir)
	}
	add("index.html", fmt.Sprint("version ", version), 0o644, tar.TypeReg)
	for i := range 200 {
		add(fmt.Sprintf("dir%d/file%d", i%20, i), strings.Repeat("x", i+version%7), 0o644, tar.TypeReg)
	}
	must(h.t, tw.Close())
	archive := filepath.Join(h.dir, fmt.Sprintf("app-%d.tar", version))
	must(h.t, os.WriteFile(archive, b.Bytes(), 0o644))
	text := fmt.Sprintf("src: file://%s\nchecksum: sha256:%x\n", archive, sha256.Sum256(b.Bytes()))
	text += fmt.Sprintf("dest: %s\nsync_strategy: %s\ncommands: {pre: [sleep 0.02]}\n", h.dest, strategy)
	h.write("app.yml", text+h.keys)
	return filepath.Join(h.dir, "app.yml")
}

// result is how a run has ended.
type result struct {
	good bool
	said string
}

// stretcher runs the program under one of the host's policies. It is the one
// that ships: this is not about memory.
func (h *host) stretcher(policy string, args ...string) result {
	h.t.Helper()
	cmd := exec.Command(testparts.Shipped(h.t), append([]string{"--config", filepath.Join(h.dir, policy)}, args...)...)
	cmd.Env, cmd.Dir = h.env, h.dir
	out, err := cmd.CombinedOutput()
	return result{err == nil, string(out)}
}

// mustDeploy deploys undisturbed, and returns the run.
func (h *host) mustDeploy(policy, strategy string, version int) (run string) {
	h.t.Helper()
	if got := h.stretcher(policy, "file://"+h.pack(strategy, version)); !got.good {
		h.t.Fatal(got.said)
	}
	var row struct{ ID string }
	must(h.t, json.Unmarshal([]byte(h.stretcher(policy, "history", "--json", "--limit", "1").said), &row))
	return row.ID
}

// lure makes what the stranger may lead root to: a decoy where temporary
// directories would be his, and in victim the releases that dest has.
func (h *host) lure(round int) {
	h.t.Helper()
	decoy := filepath.Join(h.home, fmt.Sprint(tempPrefix, "decoy-", round))
	must(h.t, os.MkdirAll(filepath.Join(decoy, "tree"), 0o700))
	must(h.t, os.RemoveAll(filepath.Join(h.victim, "releases")))
	must(h.t, os.RemoveAll(filepath.Join(h.victim, "current")))
	list, _ := os.ReadDir(filepath.Join(h.dest, "releases"))
	for _, e := range list {
		release := filepath.Join(h.victim, "releases", e.Name())
		if e.IsDir() {
			must(h.t, os.MkdirAll(release, 0o755))
			must(h.t, os.WriteFile(filepath.Join(release, "index.html"), []byte("precious"), 0o600))
		}
	}
	if current, err := os.Readlink(filepath.Join(h.dest, "current")); err == nil {
		must(h.t, os.Symlink(current, filepath.Join(h.victim, "current")))
	}
	h.before = look(h.t, h.victim)
}

// under does something while the stranger attacks. In every other round he
// strikes at dest all the time, which most runs refuse; else once, and late.
func (h *host) under(kind string, round int, do func()) (moves, tries int) {
	h.t.Helper()
	when := "always"
	if kind == "dest" && round%2 == 1 {
		when = "late"
	}
	args := []string{"attack", kind, h.dest, h.victim, when, h.home, filepath.Dir(h.home)}
	for _, name := range []string{"tmp", "sticky", "home/app/tmp"} {
		args = append(args, filepath.Join(h.dir, name))
	}
	cmd := exec.Command("/proc/self/exe", args...) // its name leads through directories that are closed to him
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: stranger, Gid: stranger}}
	cmd.Dir, cmd.Stderr = h.home, os.Stderr
	stop, err := cmd.StdinPipe()
	must(h.t, err)
	out, err := cmd.StdoutPipe()
	must(h.t, err)
	must(h.t, cmd.Start())
	ready := make([]byte, 1)
	_, err = io.ReadFull(out, ready)
	must(h.t, err)
	do()
	must(h.t, stop.Close())
	_, err = fmt.Fscan(out, &moves, &tries)
	must(h.t, err)
	must(h.t, cmd.Wait())
	return moves, tries
}

// judge fails when the stranger has won.
func (h *host) judge(said string) {
	h.t.Helper()
	if after := look(h.t, h.victim); after != h.before {
		h.t.Fatalf("root has changed what the stranger chose:\n%swas\n%s\n%s", after, h.before, said)
	}
	if info, err := os.Lstat(h.dest); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		h.t.Fatalf("dest is a symlink that the stranger made\n%s", said)
	}
	must(h.t, filepath.WalkDir(h.home, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		switch d.Name() {
		case loot:
			info, err := d.Info()
			must(h.t, err)
			if info.Sys().(*syscall.Stat_t).Uid == 0 || strings.HasPrefix(path, h.dest+"/") {
				h.t.Fatalf("root has deployed what the stranger made: %s\n%s", path, said)
			}
		case "index.html", "shadow":
			if b, err := os.ReadFile(path); err == nil && (string(b) == "precious" || string(b) == "secret") {
				h.t.Fatalf("root has deployed what only root may read: %s\n%s", path, said)
			}
		}
		return nil
	}))
}

// look is all that counts of a tree.
func look(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		text := ""
		if info.Mode().IsRegular() {
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text = string(content)
		}
		fmt.Fprintf(&b, "%s %v %d:%d %q\n", path, info.Mode(), st.Uid, st.Gid, text)
		return nil
	}))
	return b.String()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
