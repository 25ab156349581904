package docs

import (
	"encoding/json"
	"fmt"
	"io"
	"mime/quotedprintable"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"stretcher/internal/testparts"
)

// hostilePre is a command that says what means harm to those who are told, and
// fails.
const hostilePre = `printf 'say "hi" <!channel> & \\ $(id) ~x\n~! touch harm\n.\nBcc: x@example.com\n%s\n\033[31m' ` +
	"'```'; exit 3"

// notified is a host whose notifications go to a server and to programs that stand
// for those of a mail server.
type notified struct {
	t    *testing.T
	dir  string
	page string

	mu   sync.Mutex
	sent map[string]string // by path, what the server got last
	auth map[string]string
}

func newNotified(t *testing.T) *notified {
	t.Helper()
	testparts.Need(t, "curl")
	n := &notified{t: t, dir: t.TempDir(), sent: map[string]string{}, auth: map[string]string{}}
	s := httptest.NewServer(n)
	t.Cleanup(s.Close)
	for _, dir := range []string{"bin", "notify", "oci.d"} {
		n.must(os.Mkdir(filepath.Join(n.dir, dir), 0o755))
	}
	n.must(os.Symlink(testparts.Shipped(t), filepath.Join(n.dir, "bin/stretcher")))
	for _, program := range []string{"sendmail", "mail"} {
		to := n.dir + "/" + program
		n.write("bin/"+program, "#!/bin/sh\ncat > "+to+".in\nprintf '%s\\n' \"$@\" > "+to+".args\n")
	}
	n.page = strings.NewReplacer("/etc/stretcher/notify/", n.dir+"/notify/", "/etc/stretcher/oci.d", n.dir+"/oci.d",
		"/usr/local/sbin/notify-deploys", n.dir+"/bin/notify-deploys",
		"PATH=/usr/local/sbin", "PATH="+n.dir+"/bin:/usr/local/sbin",
	).Replace(readDoc(t, "docs/notifications.md"))
	options := regexp.MustCompile("(?s)In `([^`]+)`:\n\n```ini\n(.*?)```").FindAllStringSubmatch(n.page, -1)
	if len(options) != 3 {
		t.Fatalf("%d files of curl's options", len(options))
	}
	for _, m := range options {
		name := filepath.Base(m[1])
		text := regexp.MustCompile(`(?m)^url = ".*"$`).ReplaceAllString(m[2], `url = "`+s.URL+"/"+name+`"`)
		n.write("notify/"+name, text)
	}
	return n
}

// ServeHTTP keeps what it gets.
func (n *notified) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	n.mu.Lock()
	defer n.mu.Unlock()
	if r.Header.Get("Content-Type") == "application/json" {
		n.sent[r.URL.Path] = string(body)
		n.auth[r.URL.Path] = r.Header.Get("Authorization")
	}
}

func (n *notified) must(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}

func (n *notified) write(name, text string) {
	n.t.Helper()
	n.must(os.WriteFile(filepath.Join(n.dir, name), []byte(text), 0o755))
}

// run deploys one of the page's manifests with a command that fails, or does not.
func (n *notified) run(manifest, pre string, args ...string) {
	n.t.Helper()
	quoted, _ := json.Marshal(pre)
	text := "name: web\nversion: 1.2.3\n" +
		strings.Replace(manifest, "commands:\n", "commands:\n  pre: ["+string(quoted)+"]\n", 1)
	n.write("web.yml", text)
	cmd := exec.Command(filepath.Join(n.dir, "bin/stretcher"), append(args, "web.yml")...)
	cmd.Dir = n.dir
	cmd.Env = []string{"PATH=" + n.dir + "/bin:" + os.Getenv("PATH"), "HOME=" + n.dir, "no_proxy=127.0.0.1",
		"STRETCHER_STATE_DIR=" + n.dir + "/state", testparts.NoExitSleep}
	out, err := cmd.CombinedOutput()
	status, bad := testparts.ExitStatus(err), regexp.MustCompile("error: (failure|success) command").Match(out)
	if bad || (status == 0) != (pre == "true") {
		n.t.Errorf("exit status %d:\n%s\n%s", status, text, out)
	}
}

