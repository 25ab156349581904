package consul_test

import (
	"errors"
	"testing"

	"stretcher/internal/fleet"
	"stretcher/internal/fleet/consul"
	"stretcher/internal/testparts"
)

// TestFired: who may fire an event is believed in; a host, which may only hear of it,
// can't make up one.
func TestFired(t *testing.T) {
	a := testparts.ConsulWithACL(t)
	open := func(name, rules string) *consul.Client {
		c, err := consul.Open(consul.Config{Address: a.HTTPAddr, Token: a.NewToken(t, name, rules)})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	host := open("host", `event_prefix "deploy" { policy = "read" }`)
	deployer := open("deployer", `event_prefix "deploy" { policy = "write" }`)
	if _, err := host.Fire(t.Context(), "deploy", "s3://b/bad.yml"); !errors.Is(err, fleet.ErrUnreachable) {
		t.Errorf("a host fires an event: %v", err)
	}
	if _, err := deployer.Fire(t.Context(), "deploy", "s3://b/good.yml"); err != nil {
		t.Fatal(err)
	}
	testparts.WaitFor(t, "the event", func() bool {
		fired, err := deployer.Fired(t.Context(), "deploy", "s3://b/good.yml")
		return err == nil && fired
	})
	for _, other := range [][2]string{
		{"deploy", "s3://b/bad.yml"}, {"deploy", "s3://b/good"}, {"deploy2", "s3://b/good.yml"},
	} {
		if fired, err := deployer.Fired(t.Context(), other[0], other[1]); err != nil || fired {
			t.Errorf("%q: %v, %v", other, fired, err)
		}
	}
}
