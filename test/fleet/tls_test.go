package fleet

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"stretcher/internal/testparts"
)

// authority signs certificates; its own is CA.pem of its directory.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// newAuthority makes one in a directory.
func newAuthority(t *testing.T, dir string) *authority {
	t.Helper()
	a := &authority{t: t, dir: dir}
	a.sign("CA", func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
	})
	return a
}

// sign writes NAME.pem and NAME.key for a name.
func (a *authority) sign(name string, more func(*x509.Certificate)) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	about := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{name},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	more(about)
	if a.cert == nil {
		a.cert, a.key = about, key
	}
	raw, err := x509.CreateCertificate(rand.Reader, about, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	if about == a.cert {
		if a.cert, err = x509.ParseCertificate(raw); err != nil {
			a.t.Fatal(err)
		}
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{
		name + ".pem": {Type: "CERTIFICATE", Bytes: raw}, name + ".key": {Type: "PRIVATE KEY", Bytes: secret},
	} {
		if err := os.WriteFile(filepath.Join(a.dir, path), pem.EncodeToMemory(block), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
}

// secured is a Consul that speaks TLS with who has a certificate, HTTP, and at a socket.
type secured struct {
	plain, tls, socket string
	own, others        string // directories: of the authority that Consul knows, and of another
}

func newSecured(t *testing.T) secured {
	t.Helper()
	dir, err := os.MkdirTemp("", "tls") // the name of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := secured{
		own: filepath.Join(dir, "own"), others: filepath.Join(dir, "others"), socket: filepath.Join(dir, "consul.sock"),
	}
	for _, dir := range []string{s.own, s.others} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		a := newAuthority(t, dir)
		for _, name := range []string{"consul.test", "client.test"} {
			a.sign(name, func(*x509.Certificate) {})
		}
	}
	port := testparts.FreePort(t)
	s.tls = fmt.Sprintf("127.0.0.1:%d", port)
	agent := testparts.Consul(t, "-hcl", fmt.Sprintf(`
ports { https = %d }
addresses { http = "127.0.0.1 unix://%s" }
tls { https { ca_file = %q cert_file = %q key_file = %q verify_incoming = true } }`,
		port, s.socket, s.own+"/CA.pem", s.own+"/consul.test.pem", s.own+"/consul.test.key"))
	agent.Register(t, "h0", "web", nil)
	s.plain = agent.HTTPAddr
	return s
}

// variables are those of who is let in by TLS.
func (s secured) variables() map[string]string {
	return map[string]string{
		"CONSUL_HTTP_ADDR": s.tls, "CONSUL_HTTP_SSL": "true", "CONSUL_CACERT": s.own + "/CA.pem",
		"CONSUL_CLIENT_CERT": s.own + "/client.test.pem", "CONSUL_CLIENT_KEY": s.own + "/client.test.key",
		"CONSUL_TLS_SERVER_NAME": "consul.test",
	}
}

// env are variables, some of them otherwise; "" = without.
func env(variables map[string]string, changes ...string) (list []string) {
	for i := 0; i < len(changes); i += 2 {
		variables[changes[i]] = changes[i+1]
	}
	for name, value := range variables {
		if value != "" {
			list = append(list, name+"="+value)
		}
	}
	return list
}

// door is a server before Consul that wants a password.
func (s secured) door(t *testing.T) string {
	t.Helper()
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: s.plain})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "host" || password != "pass:word" {
			http.Error(w, "who are you, "+password+"?", http.StatusUnauthorized)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// TestWaysToConsul: each of the variables of docs/fleet.md does what it says, and what
// is wrong with one is said at once.
func TestWaysToConsul(t *testing.T) {
	t.Parallel()
	s := newSecured(t)
	g := &group{t: t, bin: testparts.Program(t), dir: t.TempDir(), name: "web"}
	door := s.door(t)
	const unknown, none = "it is not known that this is consul", "no namespaces and no partitions"
	const stranger = "consul does not trust this host|reset by peer|broken pipe|could not be established"
	plain, password := "CONSUL_HTTP_ADDR="+s.plain, "CONSUL_HTTP_AUTH=host:pass:word"
	for name, c := range map[string]struct {
		env  []string
		exit int
		says string
	}{
		"TLS":         {env(s.variables()), 0, "NAME"},
		"https://":    {env(s.variables(), "CONSUL_HTTP_SSL", "", "CONSUL_HTTP_ADDR", "https://"+s.tls), 0, "NAME"},
		"a directory": {env(s.variables(), "CONSUL_CACERT", "", "CONSUL_CAPATH", s.cas(t)), 0, "NAME"},
		"no look at the certificate": {env(s.variables(), "CONSUL_CACERT", s.others+"/CA.pem", "CONSUL_TLS_SERVER_NAME", "",
			"CONSUL_HTTP_SSL_VERIFY", "false"), 0, "NAME"},
		"another CA":     {env(s.variables(), "CONSUL_CACERT", s.others+"/CA.pem"), 5, unknown},
		"no CA":          {env(s.variables(), "CONSUL_CACERT", ""), 5, unknown},
		"another name":   {env(s.variables(), "CONSUL_TLS_SERVER_NAME", "other.test"), 5, unknown},
		"no name":        {env(s.variables(), "CONSUL_TLS_SERVER_NAME", ""), 5, unknown},
		"no certificate": {env(s.variables(), "CONSUL_CLIENT_CERT", "", "CONSUL_CLIENT_KEY", ""), 5, stranger},
		"another's certificate": {env(s.variables(), "CONSUL_CLIENT_CERT", s.others+"/client.test.pem",
			"CONSUL_CLIENT_KEY", s.others+"/client.test.key"), 5, stranger},
		"another's key": {env(s.variables(), "CONSUL_CLIENT_KEY", s.others+"/client.test.key"), 5,
			"CONSUL_CLIENT_CERT and CONSUL_CLIENT_KEY: .*does not match"},
		"HTTP for TLS": {env(s.variables(), "CONSUL_HTTP_SSL", ""), 5, "consul expects TLS"},
		"TLS for HTTP": {env(s.variables(), "CONSUL_HTTP_ADDR", s.plain), 5, "consul expects no TLS"},
		"a socket":     {[]string{"CONSUL_HTTP_ADDR=unix://" + s.socket}, 0, "NAME"},
		"no socket":    {[]string{"CONSUL_HTTP_ADDR=unix://" + s.socket + "2"}, 5, "no such file"},
		"a password":   {[]string{"CONSUL_HTTP_ADDR=" + door, password}, 0, "NAME"},
		"another password": {[]string{"CONSUL_HTTP_ADDR=" + door, "CONSUL_HTTP_AUTH=host:guess"}, 5,
			`does not know who asks.*you, \*+\?`},
		"a namespace":         {[]string{plain, "CONSUL_NAMESPACE=team"}, 5, none},
		"a partition":         {[]string{plain, "CONSUL_PARTITION=team"}, 5, none},
		"something else":      {[]string{"CONSUL_HTTP_ADDR=" + door + "/nothing", password}, 5, "not how consul answers"},
		"nothing is there":    {[]string{"CONSUL_HTTP_ADDR=127.0.0.1:1"}, 5, "consul is out of reach"},
		"not even an address": {[]string{"CONSUL_HTTP_ADDR=ftp://127.0.0.1"}, 5, "is no address"},
	} {
		g.asks = c.env
		out, exit := g.ask("status")
		if exit != c.exit || !regexp.MustCompile(c.says).MatchString(out) {
			t.Errorf("%s: exit %d, says\n%s", name, exit, out)
		}
	}
}

// cas is a directory that holds Consul's CA alone.
func (s secured) cas(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Symlink(s.own+"/CA.pem", filepath.Join(dir, "ca.pem")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestDeploysByTLS: a host takes its turn over TLS. One that does not know Consul, or
// asks in a namespace that there is not, fails at once.
func TestDeploysByTLS(t *testing.T) {
	t.Parallel()
	s := newSecured(t)
	g := &group{t: t, bin: testparts.Program(t), dir: t.TempDir(), name: "web"}
	manifest := g.app("one", "{service: web, on_unreachable: proceed}", "  post: [\"true\"]")
	for _, c := range []struct {
		env  []string
		exit int
		says string
	}{
		{env(s.variables(), "CONSUL_CACERT", s.others+"/CA.pem"), 1, "it is not known that this is consul"},
		{env(s.variables(), "CONSUL_NAMESPACE", "team"), 1, "no namespaces and no partitions"},
		{env(s.variables()), 0, "it is the turn of"},
	} {
		g.env = func(string) []string { return c.env }
		h := g.start("h0", manifest)
		status, said := h.wait(), h.said.String()
		deployed := g.read("live-h0/current/version") != ""
		if status != c.exit || !regexp.MustCompile(c.says).MatchString(said) || deployed != (c.exit == 0) {
			t.Errorf("exit %d, deployed %v\n%s", status, deployed, said)
		}
	}
}