// got is what the server got at a path since it was asked the last time, as JSON.
func (n *notified) got(path string, v any) (text string) {
	n.t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	text = n.sent[path]
	delete(n.sent, path)
	if err := json.Unmarshal([]byte(text), v); err != nil {
		n.t.Errorf("%s got what is no JSON: %v: %q", path, err, text)
	}
	return text
}

// read is what a program got.
func (n *notified) read(name string) string {
	n.t.Helper()
	return read(n.t, filepath.Join(n.dir, name))
}

// manifestWith is the page's manifest that has some words.
func (n *notified) manifestWith(words string) string {
	n.t.Helper()
	for _, b := range blocks(n.page) {
		if b.kind == "yaml manifest" && strings.Contains(b.text, words) {
			return b.text
		}
	}
	n.t.Fatalf("no manifest with %q", words)
	return ""
}

// TestNotifications copies the recipes of the page, and looks at what arrives.
func TestNotifications(t *testing.T) {
	n := newNotified(t)
	t.Run("slack", n.slack)
	t.Run("teams", n.teams)
	t.Run("webhook", n.webhook)
	t.Run("sendmail", n.sendmail)
	t.Run("mail", n.mail)
	t.Run("hook", n.hook)
	if _, err := os.Stat(filepath.Join(n.dir, "harm")); err == nil {
		t.Error("what a command printed was run")
	}
}

func (n *notified) slack(t *testing.T) {
	var m struct{ Text string }
	n.run(n.manifestWith("--format slack"), hostilePre)
	n.got("/slack", &m)
	head, rest, _ := strings.Cut(m.Text, "\n```\n")
	if !regexp.MustCompile("^`web 1\\.2\\.3` on \\S+: failed in pre, after [0-9.]+m?s$").MatchString(head) ||
		!strings.Contains(rest, "\n| say \"hi\" &lt;!channel&gt; &amp; \\ $(id) ~x\n| ~! touch harm\n") ||
		strings.Count(m.Text, "```") != 2 || strings.ContainsAny(m.Text, "<>\x1b") {
		t.Errorf("%s", m.Text)
	}
	n.run(n.manifestWith("--format slack"), "true")
	if n.got("/slack", &m); !regexp.MustCompile("^`web 1\\.2\\.3` on \\S+: good, after [0-9.]+m?s$").MatchString(m.Text) {
		t.Errorf("%s", m.Text)
	}
}

func (n *notified) teams(t *testing.T) {
	var m struct {
		Type        string
		Attachments []struct {
			ContentType string
			Content     struct {
				Type string
				Body []struct{ Inlines []struct{ Type, Text string } }
			}
		}
	}
	n.run(n.manifestWith("--format teams"), hostilePre)
	n.got("/teams", &m)
	all := ""
	for _, a := range m.Attachments {
		for _, b := range a.Content.Body {
			for _, r := range b.Inlines {
				all += r.Text
			}
			all += "\n"
		}
	}
	if m.Type != "message" || len(m.Attachments) != 1 || m.Attachments[0].Content.Type != "AdaptiveCard" ||
		!strings.Contains(all, "failed in pre") || !strings.Contains(all, "\n| say \"hi\" <!channel> & \\ $(id) ~x\n") {
		t.Errorf("%+v", m)
	}
	n.run(n.manifestWith("--format teams"), "true")
	if text := n.got("/teams", &m); !strings.Contains(text, ": good, after ") {
		t.Errorf("%s", text)
	}
}

func (n *notified) webhook(t *testing.T) {
	var m struct {
		Name, Version, Host, Result, Step, Command, Error, Text string
		Exit                                                    *int
		Lines                                                   []string
	}
	n.run(n.manifestWith("--summary --json"), hostilePre)
	text := n.got("/webhook", &m)
	host, _ := os.Hostname()
	if m.Name != "web" || m.Version != "1.2.3" || m.Host != host || m.Result != "failed" || m.Step != "pre" ||
		*m.Exit != 1 || m.Command != hostilePre || !strings.Contains(m.Error, "exit status 3") || len(m.Lines) != 6 ||
		m.Lines[0] != `say "hi" <!channel> & \ $(id) ~x` || m.Lines[5] != `\x1b[31m` || strings.Contains(text, "\x1b") {
		t.Errorf("%s", text)
	}
	var fields map[string]any
	if err := json.Unmarshal([]byte(text), &fields); err != nil {
		t.Fatal(err)
	}
	documented := ""
	for _, row := range tableRows(n.page, "| field | |") {
		documented += row[0]
	}
	for name := range fields {
		if !strings.Contains(documented, "`"+name+"`") {
			t.Errorf("the page does not tell of field %q", name)
		}
	}
	if got := strings.Count(documented, "`"); got != 2*len(fields) {
		t.Errorf("the page tells of %d fields, there are %d", got/2, len(fields))
	}
	if n.auth["/webhook"] != "Bearer XXXX" {
		t.Errorf("authorization %q", n.auth["/webhook"])
	}
	n.run(n.manifestWith("--summary --json"), "true")
	if n.got("/webhook", &m); m.Result != "good" || *m.Exit != 0 {
		t.Errorf("%+v", m)
	}
}

