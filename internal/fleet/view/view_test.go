package view

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"stretcher/internal/fleet"
	"stretcher/internal/text/progress"
)

func sample() fleet.State {
	at := time.Date(2026, 11, 20, 16, 42, 5, 0, time.UTC)
	s := fleet.State{
		Name: "web", Version: "42", ID: "r1", Phase: fleet.Open, Group: "service web", Began: at,
		Limits: fleet.Limits{Parallel: 2, MaxFailed: 1, Canary: 1, Pause: 5 * time.Minute},
		Hosts: []fleet.Host{
			{Node: "web-1", Zone: "a", Standing: fleet.HostGood, Runs: "42", Result: fleet.Result{
				Version: "42", Result: "good", Finished: at,
			}},
			{Node: "web-2", Zone: "b", Standing: fleet.HostFailed, Runs: "41", Result: fleet.Result{
				Version: "42", Run: "01a2", Result: "failed", Step: "verify", Error: "verify: exit status 22", Finished: at,
			}},
			{Node: "web-3", Zone: "a", Standing: fleet.HostWaiting, Runs: "41"},
			{Node: "web-4", Standing: fleet.HostMissing},
		},
	}
	s.Sort()
	return s
}

func TestSummary(t *testing.T) {
	const want = "web 42: going, open, 1 of 4 hosts good, 1 failed, 1 missing, 1 waiting"
	if got := Summary(sample()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := Limits(sample()); got != "2 at once, 1 first, a pause of 5m after them, at most 1 failed" {
		t.Error(got)
	}
	s := fleet.State{Name: "web", ID: "r", Phase: fleet.Stopped, Why: "by eve@ci", Limits: fleet.Limits{MaxFailed: -1}}
	if got := Summary(s); got != "web: failed, stopped (by eve@ci), no host" {
		t.Error(got)
	}
	if got := Limits(s); got != "" || limits(s) != nil { // it could not begin
		t.Error(got)
	}
	s.Phase = fleet.Open
	if got := Limits(s); got != "all at once" {
		t.Error(got)
	}
}

// TestTableFits: in a terminal nothing wraps, and the worst hosts are seen.
func TestTableFits(t *testing.T) {
	s := sample()
	for i := range 50 {
		s.Hosts = append(s.Hosts, fleet.Host{
			Node: fmt.Sprintf("日本-%d-%s", i, strings.Repeat("x", i*3)), Standing: fleet.HostGood,
			Result: fleet.Result{Error: "\x1b[2J"},
		})
	}
	for _, room := range []Room{{80, 24}, {20, 8}, {5, 3}, {200, 100}, {80, 0}, {1, 1}} {
		var b strings.Builder
		if err := WriteTable(&b, s, room); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
		for _, line := range lines {
			if n := progress.Columns(line); n > room.Columns {
				t.Errorf("%+v: %d columns: %s", room, n, line)
			}
		}
		if room.Lines > 6 && len(lines) >= room.Lines {
			t.Errorf("%+v: %d lines", room, len(lines))
		}
		seen := strings.Contains(b.String(), "web-2")
		if room.Columns >= 20 && room.Lines != 3 && !seen || strings.Contains(b.String(), "\x1b") {
			t.Errorf("%+v:\n%s", room, b.String())
		}
	}
}

func TestJSON(t *testing.T) {
	var b strings.Builder
	if err := WriteJSON(&b, sample()); err != nil {
		t.Fatal(err)
	}
	const want = `{"name":"web","version":"42","rollout":"r1","verdict":"going","ended":false,"phase":"open","why":"",` +
		`"began":"2026-11-20T16:42:05Z","group":"service web",` +
		`"limits":{"parallel":2,"max_failed":1,"canary":1,"pause_s":300},` +
		`"counts":{"died":0,"expected":0,"failed":1,"good":1,"hosts":4,"missing":1,"stopped":0,"waiting":1,"working":0},` +
		`"hosts":[{"node":"web-2","zone":"b","standing":"failed","runs":"41","mixed":false,` +
		`"version":"42","run":"01a2","result":"failed",` +
		`"step":"verify","error":"verify: exit status 22","note":"","started":null,"finished":"2026-11-20T16:42:05Z"},`
	if !strings.HasPrefix(b.String(), want) || !json.Valid([]byte(b.String())) || strings.Count(b.String(), "\n") != 1 {
		t.Errorf("got  %s\nwant %s...", b.String(), want)
	}
}

func TestChanges(t *testing.T) {
	before := sample()
	check := func(name string, before *fleet.State, now fleet.State, want ...string) {
		t.Helper()
		if got := Changes(before, now); strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s:\ngot  %q\nwant %q", name, got, want)
		}
	}
	failed := "web 42: web-2 (b) failed: verify: exit status 22"
	check("at first", nil, before, Summary(before), failed, "web 42: web-1 (a) good")
	check("nothing", &before, sample())
	now := sample()
	now.Hosts[2].Standing = fleet.HostWorking
	check("one", &before, now, "web 42: web-3 (a) working")
	young := sample()
	young.Hosts[1].Standing = fleet.HostExpected
	check("no more than time went by", &young, before)
	end := sample()
	end.Hosts[1].Standing, end.Hosts[2].Standing = fleet.HostGood, fleet.HostGood
	check("the end", &before, end, "web 42: web-4 good", "web 42: web-3 (a) good", Summary(end))
	stopped := sample()
	stopped.Phase, stopped.Why = fleet.Stopped, "1 failed"
	check("stopped", &before, stopped, Summary(stopped))
	slot := sample()
	slot.Hosts[2].Standing = fleet.HostWorking
	next := sample()
	next.Hosts[1].Standing = fleet.HostWorking
	check("a slot handed on", &slot, next, "web 42: web-3 (a) waiting", "web 42: web-4 working")
	done := end
	done.Phase = fleet.Done
	check("done", &before, done, "web 42: web-4 good", "web 42: web-3 (a) good", Summary(done))
	died := sample()
	died.Hosts[0].Standing, died.Hosts[0].Result = fleet.HostDied, fleet.Result{Error: "it had a slot"}
	again := sample()
	again.Hosts[0].Standing, again.Hosts[0].Result = fleet.HostDied, fleet.Result{Error: "others say so", Run: "1"}
	check("dead once", &died, again)
	other := sample()
	other.Version = "43"
	failed = strings.ReplaceAll(failed, "42", "43")
	check("another", &before, other, Summary(other), failed, "web 43: web-1 (a) good")
}

