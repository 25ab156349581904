package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"stretcher/internal/testparts"
)

// hostile is what a server says to drive a terminal, to hide text, and to
// forge a line.
const hostile = "a\x1b]0;PWNED\a\x1b[2J\u009b31m\u202eb\nerror: forged line"

// certificate is a self-signed one for a host of that name.
func certificate(t *testing.T, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name}, Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// TestServersThatWriteToTerminals: what servers call themselves, or say of an
// error, is escaped wherever it is printed.
func TestServersThatWriteToTerminals(t *testing.T) {
	odd := "a\x1b]0;PWNED\a\x1b[2J\nerror: forged line"
	named := httptest.NewUnstartedServer(http.NotFoundHandler())
	named.TLS = &tls.Config{Certificates: []tls.Certificate{certificate(t, odd)}}
	named.Config.ErrorLog = nil
	named.StartTLS()
	defer named.Close()
	bucket := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(http.StatusForbidden)
		text := strings.NewReplacer("\x1b", "", "\a", "").Replace(hostile) // XML can't hold them
		fmt.Fprintf(w, `<?xml version="1.0"?><Error><Code>No%[1]s</Code><Message>%[1]s</Message></Error>`, text)
	}))
	defer bucket.Close()
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/away") {
			http.Redirect(w, r, "http://[::1", http.StatusFound)
			return
		}
		_, _ = io.WriteString(w, "name: [\"\u009b\u202e\nforged")
	}))
	defer page.Close()

	bin, dir := testparts.Program(t), t.TempDir()
	trust := filepath.Join(dir, "none.pem")
	env := append(os.Environ(), "STRETCHER_STATE_DIR="+filepath.Join(dir, "state"), "HOME="+dir, "TMPDIR="+dir,
		"AWS_ENDPOINT_URL="+bucket.URL, "AWS_ACCESS_KEY_ID=a", "AWS_SECRET_ACCESS_KEY=b", "AWS_REGION=us-east-1",
		"SSL_CERT_FILE="+trust)
	run := func(extra []string, stdin string, args ...string) string {
		cmd := exec.Command(bin, args...)
		cmd.Env, cmd.Dir, cmd.Stdin = append(env, extra...), dir, strings.NewReader(stdin)
		out, _ := cmd.CombinedOutput()
		return string(out)
	}
	judge := func(what, text string, lines int) {
		t.Helper()
		if i := strings.IndexFunc(text, func(r rune) bool { return !unicode.IsGraphic(r) && r != '\n' }); i >= 0 {
			t.Errorf("%s: %q", what, text)
		}
		if strings.Contains(text, "\nerror: forged") || lines > 0 && strings.Count(text, "\n") != lines {
			t.Errorf("%s: forged lines: %q", what, text)
		}
	}
	proof := map[string]string{"tls": `a\x1b]0;PWNED\a\x1b[2J`, "s3": `\u009b31m\u202eb`,
		"page": `not YAML`, "away": "http"}
	for name, url := range map[string]string{
		"tls": strings.Replace(named.URL, "127.0.0.1", "localhost", 1), "s3": "s3://bucket",
		"page": page.URL, "away": page.URL + "/away",
	} {
		url += "/x.yml"
		said := run(nil, "", "check", url)
		judge(name+" check", said, 0)
		if want := proof[name]; !strings.Contains(said, want) {
			t.Errorf("%s: %q does not say %s", name, said, want)
		}
		judge(name+" deploy", run(nil, "", "--retry", "0", url), 0)
		judge(name+" query", run([]string{"SERF_EVENT=query", "SERF_QUERY_NAME=deploy"}, url, "--retry", "0"), 1)
		manifest, dest := filepath.Join(dir, name+".yml"), filepath.Join(dir, name)
		text := fmt.Sprintf("src: %s\nchecksum: %s\ndest: %s\nsync_strategy: native\n", url, strings.Repeat("ab", 32), dest) +
			"commands: {failure: ['printf %s \"$STRETCHER_ERROR\" > error', 'cat > log']}\n"
		if err := os.WriteFile(manifest, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		judge(name+" archive", run(nil, "", "--retry", "0", "file://"+manifest), 0)
		for _, file := range []string{"error", "log"} {
			said, err := os.ReadFile(filepath.Join(dir, file))
			if err != nil || len(said) == 0 {
				t.Errorf("%s: %s: %q, %v", name, file, said, err)
			}
			judge(name+" "+file, string(said), 0)
			if file == "error" && strings.Contains(string(said), "\n") {
				t.Errorf("%s: STRETCHER_ERROR has two lines: %q", name, said)
			}
		}
		judge(name+" status", run(nil, "", "status", dest), 1)
		judge(name+" status query", run([]string{"SERF_EVENT=query", "SERF_QUERY_NAME=status"}, dest), 1)
	}
	judge("history", run(nil, "", "history"), 0)
	judge("history --json", run(nil, "", "history", "--json"), 0)
}
