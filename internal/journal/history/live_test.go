package history

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// What the manifest, the hooks and the archive decide comes before the sync;
// from its begin on, what failed may have left a mixture.
func TestMayHaveSynced(t *testing.T) {
	for step, want := range map[string]bool{
		"": false, "delay": false, "manifest": false, "lock": false, "hooks": false, "init": false,
		"pre_fetch": false, "fetch": false, "auth_fail": false, "pre_extract": false, "pre": false, "extract": false,
		"post_extract": false, "pre_sync": false,
		"sync": true, "post_sync": true, "post": true, "post_launch": true, "verify": true, "release": true,
		"rollback": true, "pre_prune": true, "prune": true, "post_prune": true, "success": true, "failure": true,
		"finish": true, "a step of a newer program": true,
	} {
		if got := (Run{Step: step}).MayHaveSynced(); got != want {
			t.Errorf("%q: %v, want %v", step, got, want)
		}
	}
}

// TestPlaces: what is live after each run on one dest, the first first.
func TestPlaces(t *testing.T) {
	at := func(h int) time.Time { return sampleNow.Add(time.Duration(h) * time.Hour) }
	run := func(h int, version string, result Result, step string) Run {
		return Run{ID: fmt.Sprint(h), Started: at(h), Finished: at(h), Result: result, Step: step,
			Deployment: Deployment{Name: "app", Version: version, Dest: "/srv/app"}}
	}
	back, lost, going := run(8, "4", Failed, "verify"), run(9, "", Failed, "manifest"), run(10, "5", Running, "sync")
	back.Back, lost.Event, going.Finished = "7", "rollback", time.Time{}
	var runs []Run
	for _, c := range []struct {
		run  Run
		want string // version that is live, since, what may be there besides, last result, last good version
	}{
		{run(1, "1", Failed, "fetch"), "- 0 - failed -"},
		{run(2, "1", Good, "success"), "1 2 - good 1"},
		{run(3, "1", Good, "success"), "1 2 - good 1"},
		{run(4, "2", Refused, "manifest"), "1 2 - refused 1"},
		{run(5, "2", Died, "sync"), "1 2 2 died 1"},
		{run(6, "2", Failed, "post"), "2 6 - failed 1"},
		{run(7, "3", Good, "success"), "3 7 - good 3"},
		{back, "3 7 - failed 3"},
		{lost, "3 7 - failed 3"},
		{run(9, "", Skipped, ""), "3 7 - failed 3"},
		{going, "3 7 - running 3"},
		{run(11, "6", Failed, "pre"), "3 7 - running 3"},
	} {
		runs = slices.Insert(runs, 0, c.run)
		p := Places(runs)[0]
		version := func(r *Run) string {
			if r == nil {
				return "-"
			}
			return r.Version
		}
		since := 0
		if p.Live != nil {
			since = int(p.Since.Sub(sampleNow) / time.Hour)
		}
		got := fmt.Sprint(version(p.Live), " ", since, " ", version(p.Mixed), " ", p.Last.Result, " ", version(p.Good))
		if got != c.want {
			t.Errorf("after run %s, %s in %q: %s, want %s", c.run.ID, c.run.Result, c.run.Step, got, c.want)
		}
	}
}

// The dest that was used last comes first; runs without one are of none.
func TestPlacesOrder(t *testing.T) {
	var got []string
	for _, p := range Places(runsOf(sample())) {
		got = append(got, p.Dest)
	}
	if s := strings.Join(got, " "); s != "/srv/app/current /srv/billing-worker" {
		t.Error(s)
	}
	if p := Places([]Run{{ID: "a", Result: Failed}}); len(p) != 0 {
		t.Error(p)
	}
}

// TestHeldAt: what a dest holds by the runs on it, the last first.
func TestHeldAt(t *testing.T) {
	run := func(version string, result Result, step, back string) Run {
		return Run{Result: result, Step: step, Back: back,
			Deployment: Deployment{Version: version, Dest: "/srv/app"}}
	}
	good, bare := run("1", Good, "success", ""), run("", Good, "success", "")
	for what, c := range map[string]struct {
		runs []Run
		want Held
	}{
		"nothing has run":            {nil, Held{}},
		"good":                       {[]Run{good}, Held{Version: "1", Known: true}},
		"without a version":          {[]Run{bare}, Held{Known: true}},
		"stopped before its turn":    {[]Run{run("2", Stopped, "turn", ""), good}, Held{Version: "1", Known: true}},
		"failed, and went back":      {[]Run{run("2", Failed, "verify", "r1"), good}, Held{Version: "1", Known: true}},
		"failed, and did not":        {[]Run{run("2", Failed, "verify", ""), good}, Held{Version: "2", Known: true}},
		"failed while it was synced": {[]Run{run("2", Failed, "sync", ""), good}, Held{Mixed: true}},
		"the first one failed so":    {[]Run{run("2", Failed, "sync", "")}, Held{Mixed: true}},
		"died at it":                 {[]Run{run("2", Died, "sync", ""), good}, Held{Mixed: true}},
		"mended since":               {[]Run{bare, run("2", Failed, "sync", "")}, Held{Known: true}},
		"nothing of another dest":    {[]Run{{Result: Good, Deployment: Deployment{Version: "9", Dest: "/srv"}}}, Held{}},
	} {
		if got := HeldAt("/srv/app", c.runs); got != c.want {
			t.Errorf("%s: %+v, want %+v", what, got, c.want)
		}
	}
}