func TestPage(t *testing.T) {
	s := sample()
	s.Hosts[0].Result.Error = `</style><script>alert(1)</script><img src="https://example.org/x">`
	for _, all := range [][]fleet.State{nil, {s}, {s, sample()}} {
		var b strings.Builder
		if err := WritePage(&b, all, s.Began); err != nil {
			t.Fatal(err)
		}
		text := b.String()
		foreign := regexp.MustCompile(`(?i)<(script|img|iframe|link rel="style)|<[^>]*\s(src|action)\s*=|@import`)
		if strings.Count(text, `<section aria-label="web 42">`) != len(all) || foreign.MatchString(text) {
			t.Errorf("%d rollouts: %q", len(all), foreign.FindString(text))
		}
		if len(all) == 1 && (strings.Index(text, "b: 0 of 1 good") > strings.Index(text, "a: 1 of 2 good") ||
			!strings.Contains(text, "To be looked at") || strings.Count(text, ">web-2<") != 2) {
			t.Error(text)
		}
	}
}

// TestRuns: what a host has is not known when it died at work.
func TestRuns(t *testing.T) {
	for want, h := range map[string]fleet.Host{
		"41":      {Standing: fleet.HostWaiting, Runs: "41"},
		"(mixed)": {Standing: fleet.HostWaiting, Runs: "41", Mixed: true},
		"?":       {Standing: fleet.HostDied},
		"":        {Standing: fleet.HostWaiting},
	} {
		if got := runs(h); got != want {
			t.Errorf("%+v: %q, not %q", h, got, want)
		}
	}
}

// TestNotes: what is known of a host beside its result is told behind it, or alone.
func TestNotes(t *testing.T) {
	for want, h := range map[string]fleet.Host{
		"":                          {},
		"not of the group":          {Note: "not of the group"},
		"silent for 1h (ill)":       {Note: "ill", Standing: fleet.HostFailed, Result: fleet.Result{Error: "silent for 1h"}},
		"in pre (not of the group)": {Note: "not of the group", Result: fleet.Result{Step: "pre"}},
		"verify: no":                {Result: fleet.Result{Step: "verify", Error: "verify: no"}},
	} {
		if got := told(h); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}
