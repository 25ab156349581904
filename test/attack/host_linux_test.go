package attack

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
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
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
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
	allow := fmt.Sprintf("allow: {dests: [%s]}\n", h.home)
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
	add := func(name, text string) {
		must(h.t, tw.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text)), Typeflag: tar.TypeReg}))
		_, err := io.WriteString(tw, text)
		must(h.t, err)
	}
	add("index.html", fmt.Sprint("version ", version))
	for i := range 200 { // no entry for the root: its mode is set at the end
		add(fmt.Sprintf("dir%d/file%d", i%20, i), strings.Repeat("x", i+version%7))
	}
	must(h.t, tw.Close())
	archive := filepath.Join(h.dir, fmt.Sprintf("app-%d.tar", version))
	must(h.t, os.WriteFile(archive, b.Bytes(), 0o644))
	manifest := filepath.Join(h.dir, "app.yml")
	text := fmt.Sprintf("src: file://%s\nchecksum: sha256:%x\n", archive, sha256.Sum256(b.Bytes()))
	text += fmt.Sprintf("dest: %s\nsync_strategy: %s\ncommands: {pre: [sleep 0.02]}\n", h.dest, strategy)
	h.write("app.yml", text)
	return manifest
}

// deploy deploys; whether that succeeds is not what counts.
func (h *host) deploy(manifest string) string {
	return h.stretcher("policy.yml", "--force", "file://"+manifest)
}

// stretcher runs the program under one of the host's policies.
func (h *host) stretcher(policy string, args ...string) string {
	h.t.Helper()
	cmd := exec.Command(testparts.Program(h.t), append([]string{"--config", filepath.Join(h.dir, policy)}, args...)...)
	cmd.Env, cmd.Dir = h.env, h.dir
	out, _ := cmd.CombinedOutput()
	return string(out)
}

// under runs a deployment while the stranger attacks, and returns how often he
// has put something in the place of something else.
func (h *host) under(kind string, do func()) (moves int) {
	h.t.Helper()
	exe := filepath.Join(h.dir, "attack.test")
	if _, err := os.Stat(exe); err != nil {
		own, err := os.Executable()
		must(h.t, err)
		b, err := os.ReadFile(own)
		must(h.t, err)
		must(h.t, os.WriteFile(exe, b, 0o755))
	}
	places := []string{h.home, filepath.Join(h.home, "tmp"), filepath.Join(h.dir, "sticky")}
	cmd := exec.Command(exe, append([]string{"attack", kind, h.dest, h.victim}, places...)...)
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
	_, err = fmt.Fscan(out, &moves)
	must(h.t, err)
	must(h.t, cmd.Wait())
	return moves
}

// judge fails when the stranger has won.
func (h *host) judge(said string) {
	h.t.Helper()
	if after := look(h.t, h.victim); after != h.before {
		h.t.Fatalf("root has changed what the stranger chose:\n%swas\n%s\n%s", after, h.before, said)
	}
	err := filepath.WalkDir(h.home, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == loot && d.Type().IsRegular() {
			if info, err := d.Info(); err == nil && info.Sys().(*syscall.Stat_t).Uid == 0 {
				h.t.Fatalf("root has deployed what the stranger made: %s\n%s", path, said)
			}
		}
		return nil
	})
	must(h.t, err)
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
