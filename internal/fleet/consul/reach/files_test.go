package reach_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hashicorp/consul/api"

	"stretcher/internal/fleet/consul/reach"
)

// secret is what no error tells.
const secret = "7d1c5a3e-hunter2"

// odd are files that a variable may name by mistake, and what is said of each.
func odd(t *testing.T) map[string]string {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	fifo, large := filepath.Join(dir, "fifo"), write("large", secret, 0o600)
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(large, 1<<30); err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"/dev/zero": "not a regular file", fifo: "not a regular file", dir: "not a regular file",
		large: "is larger than", write("empty", "", 0o600): "is empty", dir + "/nowhere": "no such file",
		write("blank", " \n\n", 0o600): "", write("two", secret+"\n"+secret+"\n", 0o600): "",
		write("bell", secret+"\a", 0o600): "", write("nul", secret+"\x00\n", 0o600): "",
		write("read and written by all", secret+"\n", 0o666): "", write("written by all", secret+"\n", 0o602): "",
	}
}

// TestOddFiles: whatever a variable names, the error comes at once, names the variable,
// and tells nothing of what is in the file.
func TestOddFiles(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none.pem")
	if err := os.WriteFile(none, []byte("none\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	others := map[string]string{
		api.HTTPTokenFileEnvName: "", api.HTTPCAFile: "",
		api.HTTPClientCert: api.HTTPClientKey, api.HTTPClientKey: api.HTTPClientCert,
	}
	for path, says := range odd(t) {
		for variable, other := range others {
			t.Run(variable+" "+filepath.Base(path), func(t *testing.T) {
				want := says
				isSecret := variable == api.HTTPTokenFileEnvName || variable == api.HTTPClientKey
				if isSecret && strings.Contains(path, "written by all") {
					want = "may be written by everybody"
				}
				t.Setenv(variable, path)
				if other != "" {
					t.Setenv(other, none)
				}
				_, err := reach.Client(reach.Config{})
				if err == nil {
					t.Fatal("it is taken")
				}
				if text := err.Error(); !strings.Contains(text, variable) || !strings.Contains(text, want) ||
					strings.Contains(text, secret) {
					t.Errorf("want %q, got %q", want, text)
				}
			})
		}
	}
}

// TestDirectoryOfCAs: what is in a directory of certificates is bounded as well.
func TestDirectoryOfCAs(t *testing.T) {
	for name, make := range map[string]func(dir string) error{
		"nothing":   func(string) error { return nil },
		"a FIFO":    func(dir string) error { return syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600) },
		"a link":    func(dir string) error { return os.Symlink("/dev/zero", filepath.Join(dir, "ca.pem")) },
		"a text":    func(dir string) error { return os.WriteFile(filepath.Join(dir, "ca.pem"), []byte("no\n"), 0o600) },
		"a file":    func(dir string) error { return errors.Join(os.Remove(dir), os.WriteFile(dir, nil, 0o600)) },
		"not there": os.Remove,
	} {
		dir := filepath.Join(t.TempDir(), "cas")
		if err := errors.Join(os.Mkdir(dir, 0o700), make(dir)); err != nil {
			t.Fatal(err)
		}
		t.Setenv(api.HTTPCAPath, dir)
		if _, err := reach.Client(reach.Config{}); err == nil || !strings.Contains(err.Error(), api.HTTPCAPath) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTokenOfFile: the token of the file is what goes out, whatever else is set, and
// the file is opened once.
func TestTokenOfFile(t *testing.T) {
	var got string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got = r.Header.Get("X-Consul-Token")
	}))
	defer server.Close()
	path := filepath.Join(t.TempDir(), "token")
	for _, env := range []string{"", "another", secret} {
		if err := os.WriteFile(path, []byte(secret+"\n"), 0o640); err != nil {
			t.Fatal(err)
		}
		t.Setenv(api.HTTPTokenFileEnvName, path)
		t.Setenv(api.HTTPTokenEnvName, env)
		client, err := reach.Client(reach.Config{Address: server.URL})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Status().Leader(); got != secret {
			t.Errorf("with %q: %q is sent, %v", env, got, err)
		}
	}
	t.Setenv(api.HTTPTokenFileEnvName, "")
	t.Setenv(api.HTTPTokenEnvName, "two words")
	if _, err := reach.Client(reach.Config{}); err == nil || strings.Contains(err.Error(), "two words") {
		t.Errorf("two words: %v", err)
	}
}

// TestSocket: a socket is asked as any other server, and errors of it are as short.
func TestSocket(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: listener, Config: &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, "no: "+r.Header.Get("X-Consul-Token")+strings.Repeat("x", 1<<20), http.StatusInternalServerError)
		}),
	}}
	server.Start()
	defer server.Close()
	client, err := reach.Client(reach.Config{Address: "unix://" + socket, Token: secret})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.Status().Leader()
	if err == nil {
		t.Fatal("it is taken")
	}
	if text := err.Error(); strings.Contains(text, secret) || len(text) > 1024 || !strings.Contains(text, "no: ***") {
		t.Error(text)
	}
}

// TestAddresses: what is no address is said at once.
func TestAddresses(t *testing.T) {
	for address, good := range map[string]bool{
		"127.0.0.1:8500": true, "http://[::1]:8500": true, "https://consul.example.org/prefix": true,
		"unix:///run/c.sock": true, ":8500": true, "consul": true,
		"unix://": false, "ftp://h": false, "h:p:q": false, "http://": false, "http://a b": false, "h:99999999x": false,
	} {
		if _, err := reach.Client(reach.Config{Address: address}); (err == nil) != good {
			t.Errorf("%q: %v", address, err)
		}
	}
	t.Setenv(api.HTTPSSLEnvName, "true")
	if _, err := reach.Client(reach.Config{Address: "unix:///run/c.sock"}); err == nil {
		t.Error("a socket with TLS")
	}
}