func (n *notified) sendmail(t *testing.T) {
	n.run(n.manifestWith("sendmail"), hostilePre)
	m, err := mail.ReadMessage(strings.NewReader(n.read("sendmail.in")))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	to, badTo := m.Header.AddressList("To")
	if err != nil || badTo != nil || len(to) != 1 || to[0].Address != "ops@example.com" || m.Header.Get("Bcc") != "" ||
		!strings.HasPrefix(m.Header.Get("Subject"), "web 1.2.3 on ") ||
		!strings.Contains(string(body), "\n  | Bcc: x@example.com\n") {
		t.Errorf("%v, %v, %v:\n%s", err, badTo, m.Header, body)
	}
	if args := n.read("sendmail.args"); args != "-t\n-oi\n" {
		t.Errorf("arguments %q", args)
	}
}

func (n *notified) mail(t *testing.T) {
	n.run(n.manifestWith("| mail -s"), hostilePre)
	args := strings.Split(n.read("mail.args"), "\n")
	head := regexp.MustCompile(`^web 1\.2\.3 on \S+: failed in pre, after [0-9.]+m?s$`)
	if len(args) != 4 || !head.MatchString(args[1]) ||
		args[2] != "ops@example.com" {
		t.Errorf("arguments %q", args)
	}
	for line := range strings.Lines(n.read("mail.in")) {
		if strings.HasPrefix(line, "~") || strings.HasPrefix(line, ".") {
			t.Errorf("a line that mail obeys: %q", line)
		}
	}
	if in := n.read("mail.in"); !strings.Contains(in, "\n  | ~! touch harm\n  | .\n") {
		t.Errorf("%s", in)
	}
}

// hook is the one of the host, which tells of manifests that are refused.
func (n *notified) hook(t *testing.T) {
	var texts []string
	for _, b := range blocks(n.page) {
		if b.kind == "yaml" || b.kind == "text" && strings.HasPrefix(b.text, "{") || strings.HasPrefix(b.text, "#!/bin/sh") {
			texts = append(texts, b.text)
		}
	}
	if len(texts) != 3 {
		t.Fatalf("%d blocks for a hook: %q", len(texts), texts)
	}
	n.write("policy.yml", texts[0]+"allow: {names: [other]}\n")
	n.must(os.Chmod(filepath.Join(n.dir, "policy.yml"), 0o600))
	n.write("oci.d/notify.json", texts[1])
	n.write("bin/notify-deploys", texts[2])
	for _, dir := range []string{n.dir, n.dir + "/oci.d", n.dir + "/bin"} {
		n.must(os.Chmod(dir, 0o755))
	}
	var m struct{ Text string }
	n.run("commands:\n  failure: ['echo > failed']\n", "echo > harm", "--config", "policy.yml")
	n.got("/slack", &m)
	if !strings.Contains(m.Text, ": refused in manifest, after ") || !strings.Contains(m.Text, "allow.names") {
		t.Errorf("%s", m.Text)
	}
	n.write("policy.yml", texts[0])
	n.run("commands:\n  failure: [true]\n", fmt.Sprintf("echo %q; exit 3", "all is lost"), "--config", "policy.yml")
	n.got("/slack", &m)
	if !strings.Contains(m.Text, ": failed in pre, after ") || !strings.Contains(m.Text, "\n| all is lost\n") {
		t.Errorf("%s", m.Text)
	}
}
