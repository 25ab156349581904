package past

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stretcher/internal/fetch/cache"
	"stretcher/internal/manifest"
	"stretcher/internal/strategy"
	"stretcher/internal/text/failure"
)

const (
	dest    = "/srv/app"
	twoRuns = `usage: "a" is the beginning of 2 runs on "/srv/app"`
	rests   = `at rest: "/srv/app" has `
)

// kept is a cache of what good runs on dest deployed, the oldest first.
func kept(t *testing.T, all ...cache.Entry) *cache.Store {
	t.Helper()
	s, err := cache.Open(filepath.Join(t.TempDir(), "cache"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	for _, e := range all {
		e.Dest = dest
		if err := s.Put(t.Context(), e, []byte("{}"), nil); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// entry is a run that deployed a version by a strategy; its tree is told by print.
func entry(run, version, how, print string) cache.Entry {
	return cache.Entry{Run: run, Version: version, Strategy: how, Fingerprint: print}
}

// alike tells whether strategies lay dest out in the same way: all but releases do.
func alike(one, other string) bool { return (one == "releases") == (other == "releases") }

// host has a cache, and a dest that holds what a run deployed.
func host(c *cache.Store, live string, held Live) Host {
	return Host{
		Cache: c, IsLive: func(run string) bool { return run == live }, Held: func() Live { return held }, Alike: alike,
	}
}

// says is what was chosen in a word: the run, or why there is none, as far as that is
// wanted.
func says(run string, err error, want string) string {
	if err == nil {
		return run
	}
	text := err.Error()
	if errors.As(err, new(AtRest)) {
		text = "at rest: " + text
	} else if errors.Is(err, failure.ErrUsage) {
		text = "usage: " + text
	}
	if want != "" && strings.Contains(text, want) {
		return want
	}
	return text
}

// TestChoosesKept: who asks on the host goes back to what was good before what is there;
// a second time further back; and to nothing that lays dest out otherwise.
func TestChoosesKept(t *testing.T) {
	a, b, c := entry("aa1", "1", "rsync", "A"), entry("ab2", "2", "native", "B"), entry("b3", "3", "rsync", "C")
	again := entry("b4", "3", "rsync", "C")   // the same as b3
	back := entry("b5", "2", "rsync", "E")    // a rollback from c to b, by other words
	other := entry("r0", "1", "releases", "") // laid out otherwise
	back.Origin = 2
	for name, c := range map[string]struct {
		all            []cache.Entry
		live, to, want string
	}{
		"nothing":                   {nil, "", "", "nothing earlier is kept"},
		"the last good one":         {[]cache.Entry{a, b, c}, "another", "", "b3"},
		"the one before":            {[]cache.Entry{a, b, c}, "b3", "", "ab2"},
		"it alone":                  {[]cache.Entry{a}, "aa1", "", "nothing earlier is kept"},
		"deployed twice":            {[]cache.Entry{a, b, c, again}, "b4", "", "ab2"},
		"further back":              {[]cache.Entry{a, b, c, back}, "b5", "", "aa1"},
		"after a failure since":     {[]cache.Entry{a, b, c, back}, "another", "", "b5"},
		"of another layout":         {[]cache.Entry{other, c}, "b3", "", "nothing earlier is kept"},
		"of another layout between": {[]cache.Entry{a, other, c}, "b3", "", "aa1"},
		"by its id":                 {[]cache.Entry{a, b, c}, "b3", "aa1", "aa1"},
		"by its beginning":          {[]cache.Entry{a, b, c}, "b3", "aa", "aa1"},
		"what is there":             {[]cache.Entry{a, b, c}, "b3", "b", "b3"},
		"by too little":             {[]cache.Entry{a, b, c}, "b3", "a", twoRuns},
		"by what is not there":      {[]cache.Entry{a, b, c}, "b3", "c", `nothing of run "c" is kept for "/srv/app"`},
		"by an id of another one":   {[]cache.Entry{other, c}, "b3", "r0", `nothing of run "r0" is kept`},
	} {
		p := Past{Dest: dest, To: c.to}
		err := p.Choose(host(kept(t, c.all...), c.live, Live{}))
		if got := says(p.Kept.Run, err, c.want); got != c.want || p.Standing != "" || err != nil && failure.Hint(err) == "" {
			t.Errorf("%s: %q, standing %q, hint %q", name, got, p.Standing, failure.Hint(err))
		}
	}
	err := (&Past{Dest: dest}).Choose(host(nil, "", Live{}))
	if err == nil || !strings.Contains(err.Error(), "no usable state directory") {
		t.Errorf("without a state directory: %v", err)
	}
}

// TestObeysKept: by the words of a manifest a host goes back to a version that it has
// kept, from the version that is told, and nowhere where that is not known.
func TestObeysKept(t *testing.T) {
	all := []cache.Entry{
		entry("a1", "1", "rsync", "A"), entry("a2", "2", "rsync", "B"), entry("a3", "3", "rsync", "C"),
		entry("a4", "3", "rsync", "D"),
	}
	known := func(version string) Live { return Live{Version: version, Known: true} }
	for name, c := range map[string]struct {
		live           string
		held           Live
		to, from, want string
	}{
		"the one before":              {"a4", Live{}, "previous", "3", "a2"},
		"wherever it is":              {"a4", Live{}, "previous", "", "a3"},
		"a version":                   {"a4", Live{}, "1", "3", "a1"},
		"a version, wherever it is":   {"a4", Live{}, "1", "", "a1"},
		"it is there":                 {"a4", Live{}, "3", "", rests + `version "3" already`},
		"another one is there":        {"a4", Live{}, "previous", "2", rests + `version "3", and those with "2" go back`},
		"what is live wins":           {"a4", known("2"), "previous", "3", "a2"},
		"by the history":              {"", known("9"), "previous", "9", "a4"},
		"another one by the history":  {"", known("9"), "previous", "3", rests + `version "9", and those with "3"`},
		"it is there by the history":  {"", known("9"), "9", "", rests + `version "9" already`},
		"no version":                  {"", known(""), "previous", "3", rests + `what has no version`},
		"not known":                   {"", Live{}, "previous", "3", `it is not known which version "/srv/app" has`},
		"not known, wherever":         {"", Live{}, "2", "", "a2"},
		"parts of several":            {"", Live{Mixed: true}, "previous", "3", "a2"},
		"parts of several, wherever":  {"", Live{Mixed: true}, "previous", "", "a4"},
		"the same after a failure":    {"", Live{Mixed: true}, "3", "", "a4"},
		"a version that is not there": {"a4", Live{}, "7", "", `nothing that "/srv/app" could go back to is kept`},
		"no other version":            {"", Live{Mixed: true}, "4", "3", `it was to go to version "4", where version "3" is`},
	} {
		m := &manifest.Manifest{}
		m.Rollback.To, m.Rollback.From = c.to, c.from
		p := Past{Dest: dest, To: "ignored", By: &manifest.Loaded{Manifest: m}}
		err := p.Choose(host(kept(t, all...), c.live, c.held))
		if got := says(p.Kept.Run, err, c.want); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestChoosesStanding: who asks on the host goes back to the release before, or to any
// that is good.
func TestChoosesStanding(t *testing.T) {
	there := strategy.Deployments{Strategy: "releases", Live: "b3", Previous: "ab2", All: []strategy.Deployment{
		{Run: "b3", Good: true}, {Run: "c4", State: "bad: verify"}, {Run: "ab2", Good: true}, {Run: "aa1", Good: true},
	}}
	first := there
	first.Previous = ""
	none := first
	none.Live = ""
	for name, c := range map[string]struct {
		there    strategy.Deployments
		to, want string
	}{
		"the one before":       {there, "", "ab2"},
		"none before":          {first, "", `"/srv/app" has no good release older than b3`},
		"none is live":         {none, "", `no good release older than the current one`},
		"by its id":            {there, "aa1", "aa1"},
		"by its beginning":     {there, "ab", "ab2"},
		"what is there":        {there, "b", "b3"},
		"by too little":        {there, "a", twoRuns},
		"by what is not there": {there, "d", `nothing of run "d" is kept for "/srv/app"`},
		"one that is not good": {there, "c4", "release c4 is not good, but bad: verify"},
	} {
		p := Past{Dest: dest, To: c.to}
		h := host(kept(t, entry("k1", "1", "releases", "A")), "", Live{})
		h.There = c.there
		err := p.Choose(h)
		if got := says(p.Standing, err, c.want); got != c.want || p.Kept.Run != "" || p.Strategy != "releases" {
			t.Errorf("%s: %q, want %q; kept %q", name, got, c.want, p.Kept.Run)
		}
		if err == nil && p.Deployment.Run != c.want {
			t.Errorf("%s: it takes %+v", name, p.Deployment)
		}
	}
}

// TestStandingOrKept: what looks like releases counts for none where the last good run
// laid dest out otherwise.
func TestStandingOrKept(t *testing.T) {
	there := strategy.Deployments{Strategy: "releases", Live: "r2", Previous: "r1", All: []strategy.Deployment{
		{Run: "r2", Version: "2", Good: true}, {Run: "r1", Good: true},
	}}
	for last, want := range map[string]string{"releases": "r1", "rsync": "k1", "": "r1"} {
		all := []cache.Entry{entry("k1", "1", "rsync", "A"), entry("k2", "2", last, "B")}
		if last == "" {
			all = nil
		}
		h := host(kept(t, all...), "k2", Live{})
		h.There = there
		p := Past{Dest: dest}
		if err := p.Choose(h); err != nil || p.Standing+p.Kept.Run != want {
			t.Errorf("%q: %q and %q, %v", last, p.Standing, p.Kept.Run, err)
		}
		if live, stands := h.Holds(dest); stands != (want == "r1") || stands && live != (Live{Version: "2", Known: true}) {
			t.Errorf("%q: it holds %+v, %v", last, live, stands)
		}
	}
}

// TestBefore: the version before is the next one of another version that is good and
// that nobody has gone back from, however often the one to get away from was deployed.
func TestBefore(t *testing.T) {
	all := []strategy.Deployment{
		{Run: "r6", Version: "3", Good: true}, {Run: "r5", Version: "3", Good: true},
		{Run: "r4", Version: "2", Good: true, Left: true}, {Run: "r3", Version: "2"}, {Run: "r2", Version: "2", Good: true},
		{Run: "r1", Version: "1", Good: true},
	}
	for name, c := range map[string]struct {
		previous, from, want string
	}{
		"deployed twice":            {"r5", "3", "r2"},
		"wherever it is":            {"r5", "", "r5"},
		"what is newer is not gone": {"r1", "3", "r1"},
		"nothing before":            {"", "3", ""},
		"left, and bad":             {"r4", "", "r2"},
	} {
		m := &manifest.Manifest{}
		m.Rollback.To, m.Rollback.From = manifest.Previous, c.from
		p := Past{Dest: dest, By: &manifest.Loaded{Manifest: m}}
		there := strategy.Deployments{All: slices.Clone(all), Live: "r6", Previous: c.previous}
		if err := p.Choose(Host{There: there}); p.Standing != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: %q, %v, want %q", name, p.Standing, err, c.want)
		}
	}
}
