package testparts

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// ContainerEngine is podman with a store of its own that goes with the test.
// No image can be pulled: build FROM scratch, with a static program.
type ContainerEngine struct {
	Path string
	Args []string // before each command
	Run  []string // options of run that small virtual machines need
}

// Podman gives a container engine that works on this machine. Containers that
// are left when the test ends fail it.
func Podman(t testing.TB) ContainerEngine {
	t.Helper()
	// Not t.TempDir: podman takes no more than 50 characters.
	dir, err := os.MkdirTemp("", "pod")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("the store is still in use: %v", err)
		}
	})
	e := ContainerEngine{Path: Need(t, "podman"), Args: []string{
		"--root", dir + "/root", "--runroot", dir + "/run", "--storage-driver", "vfs",
	}, Run: []string{"--network", "none"}}
	if os.Getuid() == 0 {
		// crun refuses hybrid cgroups; without systemd there is nobody else to
		// manage them; the default limits are above what such a machine allows.
		e.Args = append(e.Args, "--runtime", Need(t, "runc"), "--cgroup-manager", "cgroupfs")
		e.Run = append(e.Run, "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")
	}
	if out, err := e.try("info"); err != nil {
		Missing(t, "podman does not work here: %v: %s", err, out)
	}
	t.Cleanup(func() { e.clear(t) })
	return e
}

// Containers lists the names of all containers, running or not.
func (e ContainerEngine) Containers(t testing.TB) []string {
	t.Helper()
	out, err := e.try("ps", "--all", "--format", "{{.Names}}")
	if err != nil {
		t.Fatalf("list containers: %v: %s", err, out)
	}
	return strings.Fields(out)
}

func (e ContainerEngine) clear(t testing.TB) {
	t.Helper()
	names := e.Containers(t)
	for _, name := range names {
		_, _ = e.try("kill", name)
		_, _ = e.try("rm", "-f", name)
	}
	if len(names) > 0 {
		t.Fatalf("containers %q are left", names)
	}
}

func (e ContainerEngine) try(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, e.Path, append(append([]string(nil), e.Args...), args...)...).CombinedOutput()
	return string(out), err
}
