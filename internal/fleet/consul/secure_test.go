package consul_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"

	"stretcher/internal/fleet/consul"
	"stretcher/internal/testparts"
)

// TestDeadConnection: by TLS all requests go over one connection. When that is dead, and
// nobody says so, they go over another one after some time.
func TestDeadConnection(t *testing.T) {
	dir := t.TempDir()
	bin := testparts.Need(t, "consul")
	for _, args := range [][]string{{"ca", "create"}, {"cert", "create", "-server", "-additional-ipaddress=127.0.0.1"}} {
		cmd := exec.CommandContext(t.Context(), bin, append([]string{"tls"}, args...)...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v, %s", err, out)
		}
	}
	port := testparts.FreePort(t)
	testparts.Consul(t, "-https-port", fmt.Sprint(port), "-hcl", fmt.Sprintf(
		"tls { https { cert_file = %q, key_file = %q } }", filepath.Join(dir, "dc1-server-consul-0.pem"),
		filepath.Join(dir, "dc1-server-consul-0-key.pem")))
	l := newLine(t, fmt.Sprint("127.0.0.1:", port))
	t.Setenv("CONSUL_CACERT", filepath.Join(dir, "consul-agent-ca.pem"))
	c, err := consul.Open(consul.Config{Address: "https://" + l.addr})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Self(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.freeze()
	if _, _, err := c.Self(t.Context()); err == nil {
		t.Fatal("the connection is not dead")
	}
	testparts.WaitFor(t, "another connection", func() bool {
		_, _, err := c.Self(t.Context())
		return err == nil
	})
}
