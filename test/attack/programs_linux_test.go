package attack

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// evil is what the stranger writes into programs. It is as long as honest.
const (
	honest = "#!/bin/sh\necho honest as $(id -u)\n"
	evil   = "#!/bin/sh\necho EVIL!! as $(id -u)\n"
)

// packProgram makes an archive of one program that the stranger has packed.
func (h *host) packProgram(name, path string) (archive string, sum [sha256.Size]byte) {
	h.t.Helper()
	var b bytes.Buffer
	tw := tar.NewWriter(&b)
	header := tar.Header{Name: path, Mode: 0o755, Size: int64(len(honest)), Uid: stranger, Gid: stranger}
	must(h.t, tw.WriteHeader(&header))
	_, err := io.WriteString(tw, honest)
	must(h.t, err)
	must(h.t, tw.Close())
	archive = filepath.Join(h.dir, name)
	must(h.t, os.WriteFile(archive, b.Bytes(), 0o644))
	return archive, sha256.Sum256(b.Bytes())
}

// asStranger runs a shell command as the stranger, as far as he may.
func (h *host) asStranger(command string) error {
	h.t.Helper()
	cmd := exec.Command("sh", "-c", command)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: stranger, Gid: stranger}}
	cmd.Dir = h.dir
	return cmd.Run()
}

// TestProgramsOfDest: the stranger changes programs of what is deployed, which
// hooks of the manifest name, so that size and time are the same.
func TestProgramsOfDest(t *testing.T) {
	needRoot(t)
	for _, strategy := range []string{"native", "releases"} {
		t.Run(strategy, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, "sticky")
			archive, sum := h.packProgram("app.tar", "bin/x")
			live := h.dest
			if strategy == "releases" {
				live = filepath.Join(h.dest, "current")
			}
			write := fmt.Sprintf("cd %s/bin && touch -r x t && printf '%%s' '%s' > x && touch -r t x && rm t", live, evil)
			h.write("write.sh", write)
			h.write("app.yml", fmt.Sprintf("src: file://%s\nchecksum: sha256:%x\ndest: %s\nsync_strategy: %s\n"+
				"hooks: {post_provision: [{run: sleep 0}], post_promote: [{path: bin/x}]}\n", archive, sum, h.dest, strategy))
			manifest := "file://" + filepath.Join(h.dir, "app.yml")
			for round, args := range [][]string{{manifest}, {manifest}, {"--force", manifest}} {
				got := h.stretcher("policy.yml", args...)
				if !got.good || !strings.Contains(got.said, "honest as 0") || strings.Contains(got.said, "EVIL") {
					t.Errorf("round %d:\n%s", round, got.said)
				}
				_ = h.asStranger("chmod u+w " + live + "/bin")
				must(t, os.Chown(filepath.Join(live, "bin"), stranger, stranger))
				must(t, h.asStranger(write))
			}
		})
	}
}

// TestProgramsOfPods: root installs a hook pod that the stranger has packed.
func TestProgramsOfPods(t *testing.T) {
	needRoot(t)
	h := newHost(t, "sticky")
	archive, sum := h.packProgram("pod.tar", "bin/launch")
	h.write("pod.yml", fmt.Sprintf("name: pod\nsrc: file://%s\nchecksum: sha256:%x\n", archive, sum))
	root := filepath.Join(h.dir, "hooks")
	got := h.stretcher("policy.yml", "hooks", "install", "--event", "before_launch", "--hooks-root", root,
		"file://"+filepath.Join(h.dir, "pod.yml"))
	if !got.good {
		t.Fatal(got.said)
	}
	launch := root + "/pods/before_launch/pod/pod/current/bin/launch"
	if err := h.asStranger("echo echo EVIL >> " + launch); err == nil {
		t.Error("the stranger writes what root will run")
	}
	h.write("hooked.yml", "hooks: {dirs: ["+root+"/exec]}\n")
	h.write("app.yml", "name: app\n")
	run := func() result { return h.stretcher("hooked.yml", "file://"+filepath.Join(h.dir, "app.yml")) }
	if got := run(); !got.good || !strings.Contains(got.said, "honest as 0") {
		t.Error(got.said)
	}
	must(t, os.Chown(filepath.Dir(launch), stranger, stranger)) // somebody has been careless since
	must(t, h.asStranger("rm -f "+launch+"; echo 'echo EVIL' > "+launch+"; chmod 755 "+launch))
	if got := run(); got.good || strings.Contains(got.said, "EVIL") || !strings.Contains(got.said, "uid 47001") {
		t.Error(got.said)
	}
}
