package main

import (
	"math"
	"os"
	"strings"
	"testing"
)

// TestOneByOne compares loads with what can be counted by hand.
func TestOneByOne(t *testing.T) {
	const link = 100
	for name, c := range map[string]struct {
		flows  []flow
		origin int64
		want   load
	}{
		"nothing": {},
		"one":     {[]flow{{5, 250, 2}}, 0, load{250, 2, 1, 100, 7.5}},
		"one after the other": {[]flow{{5, 100, 1}, {1, 200, 1}}, 0,
			load{300, 2, 1, 100, 6}},
		"two at once": {[]flow{{0, 100, 1}, {0, 200, 1}}, 0, load{300, 2, 2, 200, 2}},
		// Both get 50 until 2, when the first has 100; then 100 are left of the other.
		"two share":      {[]flow{{0, 100, 1}, {0, 200, 1}}, 100, load{300, 2, 2, 100, 3}},
		"more than both": {[]flow{{0, 100, 1}, {0, 200, 1}}, 1000, load{300, 2, 2, 200, 2}},
		// The first has 100 at 1, and then as much as the other until 3, when both have got 100 more.
		"a later one":   {[]flow{{0, 200, 1}, {1, 200, 1}}, 100, load{400, 2, 2, 100, 4}},
		"half a second": {[]flow{{0.5, 25, 1}, {0.75, 25, 1}}, 0, load{50, 2, 1, 50, 1}},
		"over a second": {[]flow{{0.5, 100, 1}, {0.75, 50, 1}}, 0, load{150, 2, 2, 75, 1.5}},
		"no bytes":      {[]flow{{1, 0, 1}}, 0, load{0, 1, 1, 0, 1}},
	} {
		got := serve(c.flows, link, c.origin)
		if got.bytes != c.want.bytes || got.requests != c.want.requests || got.atOnce != c.want.atOnce ||
			math.Abs(got.peak-c.want.peak) > 1e-6 || math.Abs(got.last-c.want.last) > 1e-6 {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

// TestSums holds for each way what must be true of it, whatever the values.
func TestSums(t *testing.T) {
	m := defaults()
	m.hosts, m.origin = 300, 3_000_000_000
	for _, w := range m.ways() {
		var bytes, requests int64
		first := math.Inf(1)
		for _, f := range w.flows {
			bytes, requests, first = bytes+f.bytes, requests+f.requests, min(first, f.at)
		}
		free, bound := serve(w.flows, m.link, 0), serve(w.flows, m.link, m.origin)
		for _, l := range []load{free, bound} {
			if len(w.flows) != 300 || l.bytes != bytes || l.requests != requests {
				t.Errorf("%s: %d flows, %+v, want %d bytes", w.name, len(w.flows), l, bytes)
			}
			if l.peak > float64(l.atOnce)*float64(m.link)*(1+1e-9) || l.peak*(l.last-first+2) < float64(bytes) {
				t.Errorf("%s: %+v can't be: a rate that none has, or less than all bytes", w.name, l)
			}
		}
		if bound.peak > float64(m.origin)*(1+1e-9) || bound.last < free.last || bound.atOnce < free.atOnce {
			t.Errorf("%s: at a small origin %+v, at a large one %+v", w.name, bound, free)
		}
		if least := first + float64(bytes)/float64(m.origin); bound.last < least {
			t.Errorf("%s: done after %v, when %v is the least", w.name, bound.last, least)
		}
	}
}

// printed is what the program prints.
func printed(t *testing.T, args ...string) string {
	t.Helper()
	var b strings.Builder
	if err := run(args, &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestTable holds that the document has the table that the program prints.
func TestTable(t *testing.T) {
	doc, err := os.ReadFile("../../docs/performance.md")
	if err != nil {
		t.Fatal(err)
	}
	if table := printed(t); !strings.Contains(string(doc), "\n"+table+"\n") {
		t.Errorf("docs/performance.md lacks the table of go run ./bench/fleet:\n%s", table)
	}
}

func TestArguments(t *testing.T) {
	few := []string{"hosts=50", "archive=1000000"}
	if one, other := printed(t, few...), printed(t, append(few, "seed=2")...); one == other || one != printed(t, few...) {
		t.Errorf("seeds make no difference, or something else does:\n%s%s", one, other)
	}
	if out := printed(t, few...); !strings.Contains(out, "\n| all at once | 50.1 MB | 150 | ") {
		t.Errorf("50 hosts, a megabyte each:\n%s", out)
	}
	for _, arg := range []string{"", "hosts", "hosts=", "hosts=0", "hosts=-1", "hosts=many", "guests=1"} {
		if err := run([]string{arg}, &strings.Builder{}); err == nil {
			t.Errorf("%q is taken", arg)
		}
	}
}

func TestAmounts(t *testing.T) {
	for n, want := range map[float64]string{0: "0 B", 999: "999 B", 1000: "1.00 kB", 9.994e6: "9.99 MB",
		12_345_000: "12.3 MB", 123_456_789: "123 MB", 999_900_000: "1.00 GB", 5e18: "5000 PB"} {
		if got := amount(n); got != want {
			t.Errorf("%v bytes: %q, want %q", n, got, want)
		}
	}
	for s, want := range map[float64]string{0: "0.0 s", 99.9: "99.9 s", 120: "2 min", 3660: "61 min", 7200: "2.0 h"} {
		if got := span(s); got != want {
			t.Errorf("%v seconds: %q, want %q", s, got, want)
		}
	}
}
