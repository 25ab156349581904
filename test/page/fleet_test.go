package page

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"stretcher/internal/fleet"
	fleetview "stretcher/internal/fleet/view"
	"stretcher/internal/journal/page/pagetest"
)

// rolloutSeen is the page of a rollout in one window.
type rolloutSeen struct {
	Wide                    bool
	Out, Zoned, Bar, Parts  int
	Foreign, Width          int
	Headings, Counts, First []string
	Background, Scheme      string
	Hostile                 bool
	Axe                     struct{ Checked, Violations []string }
	Said                    []string
}

// someHosts are those of a rollout in three zones, in all standings.
func someHosts() fleet.State {
	s := fleet.State{
		Name: "web", Version: "2026.11.20-3", ID: "4f1c", Phase: fleet.Open, Group: "service web", Began: pagetest.Now(),
		Limits: fleet.Limits{Parallel: 3, MaxFailed: 2, Canary: 1, Pause: 5 * time.Minute},
	}
	for i := range 30 {
		h := fleet.Host{
			Node: fmt.Sprintf("web-%d", i), Zone: []string{"rack-a", "rack-b", ""}[i%3], Standing: fleet.HostGood,
			Runs: s.Version, Result: fleet.Result{Result: "good", Finished: pagetest.Now()},
		}
		switch {
		case i < len(fleet.Standings()):
			h.Standing = fleet.Standings()[i]
		case i > 20:
			h.Standing, h.Runs, h.Result = fleet.HostWaiting, "2026.11.20-2", fleet.Result{}
		}
		if h.Standing == fleet.HostFailed {
			h.Result.Step, h.Result.Run = "verify", "01a20418-651f-7d36-b919-f04fdda124e5"
			h.Result.Error = `verify: verify command 1 "curl -fsS localhost:8080/healthz": exit status 22`
		}
		s.Hosts = append(s.Hosts, h)
	}
	s.Sort()
	return s
}

// hostileHosts has in each text what breaks pages.
func hostileHosts() fleet.State {
	s := someHosts()
	text := `"><script>alert(1)</script><img src=x onerror=alert(1)></style>` + "\u202e\x1b[31m\xff" +
		strings.Repeat("W", 900)
	s.Name, s.Version, s.ID, s.Group, s.Why = text, text, text, text, text
	for i := range s.Hosts {
		h := &s.Hosts[i]
		h.Node, h.Zone, h.Runs = fmt.Sprint(text[:100], i, text), text+h.Zone, text
		h.Result.Run, h.Result.Step, h.Result.Error = text, text, text
	}
	return s
}

// writtenRollout is the path of the page.
func writtenRollout(t *testing.T, name string, s fleet.State) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := fleetview.WritePage(f, []fleet.State{s}, pagetest.Now()); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestRollout looks at the page of a rollout.
func TestRollout(t *testing.T) {
	var all []rolloutSeen
	out := look(t, map[string]string{
		"rollout": writtenRollout(t, "rollout.html", someHosts()),
		"hostile": writtenRollout(t, "hostile.html", hostileHosts()),
	})
	if err := json.Unmarshal(out, &all); err != nil {
		t.Fatal(err)
	}
	backgrounds := map[string]bool{}
	for _, v := range all {
		name := fmt.Sprintf("%d px, %s, hostile %v", v.Width, v.Scheme, v.Hostile)
		backgrounds[v.Background] = true
		if v.Wide || v.Out > 0 || v.Foreign > 0 || len(v.Said) > 0 || v.Bar < v.Width/2 {
			t.Errorf("%s: wider than the window: %v, %d elements; %d foreign ones; the console says %q; the bar has %d px",
				name, v.Wide, v.Out, v.Foreign, v.Said, v.Bar)
		}
		if len(v.Axe.Violations) > 0 || !slices.Contains(v.Axe.Checked, "color-contrast") {
			t.Errorf("%s: axe checked %q and finds\n%s", name, v.Axe.Checked, strings.Join(v.Axe.Violations, "\n"))
		}
		if !slices.Equal(v.First, []string{"failed", "died"}) || v.Zoned != 30 || v.Parts != len(fleet.Standings()) {
			t.Errorf("%s: first %q, %d hosts by zone, %d parts of the bar", name, v.First, v.Zoned, v.Parts)
		}
		if v.Hostile {
			continue
		}
		const headings = "To be looked at, Hosts by zone, no zone: 5 of 10 good, rack-a: 4 of 10 good, rack-b: 5 of 10 good"
		if got := strings.Join(v.Headings, ", "); got != headings {
			t.Errorf("%s: headings %s", name, got)
		}
		const counts = "1 failed, 1 died, 1 missing, 1 stopped, 1 working, 10 waiting, 1 expected, 14 good"
		if got := strings.Join(v.Counts, ", "); got != counts {
			t.Errorf("%s: counts %s", name, got)
		}
	}
	if len(all) != 8 || len(backgrounds) != 2 {
		t.Errorf("%d views with the backgrounds %v, want 8, light and dark", len(all), backgrounds)
	}
}
