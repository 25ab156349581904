package consul_test

import (
	"strings"
	"testing"

	"stretcher/internal/fleet"
	"stretcher/internal/fleet/consul"
)

// TestOpen: what is wrong in the environment is said before anybody is asked: a token
// does not go out in the clear because of a mistyped word.
func TestOpen(t *testing.T) {
	for name, value := range map[string]string{
		"CONSUL_HTTP_SSL": "ture", "CONSUL_HTTP_SSL_VERIFY": "nope", "CONSUL_CACERT": "/nowhere/ca.pem",
		"CONSUL_CLIENT_CERT": "CONSUL_CLIENT_KEY", "CONSUL_HTTP_TOKEN_FILE": "/nowhere/token",
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, value)
			if _, err := consul.Open(consul.Config{}); err == nil || !strings.Contains(err.Error(), value) {
				t.Errorf("%v", err)
			}
		})
	}
	for _, address := range []string{"http://u:hunter2@127.0.0.1:1", "u:hunter2@host"} {
		if _, err := consul.Open(consul.Config{Address: address}); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v", err)
		}
	}
	c, err := consul.Open(consul.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []fleet.Entry{{Name: "web"}, {ID: "1"}} {
		if _, err := c.Enter(t.Context(), e); err == nil {
			t.Errorf("%+v enters", e)
		}
	}
}

// TestAnyName: whatever a name and a node are, they are parts of keys, and come back.
func TestAnyName(t *testing.T) {
	a := agent(t)
	c := open(t, a)
	names := []string{"a b", "..", ".", "a/../b", "ä%2F", "x?y#z", "%"}
	for i, name := range names {
		e := entry("1", i, fleet.Rollout{Hosts: []string{name}})
		e.Name, e.Node = name, name
		place, err := c.Enter(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := place.Wait(t.Context()); err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		if err := place.Leave(t.Context(), fleet.Result{Result: "good"}); err != nil {
			t.Errorf("%q: %v", name, err)
		}
		s, err := c.Read(t.Context(), name)
		if err != nil || len(s.Hosts) != 1 || s.Hosts[0].Node != name || s.Hosts[0].Standing != fleet.HostGood {
			t.Errorf("%q: %+v, %v", name, s, err)
		}
	}
	got, err := c.Names(t.Context())
	if err != nil || len(got) != len(names) {
		t.Errorf("%q, %v", got, err)
	}
}
