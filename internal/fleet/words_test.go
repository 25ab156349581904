package fleet

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestAmountBounds: the largest amounts are read, and none beyond them.
func TestAmountBounds(t *testing.T) {
	for text, want := range map[string]Amount{
		"1000000": Hosts(1_000_000), "100%": Percent(100), "0%": Percent(0), "0": Hosts(0),
	} {
		if got := amountOf(t, text); got != want {
			t.Errorf("%q is %+v", text, got)
		}
	}
	for text, want := range map[string]time.Duration{
		"604800": 7 * 24 * time.Hour, "168h": 7 * 24 * time.Hour, "2": 2 * time.Second,
	} {
		var s Span
		if err := s.UnmarshalText([]byte(text)); err != nil || time.Duration(s) != want {
			t.Errorf("%q is %s, %v", text, time.Duration(s), err)
		}
	}
	for _, bad := range []string{"604801", "169h", "-1", "x"} {
		if err := new(Span).UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q is a span", bad)
		}
	}
}

// TestSays: a rollout in words, and what holds where it says nothing.
func TestSays(t *testing.T) {
	const rest = "; waits 1h0m0s at most, without Consul: wait; lease 2m0s"
	for want, r := range map[string]Rollout{
		`service "web", 1 host at once, stops after more than 0 hosts failed` + rest: {Service: "web"},
		`nodes with "a=1 b=2", 10% at once, stops after more than 1 host failed, ` +
			`1 canary first, then a pause of 5m0s` + rest: {NodeMeta: map[string]string{"b": "2", "a": "1"},
			Parallel: Percent(10), MaxFailed: Hosts(1), Canary: 1, Pause: Span(5 * time.Minute)},
		`2 listed hosts, 50% and no more than 3 hosts at once, stops after more than 0 hosts failed, ` +
			`2 canaries first, then a pause of 0s` + rest: {Hosts: []string{"a", "b"},
			Parallel: Percent(50).Least(Hosts(3)), MaxFailed: Percent(0), Canary: 2},
	} {
		if got := r.String(); got != want {
			t.Errorf("%s\nwant\n%s", got, want)
		}
	}
}

// TestShort: what is left for going back of a lease, and where that is little.
func TestShort(t *testing.T) {
	for lease, c := range map[time.Duration]struct {
		left  time.Duration
		short bool
	}{
		0: {18 * time.Second, false}, time.Minute: {3 * time.Second, true}, 2*time.Minute - 1: {17999999999, true},
		2 * time.Minute: {18 * time.Second, false}, 5 * time.Minute: {63 * time.Second, false},
	} {
		r := Rollout{Lease: Span(lease)}
		if left := r.Afterwards().Round(time.Nanosecond); left != c.left || r.Short() != c.short {
			t.Errorf("%s: %s left, short %v", lease, left, r.Short())
		}
	}
}

// TestBad: somebody has to look at hosts that failed, died or did not come.
func TestBad(t *testing.T) {
	bad := map[Standing]bool{HostFailed: true, HostDied: true, HostMissing: true}
	for _, s := range Standings() {
		if s.Bad() != bad[s] {
			t.Errorf("%s: %v", s, s.Bad())
		}
	}
}

// TestIdle: a pause without canaries changes nothing.
func TestIdle(t *testing.T) {
	for _, r := range []Rollout{{}, {Pause: 1}, {Canary: 1}, {Pause: 1, Canary: 1}} {
		told := ""
		r.Idle(func(key, _ string) { told += key })
		if (told == "pause") != (r.Pause > 0 && r.Canary == 0) {
			t.Errorf("%+v: %q", r, told)
		}
	}
}

// TestBoundsOfKeys: the least lease, and the largest metadata, are good, and none beyond.
func TestBoundsOfKeys(t *testing.T) {
	meta := func(pairs, length int) map[string]string {
		m := map[string]string{}
		for i := range pairs {
			m[fmt.Sprint("k", i)] = strings.Repeat("x", length)
		}
		return m
	}
	for name, c := range map[string]struct {
		r    Rollout
		want string
	}{
		"least lease":    {Rollout{Service: "web", Lease: Span(time.Minute)}, ""},
		"less":           {Rollout{Service: "web", Lease: Span(time.Minute - 1)}, "lease"},
		"all pairs":      {Rollout{NodeMeta: meta(64, 1)}, ""},
		"one more":       {Rollout{NodeMeta: meta(65, 1)}, "node_meta"},
		"longest value":  {Rollout{NodeMeta: meta(1, 512)}, ""},
		"longer":         {Rollout{NodeMeta: meta(1, 513)}, "node_meta.k0"},
		"what ends text": {Rollout{NodeMeta: map[string]string{"k": "a\x00"}}, "node_meta.k"},
	} {
		told := ""
		c.r.Check(func(key, _, _ string) { told += key })
		if told != c.want {
			t.Errorf("%s: %q, want %q", name, told, c.want)
		}
	}
}

// TestDoubtsOfLease: of two keys that don't go together that is told which is written.
func TestDoubtsOfLease(t *testing.T) {
	for want, r := range map[string]Rollout{
		"":        {Service: "web", Lease: Span(20 * time.Minute)},
		"lease":   {Service: "web", Lease: Span(20*time.Minute + 1)},
		"timeout": {Service: "web", Timeout: Span(6*time.Minute - 1)},
	} {
		told := ""
		r.Doubts(func(key, _ string) { told += key })
		if told != want {
			t.Errorf("%+v: %q, want %q", r, told, want)
		}
	}
}

// TestBeside: that another machine has told of the same node in the same rollout is kept.
func TestBeside(t *testing.T) {
	before := Result{Rollout: "1", Machine: "m1", Result: "failed", Also: "m0: good"}
	for name, c := range map[string]struct{ rollout, machine, told, want string }{
		"another one":       {"1", "m2", "m1", "m1: failed"},
		"the same":          {"1", "m1", "m1", "m0: good"},
		"another rollout":   {"2", "m2", "m1", ""},
		"it is not known":   {"1", "", "m1", ""},
		"it was not known":  {"1", "m2", "", ""},
		"neither was known": {"1", "", "", ""},
	} {
		before.Machine = c.told
		if got := (Result{Rollout: c.rollout, Machine: c.machine}).Beside(before); got.Also != c.want {
			t.Errorf("%s: %q, want %q", name, got.Also, c.want)
		}
	}
}
