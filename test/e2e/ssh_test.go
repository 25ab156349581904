package e2e

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"stretcher/internal/testparts"
)

// sshServer starts sshd on a port of the loopback interface; it stops with the
// test. It gives the command line of a client that may log in.
func (m *machine) sshServer() []string {
	m.t.Helper()
	sshd, client := testparts.Need(m.t, "sshd"), testparts.Need(m.t, "ssh")
	for _, key := range []string{"host", "user"} {
		out, err := exec.Command(testparts.Need(m.t, "ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f",
			m.path(key)).CombinedOutput()
		if err != nil {
			m.t.Fatalf("ssh-keygen: %v\n%s", err, out)
		}
	}
	// sshd wants this directory, which the system's service makes at its start.
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		m.t.Fatal(err)
	}
	port := strconv.Itoa(testparts.FreePort(m.t))
	m.write("sshd_config", strings.Join([]string{
		"ListenAddress 127.0.0.1:" + port, "HostKey " + m.path("host"), "AuthorizedKeysFile " + m.path("user.pub"),
		"StrictModes no", "UsePAM no", "PidFile none", "PermitRootLogin yes",
		"SetEnv " + strings.Join(m.env, " "), "",
	}, "\n"))
	server := exec.Command(sshd, "-D", "-e", "-f", m.path("sshd_config"))
	if err := server.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	ssh := []string{client, "-F", "none", "-i", m.path("user"), "-p", port, "-o", "BatchMode=yes",
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "127.0.0.1"}
	testparts.WaitFor(m.t, "sshd to let us in", func() bool {
		return exec.Command(ssh[0], append(ssh[1:], "true")...).Run() == nil
	})
	return ssh
}

// TestE2ESSH: `ssh host stretcher URL` deploys, shows the log and gives the
// exit status.
func TestE2ESSH(t *testing.T) {
	t.Parallel()
	testparts.Need(t, "rsync")
	if os.Getuid() != 0 {
		t.Skip("only root's sshd lets others in")
	}
	m := newMachine(t)
	ssh := m.sshServer()
	run := func(stdin string, words ...string) *deployment {
		d := &deployment{t: t, cmd: exec.Command(ssh[0], append(ssh[1:], words...)...)}
		d.cmd.Stdin = strings.NewReader(stdin)
		d.cmd.Stdout, d.cmd.Stderr = &d.stdout, &d.stderr
		_ = d.cmd.Run()
		m.clean()
		return d
	}
	url := m.release(map[string]string{"file": "first"}, "commands: {success: ['echo good']}")
	if d := run("", m.bin, url).wants(0, `deployed "dest"`, "from argument"); d.stdout.String() != "good\n" {
		t.Errorf("stdout is %q, want that of the success command", d.stdout.String())
	}
	m.has(map[string]string{"file": "first"})
	m.release(map[string]string{"file": "second"})
	run(url+"\r\n", m.bin).wants(0, "from stdin") // the event comes through ssh too
	m.has(map[string]string{"file": "second"})
	run("", m.bin, "file:///no/such.yml").fails(1, `manifest: .*no such file.*`)
	run("", m.bin).wants(3, "stdin event has no manifest URL")
	// On a terminal nobody pipes an event: no silent wait.
	ssh = append(ssh[:len(ssh):len(ssh)], "-tt")
	if d := run("", m.bin); d.cmd.ProcessState.ExitCode() != 2 ||
		!strings.Contains(d.stdout.String(), "no manifest URL: give one") {
		t.Errorf("on a terminal: exit status %d, output\n%s", d.cmd.ProcessState.ExitCode(), d.stdout.String())
	}
}

// TestE2ESSHGone: the connection ends in mid-deploy. Without a terminal the
// run goes on to its end; with one, it is hung up, which interrupts it.
func TestE2ESSHGone(t *testing.T) {
	t.Parallel()
	testparts.Need(t, "rsync")
	if os.Getuid() != 0 {
		t.Skip("only root's sshd lets others in")
	}
	for name, tt := range map[string]struct{ option, result string }{
		"pipe":     {"-T", "good"},
		"terminal": {"-tt", "failed"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			ssh := m.sshServer()
			url := m.release(map[string]string{"file": "first"}, "commands:",
				"  post: ['touch began; until test -e go; do echo waiting; sleep 0.02; done']",
				"  success: ['echo said; echo good > result']", "  failure: ['echo said; echo failed > result']")
			client := exec.Command(ssh[0], append(ssh[1:], tt.option, "cd "+m.dir+" && exec "+m.bin+" "+url)...)
			if err := client.Start(); err != nil {
				t.Fatal(err)
			}
			m.waitFor("began", "")
			_ = client.Process.Kill()
			_ = client.Wait()
			if tt.result == "good" {
				m.write("go", "")
			}
			m.waitFor("result", tt.result)
			m.clean()
		})
	}
}
