package fleet

import (
	"strings"
	"testing"
	"time"
)

// amountOf reads an amount; "" is one that is not written.
func amountOf(t *testing.T, text string) (a Amount) {
	t.Helper()
	if text == "" {
		return a
	}
	if err := a.UnmarshalText([]byte(text)); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return a
}

func TestAmount(t *testing.T) {
	for _, c := range []struct {
		manifest, host string
		n, want        int
	}{
		{"10%", "", 30, 3},
		{"10%", "", 39, 3}, // never more than it says
		{"10%", "", 5, 0},
		{"3", "", 30, 3},
		{"3", "", 2, 2},
		{"50%", "4", 100, 4},
		{"50%", "4", 6, 3},
		{"4", "50%", 6, 3},
		{"100%", "", 10_000, 10_000},
		{"0", "10%", 100, 0},
		{"0%", "", 100, 0},
		{"", "25%", 8, 2},
		{"30%", "20%", 10, 2},
		{"20%", "30%", 10, 2},
		{"+7", "", 10, 7},
		{"7", "", 0, 0},
	} {
		got := amountOf(t, c.manifest).Least(amountOf(t, c.host))
		back := amountOf(t, c.host).Least(amountOf(t, c.manifest))
		if got.Of(c.n, -1) != c.want || back != got {
			t.Errorf("%q within %q of %d: %d, want %d; the other way %v",
				c.manifest, c.host, c.n, got.Of(c.n, -1), c.want, back)
		}
	}
	if got := (Amount{}).Of(30, 7); got != 7 {
		t.Errorf("no amount is %d", got)
	}
	for _, bad := range []string{
		"-1", "101%", "1.5", "1.5%", "%", "", "ten", "1000001", "10 %", "99999999999999999999", "1%%",
	} {
		if err := new(Amount).UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q is an amount", bad)
		}
	}
}

// TestWithin: a host's bounds never loosen what a manifest says, nor what holds
// where it says nothing.
func TestWithin(t *testing.T) {
	bounds := Bounds{Parallel: Percent(50), MaxFailed: Hosts(3), OnUnreachable: Wait}
	r := Rollout{Service: "web"}.Within(bounds)
	if r.AtOnce(100) != 1 || r.Tolerated(100) != 0 || r.OnUnreachable != Wait {
		t.Errorf("without amounts: %s", r)
	}
	r = Rollout{
		Service: "web", Parallel: Hosts(80), MaxFailed: Percent(10), OnUnreachable: Proceed,
	}.Within(bounds)
	if r.AtOnce(100) != 50 || r.Tolerated(100) != 3 || r.Tolerated(10) != 1 || r.OnUnreachable != Wait {
		t.Errorf("with more than the host allows: %s", r)
	}
	if r = (Rollout{Service: "web", OnUnreachable: Fail}).Within(bounds); r.OnUnreachable != Fail {
		t.Errorf("what is stricter than the host: %s", r.OnUnreachable)
	}
	if r = (Rollout{Service: "web", Parallel: Percent(1)}).Within(Bounds{}); r.AtOnce(10) != 1 {
		t.Errorf("%d of 10 are at work: nobody would be", r.AtOnce(10))
	}
	if got := r.Unreachable(); got != Wait {
		t.Errorf("without a word: %s", got)
	}
	both := Bounds{Parallel: Hosts(9), OnUnreachable: Proceed}.Tightest(Bounds{Required: true, Parallel: Percent(10)})
	if !both.Required || both.Parallel.Of(1000, 0) != 9 || both.Parallel.Of(20, 0) != 2 || both.OnUnreachable != Proceed {
		t.Errorf("two layers: %+v", both)
	}
}

func TestCheckRollout(t *testing.T) {
	for want, r := range map[string]Rollout{
		"":                  {Service: "web"},
		": names no group":  {},
		": names its group": {Service: "web", Hosts: []string{"a"}},
		"parallel 0":        {Service: "web", Parallel: Hosts(0)},
		"parallel 0%":       {Service: "web", Parallel: Percent(0)},
		"canary -1":         {Service: "web", Canary: -1},
		"zone rack":         {Service: "web", Zone: "rack"},
		"zone node_meta.":   {Service: "web", Zone: "node_meta."},
		"lease 59s":         {Service: "web", Lease: Span(59 * time.Second)},
		"service a/b":       {Service: "a/b"},
		"hosts[1] A":        {Hosts: []string{"a", "A"}},
		"hosts[0] ":         {Hosts: []string{""}},
		"node_meta a b":     {NodeMeta: map[string]string{"a b": "c"}},
		"node_meta.a ":      {NodeMeta: map[string]string{"a": ""}},
	} {
		got := ""
		r.Check(func(key, value, message string) { got += strings.TrimSuffix(key+" "+value, " ") + ": " + message })
		if (want == "") != (got == "") || !strings.HasPrefix(got, strings.TrimSuffix(want, " ")) {
			t.Errorf("%+v: %q, want %q", r, got, want)
		}
	}
}

// TestDoubts: what is hardly meant so is told where it is known.
func TestDoubts(t *testing.T) {
	five := []string{"a", "b", "c", "d", "e"}
	hour := Span(time.Hour)
	for _, c := range []struct {
		want string
		r    Rollout
	}{
		{"", Rollout{Service: "web", Canary: 1, Pause: hour - 1, MaxFailed: Percent(99)}},
		{"canary is more than parallel lets work at once: canaries go 1 at a time", Rollout{Service: "web", Canary: 2}},
		{"canaries go 2 at a time", Rollout{Service: "web", Canary: 3, Parallel: Hosts(2)}},
		{"", Rollout{Service: "web", Canary: 3, Parallel: Hosts(3)}},
		{"", Rollout{Service: "web", Canary: 3, Parallel: Percent(10)}},
		{"canaries go 2 at a time", Rollout{Hosts: five, Canary: 3, Parallel: Percent(40)}},
		{"canary is all of 5 hosts", Rollout{Hosts: five, Canary: 5, Parallel: Hosts(5)}},
		{"pause is no shorter than timeout, 1h0m0s", Rollout{Service: "web", Canary: 1, Pause: hour}},
		{"pause is no shorter than timeout, 5m0s", Rollout{Service: "web", Canary: 1, Pause: hour, Timeout: hour / 12}},
		{"", Rollout{Service: "web", Canary: 1, Pause: hour, Timeout: 2 * hour}},
		{"max_failed stops nothing but for a canary", Rollout{Service: "web", MaxFailed: Percent(100)}},
		{"max_failed stops nothing but for a canary", Rollout{Hosts: five, MaxFailed: Hosts(5)}},
		{"", Rollout{Hosts: five, MaxFailed: Hosts(4)}},
		{"", Rollout{Hosts: five, MaxFailed: Percent(0)}},
		{"max_failed is none of 5 hosts", Rollout{Hosts: five, MaxFailed: Percent(19)}},
		{"parallel is less than one of 5 hosts", Rollout{Hosts: five, Parallel: Percent(19)}},
		{"", Rollout{Hosts: five, Parallel: Percent(20)}},
	} {
		got := ""
		c.r.Doubts(func(key, message string) { got += key + " " + message })
		if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%+v: %q, want %q", c.r, got, c.want)
		}
	}
}
