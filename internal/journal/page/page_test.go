package page

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"stretcher/internal/journal/history"
	"stretcher/internal/journal/page/pagetest"
)

func render(t *testing.T, c Content) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, c); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// sample is what a host with four dests tells.
func sample(n int) Content {
	runs := pagetest.Past(pagetest.Now(), n)
	var all []history.Run
	for _, r := range runs {
		all = append(all, r.Run)
	}
	return Content{Host: "web-3", Now: pagetest.Now(), Runs: pagetest.Details(runs), Places: history.Places(all),
		Logs: pagetest.Lines(runs)}
}

func wants(t *testing.T, html string, all ...string) {
	t.Helper()
	for _, want := range all {
		if !strings.Contains(html, want) {
			t.Errorf("no %s", want)
		}
	}
}

func TestPage(t *testing.T) {
	c := sample(36)
	c.Older = 7
	html := render(t, c)
	wants(t, html,
		"<title>Deploys on web-3</title>",
		"As of 2026-11-20 16:42:05 CET; ages are counted up to then.",
		"On 1 of 4 dests the last run was not good</p>",
		`<b>2026.11.97</b> failed in verify and went back <span>· 25 min ago</span></p>`,
		`since <time datetime="2026-11-19T23:49:53Z">2026-11-20 00:49 CET</time> <span>· 15 h ago</span></p>`,
		`{&#34;status&#34;:&#34;starting&#34;`,
		`<span class="end">exit 22</span>`,
		"<small>back to 2026.11.96</small>",
		`<span class="tag">rollback</span>`, `<span class="tag">went back</span>`,
		"<small>again, for what is live again</small>",
		"7 older runs are not in this page.",
		`aria-label="died, billing-worker, 2026.11.`, `<span class="error">died in sync</span>`,
	)
	if strings.Index(html, "What is live") > strings.Index(html, "Time line") {
		t.Error("what is live is not first")
	}
	for _, d := range c.Runs {
		if n := strings.Count(html, `id="`+d.ID+`"`); n != 1 {
			t.Errorf("%d elements for run %s", n, d.ID)
		}
	}
	if n := strings.Count(html, "for what is live again"); n != 1 {
		t.Errorf("%d second posts", n)
	}
	if n := strings.Count(html, "attempt"); n != excerpt-1 {
		t.Errorf("%d lines of the failed step and one more", n)
	}
	if open := regexp.MustCompile(`<details [^>]*open>`).FindAllString(html, -1); len(open) != 1 {
		t.Errorf("open are %q, want the last run of the dest that is not well", open)
	}
}

