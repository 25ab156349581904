//go:build linux

package process

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"stretcher/internal/testparts"
)

func TestAlive(t *testing.T) {
	me, start := os.Getpid(), Start(os.Getpid())
	if start == "" || !Alive(me, start) || !Alive(me, "") {
		t.Errorf("this process is not alive: start %q", start)
	}
	if Alive(me, "another-boot:1") {
		t.Error("another process's start was taken for ours")
	}
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid, child := cmd.Process.Pid, Start(cmd.Process.Pid)
	if !Alive(pid, child) {
		t.Error("a running child is not alive")
	}
	_ = cmd.Process.Kill()
	if !gone(pid) || Alive(pid, child) {
		t.Error("a killed child that nobody has waited for is alive")
	}
	_ = cmd.Wait()
	if Alive(pid, child) || Start(pid) != "" {
		t.Error("a process that has ended is alive")
	}
}

func TestKillMarked(t *testing.T) {
	cmd := exec.Command("setsid", "-w", "sleep", "60")
	cmd.Env = append(os.Environ(), "STRETCHER_TEST_RUN=one", "STRETCHER_TEST_HOOK=x")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if n := KillMarked("STRETCHER_TEST_RUN=on", "STRETCHER_TEST_HOOK") +
		KillMarked("STRETCHER_TEST_RUN=one", "TEST_HOOK"); n != 0 {
		t.Errorf("%d processes without the marks were ended", n)
	}
	if n := KillMarked("STRETCHER_TEST_RUN=one", "STRETCHER_TEST_HOOK"); n == 0 {
		t.Error("nothing was ended")
	}
	_ = cmd.Wait()
}

func TestKillGroup(t *testing.T) {
	cmd := exec.Command("sh", "-c", "sleep 60; true")
	cmd.Env = append(os.Environ(), "STRETCHER_TEST_MARK=yes")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	if KillGroup(pid, "STRETCHER_TEST_MARK=no") || KillGroup(pid, "TEST_MARK=yes") {
		t.Error("a group without the variable was ended")
	}
	if !KillGroup(pid, "STRETCHER_TEST_MARK=yes") {
		t.Error("the group was not ended")
	}
	_ = cmd.Wait()
	// The leader is gone; its child may take a moment more.
	if !testparts.Eventually(func() bool { return syscall.Kill(-pid, 0) == syscall.ESRCH }) {
		t.Fatal("members of the group live on")
	}
	if KillGroup(pid, "STRETCHER_TEST_MARK=yes") {
		t.Error("a group that is gone was ended")
	}
}

func TestKillGroupsOf(t *testing.T) {
	mine := "STRETCHER_TEST_COMMAND=" + t.TempDir()
	inGroup := func(own bool) *exec.Cmd {
		cmd := exec.Command("sleep", "60")
		cmd.Env = append(os.Environ(), mine)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: own}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd
	}
	here, apart := inGroup(false), inGroup(true)
	if KillGroupsOf(mine[:len(mine)-1]) || KillGroupsOf(mine+"0") {
		t.Error("a group without the variable was ended")
	}
	if !KillGroupsOf(mine) {
		t.Error("the group was not ended")
	}
	_ = apart.Wait()
	if KillGroupsOf(mine) || KillGroup(syscall.Getpgrp(), mine) {
		t.Error("a group that is gone was ended, or this process's own")
	}
	if !Alive(here.Process.Pid, "") {
		t.Error("a process of this one's group was ended")
	}
	_ = here.Process.Kill()
	_ = here.Wait()
}

// TestVariableOfAProcessThatBegins looks for variables as early as can be: the
// kernel shows no environment while a program is being loaded.
func TestVariableOfAProcessThatBegins(t *testing.T) {
	for range 500 {
		cmd := exec.Command("sleep", "60")
		cmd.Env = append(os.Environ(), "STRETCHER_TEST_MARK=yes")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		found := Entry{PID: cmd.Process.Pid, waits: &waits{maxWaits}}.HasVariable("STRETCHER_TEST_MARK=yes")
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if !found {
			t.Fatal("a process that has just begun does not have its variable")
		}
	}
}

// TestProcessesThatNeverBegin: those that have neither arguments nor an
// environment hold up a look at all processes once, not each of them.
func TestProcessesThatNeverBegin(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"cmdline", "environ"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/bin/true", filepath.Join(dir, "exe")); err != nil {
		t.Fatal(err)
	}
	w := &waits{maxWaits}
	for range 3 {
		if env, err := environment(dir, w); len(env) > 0 || err != nil || w.left != 0 {
			t.Errorf("%q, %v, %d waits are left", env, err, w.left)
		}
	}
	table := Table()
	if len(table) == 0 || table[0].waits.left != maxWaits {
		t.Fatal("a new look may not wait")
	}
	for _, e := range table {
		if e.waits != table[0].waits {
			t.Fatal("each process has waits of its own")
		}
	}
}
