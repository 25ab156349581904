package docs

import (
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"stretcher/internal/testparts"
)

// freshHost is the variable by which a test process is told that it is the one
// in a namespace of its own.
const freshHost = "STRETCHER_TEST_FRESH_HOST"

// server is the name that the page gives the server of manifests.
const server = "deploys.example.com"

// TestSetUp pastes what docs/security.md has for root into a shell on a host
// that has never seen stretcher: of its own are /etc, /root, /srv, /usr/local/bin,
// /var/lib and the network, in which the server of the page answers.
func TestSetUp(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("the page is for root")
	}
	if os.Getenv(freshHost) != "" {
		setUp(t)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestSetUp$", "-test.v")
	cmd.Env = append(os.Environ(), freshHost+"="+testparts.Program(t))
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET, Pdeathsig: unix.SIGKILL}
	out, err := cmd.CombinedOutput()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		testparts.Missing(t, "no namespaces here: %v", err)
	}
	if err != nil || !strings.Contains(string(out), "--- PASS: TestSetUp") {
		t.Errorf("%v\n%s", err, out)
	}
}

// setUp is the test in its namespaces.
func setUp(t *testing.T) {
	list := examplesOf(t, []string{"sh root"}, "docs/security.md")
	newHost(t, os.Getenv(freshHost))
	// All else that the page uses must be made by what it has to be pasted.
	if given, _ := filepath.Glob("/srv/*/*"); !slices.Equal(given, []string{"/srv/deploys/web.tar.gz"}) {
		t.Fatalf("before the first command there is %q, which the page does not say", given)
	}
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root",
		testparts.NoExitSleep}
	checkCopied(t, shell{program: "bash", dir: "/root", umask: "022", env: env}, list)
	if got := read(t, "/srv/web/index.html"); got != "hello\n" {
		t.Errorf("deployed: %q", got)
	}
	if left, _ := filepath.Glob("/srv/*"); !slices.Equal(left, []string{"/srv/deploys", "/srv/web"}) {
		t.Errorf("what nobody has signed left %q", left)
	}
}

// TestSetUpIsTenCommands counts what the section of that name has.
func TestSetUpIsTenCommands(t *testing.T) {
	_, section, _ := strings.Cut(readDoc(t, "docs/security.md"), "\n## Set up in ten commands\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var text strings.Builder
	for _, b := range blocks(section) {
		if b.kind == "sh root" {
			text.WriteString(b.text)
		}
	}
	got := commandLines(text.String())
	numbered := regexp.MustCompile(`(?m)^# \d+\. `).FindAllString(text.String(), -1)
	if len(got) != 10 || len(numbered) != 10 {
		t.Errorf("%d commands, %d of them numbered:\n%s", len(got), len(numbered), strings.Join(got, "\n"))
	}
	for _, line := range got {
		if strings.ContainsAny(line, ";") || strings.Contains(line, "&&") {
			t.Errorf("more than one command: %s", line)
		}
	}
}

// commandLines are the lines of a script that begin a command: no comment, no
// continuation, not what a command is given to read.
func commandLines(script string) (all []string) {
	end, goesOn := "", false
	for line := range strings.Lines(script) {
		line = strings.TrimRight(line, "\n")
		switch {
		case end != "":
			if line == end {
				end = ""
			}
			continue
		case line == "" || strings.HasPrefix(line, "#"):
			continue
		case !goesOn:
			all = append(all, line)
		}
		goesOn = strings.HasSuffix(line, "\\")
		if m := regexp.MustCompile(`<<(\w+)`).FindStringSubmatch(line); m != nil {
			end = m[1]
		}
	}
	return all
}

// newHost makes the host of the page, with program, in the namespaces of this
// process.
func newHost(t *testing.T, program string) {
	t.Helper()
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	script := `set -e
mkdir etc; cp -a /etc/. etc; rm -rf etc/stretcher etc/ssl
for file in hosts passwd group; do rm -f etc/$file; cp -L /etc/$file etc/$file; done # a link may lead out of the copy
echo "127.0.0.1 localhost ` + server + `" >> etc/hosts
chmod 0644 etc/passwd etc/group # as they are on a fresh host
mount --bind etc /etc
cp "$1" stretcher
for dir in /root /srv /usr/local/bin /var/lib; do mount -t tmpfs -o mode=0755 tmpfs $dir; done
cp stretcher /usr/local/bin/stretcher
mkdir -p /srv/deploys app; echo hello > app/index.html; tar -czf /srv/deploys/web.tar.gz -C app .
`
	cmd := exec.Command("sh", "-c", script, "sh", program)
	cmd.Dir = t.TempDir()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	loopback(t)
	publish(t, "/srv/deploys")
}

// loopback brings the loopback device up.
func loopback(t *testing.T) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	req.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req); err != nil {
		t.Fatal(err)
	}
}

// publish serves a directory as the server of the page, whose certificate the
// host believes. Of others it has none: what is written is new.
func publish(t *testing.T, dir string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:443")
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.FileServer(http.Dir(dir)))
	s.Listener = listener
	s.StartTLS()
	t.Cleanup(s.Close)
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.MkdirAll("/etc/ssl/certs", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("/etc/ssl/certs/ca-certificates.crt", cert, 0o644); err != nil {
		t.Fatal(err)
	}
}