func TestEmptyPage(t *testing.T) {
	html := render(t, Content{Host: "h", Now: pagetest.Now()})
	if !strings.Contains(html, "Nothing has run here yet.") || strings.Contains(html, "<details") {
		t.Error(html)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestWriteError(t *testing.T) {
	if err := Write(failing{}, sample(3)); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Error(err)
	}
}

// TestCards: what is told of a dest, by how its last runs went.
func TestCards(t *testing.T) {
	now := pagetest.Now()
	run := func(version string, result history.Result, step string) *history.Run {
		return &history.Run{ID: "id-" + version, Started: now, Finished: now, Result: result, Step: step,
			Deployment: history.Deployment{Name: "app", Version: version, Dest: "/srv/app"}}
	}
	good, post, sync := run("1", history.Good, "success"), run("2", history.Failed, "post"), run("2", history.Died, "sync")
	fetch, going := run("2", history.Refused, "fetch"), run("2", history.Running, "pre")
	back := run("2", history.Failed, "verify")
	back.Back, going.Finished = "x", time.Time{}
	for _, c := range []struct {
		place history.Place
		want  string // version that is live | doubt | note
	}{
		{history.Place{Live: good, Good: good, Last: *good}, "1||"},
		{history.Place{Live: post, Good: good, Last: *post}, "2|failed in post, and was left there; good before: 1|"},
		{history.Place{Live: post, Last: *post}, "2|failed in post, and was left there; none was good before|"},
		{history.Place{Live: good, Good: good, Mixed: sync, Last: *sync}, "1|files of 2 may be there, too|2 died in sync"},
		{history.Place{Live: good, Good: good, Last: *fetch}, "1||2 refused in fetch, before it changed anything here"},
		{history.Place{Live: good, Good: good, Last: *back}, "1||2 failed in verify and went back"},
		{history.Place{Live: good, Good: good, Last: *going}, "1||2 is being deployed in pre"},
		{history.Place{Last: *fetch}, "||2 refused in fetch, before it changed anything here"},
	} {
		v := newCard(c.place, now)
		if got := v.Version + "|" + v.Doubt + "|" + strings.TrimSpace(v.Note.What+" "+v.Note.How); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}

// Runs that came to no dest are told of until there is a good one.
func TestLost(t *testing.T) {
	c := sample(3)
	bad := history.Detail{Run: history.Run{ID: "bad", Started: c.Now, Result: history.Refused, Error: "no policy",
		Deployment: history.Deployment{URL: "s3://deploys/x.yml"}}}
	c.Runs = append([]history.Detail{bad, bad}, c.Runs...)
	wants(t, render(t, c), "2 runs since the last good one came to no dest.",
		`<a href="#bad">The last refused</a> just now: no policy<`, `<b>s3://deploys/x.yml</b>`,
		`<p class="name">no dest <small></small></p>`)
	good := history.Detail{Run: history.Run{ID: "good", Started: c.Now, Result: history.Good}}
	c.Runs = append([]history.Detail{good}, c.Runs...)
	if strings.Contains(render(t, c), "came to no dest") {
		t.Error("an old run is told of")
	}
}

// hostile has in every text what would break out of where it stands.
func hostile(s string) Content {
	now := pagetest.Now()
	r := history.Run{
		ID: s, Started: now.Add(-time.Hour), Finished: now,
		Deployment: history.Deployment{Name: s, Version: s, Dest: s, URL: s}, Result: history.Result(s),
		Step: s, Error: s, Event: s, User: s, Back: s, Process: history.Process{Log: s},
	}
	step := history.Step{Point: s, Dialect: s, Name: s, Signal: s, Started: r.Started, Duration: time.Minute}
	turn := history.Step{Point: history.WayBack, Dialect: "stretcher", Name: s}
	logs := func(string, int64, int64, int) ([]string, bool, error) { return []string{s, s}, true, nil }
	return Content{
		Host: s, Now: now, Logs: logs, Runs: []history.Detail{{Run: r, Steps: []history.Step{step, turn, step}}},
		Places: []history.Place{{Dest: s, Live: &r, Mixed: &r, Good: &r, Last: r}, {Dest: s, Last: r}},
	}
}

var hostileTexts = []string{
	`"><script>alert(1)</script>`, `' onload='alert(1)`, "`${alert(1)}`", `</style><img src=x onerror=alert(1)>`,
	`javascript:alert(1)`, `{{.Host}}`, "\u202e\x00\xff", `</title></summary></details></pre>`, `&lt;script&gt;`,
	strings.Repeat("x", 10<<10), strings.Repeat("<", 10<<10), strings.Repeat("\xff", 10<<10), strings.Repeat("é", 5<<10),
}

var (
	remote   = regexp.MustCompile(`(?i)(src|href|action|url|@import|xlink:href)\s*[=(]\s*["']?([a-z]+:|//)`)
	handlers = regexp.MustCompile(`(?i)<[^>]*\s(on[a-z]+|style)\s*=`)
	quoted   = regexp.MustCompile(`"[^"]*"`)
)

func checkInert(t *testing.T, html string) {
	t.Helper()
	for _, ref := range remote.FindAllString(html, -1) {
		if ref != `href="data:` && ref != `url("data:` { // the empty icon, and those of the results
			t.Errorf("page refers to %s", ref)
		}
	}
	if n := strings.Count(strings.ToLower(html), "<script"); n != 1 {
		t.Errorf("%d scripts", n)
	}
	markup := quoted.ReplaceAllString(strings.Replace(html, pageJS, "", 1), `""`)
	if strings.Contains(html, "<img") || handlers.MatchString(markup) {
		t.Error("page has images, handlers or styles")
	}
	for _, odd := range []string{"\u202e", "\x00", "\xff"} {
		if i := strings.Index(html, odd); i >= 0 {
			t.Errorf("%q is not escaped: %q", odd, html[max(i-80, 0):i+9])
		}
	}
}

func TestHostileTexts(t *testing.T) {
	checkInert(t, render(t, sample(20)))
	plain := strings.Count(render(t, hostile("x")), "<")
	for _, s := range hostileTexts {
		html := render(t, hostile(s))
		checkInert(t, html)
		if n := strings.Count(html, "<"); n != plain {
			t.Errorf("%.40q: %d elements' ends, want %d", s, n, plain)
		}
	}
}

func FuzzPage(f *testing.F) {
	for _, s := range hostileTexts {
		f.Add(s)
	}
	var b bytes.Buffer
	if err := Write(&b, hostile("x")); err != nil {
		f.Fatal(err)
	}
	plain := strings.Count(b.String(), "<")
	f.Fuzz(func(t *testing.T, s string) {
		if slices.Contains([]string{"", "good", "rollback", "stretcher"}, s) {
			return // these mean something
		}
		var b bytes.Buffer
		if err := Write(&b, hostile(s)); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(b.String(), "<"); n > plain {
			t.Errorf("%q: %d of <, want %d", s, n, plain)
		}
	})
}

// TestBounds: whatever the history holds, the page doesn't grow without end.
func TestBounds(t *testing.T) {
	long := strings.Repeat("<", 1<<20)
	c := hostile(long)
	for range 2 * maxSteps {
		c.Runs[0].Steps = append(c.Runs[0].Steps, c.Runs[0].Steps[0])
	}
	for range 60 {
		c.Runs = append(c.Runs, c.Runs[0])
	}
	html := render(t, c)
	if len(html) > 2*maxWhole {
		t.Errorf("%d bytes", len(html))
	}
	more := fmt.Sprintf("%d more steps: stretcher history --run", maxSteps+3)
	wants(t, html, more, "there is no room for them in this page")
}

func TestAge(t *testing.T) {
	now := pagetest.Now()
	for d, want := range map[time.Duration]string{
		-time.Second: "in the future", 59 * time.Second: "just now", 119 * time.Second: "1 min ago",
		59 * time.Minute: "59 min ago", 47 * time.Hour: "47 h ago", 48 * time.Hour: "2 days ago", 90 * day: "90 days ago",
	} {
		if got := age(now.Add(-d), now); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}
