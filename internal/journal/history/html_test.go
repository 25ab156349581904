package history

import (
	"bytes"
	"context"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

func render(t *testing.T, host string, runs []Detail) string {
	t.Helper()
	var b bytes.Buffer
	must(t, WriteHTML(&b, host, runs, sampleNow))
	return b.String()
}

func TestHTMLTellsTheRuns(t *testing.T) {
	html := render(t, "web-3", sample())
	for _, want := range []string{
		"<title>Deploys on web-3</title>",
		"As of 2026-11-22 17:45:12 CET",
		`<b>24</b> good`, `<b>1</b> died`,
		`<small>/srv/billing-worker</small>`,
		`aria-label="failed, billing-worker, 2026.11.22-36, 2026-11-21 15:45:12 CET"`,
		`was killed after 1m0s</span>`,
		`<dt>result</dt><dd>failed in post, exit 1</dd>`,
		`<div class="bar" style="left:11.58%;width:63.16%"></div>`,
		`<div class="end">SIGKILL (timed out)</div>`,
		`<div class="end">exit 127</div>`,
		`<span style="left:100.00%">1m35s</span>`,
	} {
		if !strings.Contains(html, want) {
			t.Errorf("no %s", want)
		}
	}
	for _, d := range sample() {
		if n := strings.Count(html, `id="`+d.ID+`"`); n != 1 {
			t.Errorf("%d elements for run %s", n, d.ID)
		}
	}
	if n := strings.Count(html, `class="step bad"`); n != 2 {
		t.Errorf("%d bad steps, want 2", n)
	}
	if html := render(t, "h", nil); !strings.Contains(html, "Nothing has run here yet.") ||
		strings.Contains(html, "<details") {
		t.Error("page without runs")
	}
}

// hostile has in every text what would break out of where it stands.
func hostile(s string) []Detail {
	r := Run{
		ID: s, Started: sampleNow.Add(-time.Hour), Finished: sampleNow,
		Deployment: Deployment{Name: s, Version: s, Dest: s, URL: s}, Result: Result(s),
		Step: s, Error: s, Event: s, User: s, Process: Process{Log: s},
	}
	step := Step{Point: s, Dialect: s, Name: s, Signal: s, Started: r.Started, Duration: time.Minute}
	return []Detail{{r, []Step{step}}}
}

var hostileTexts = []string{
	`"><script>alert(1)</script>`, `' onload='alert(1)`, "`${alert(1)}`", `</style><img src=x onerror=alert(1)>`,
	`javascript:alert(1)`, `{{.Host}}`, "\u202e\x00\xff", `</title></summary></details>`, `&lt;script&gt;`,
}

var (
	remote   = regexp.MustCompile(`(?i)(src|href|action|url|@import|xlink:href)\s*[=(]\s*["']?([a-z]+:|//)`)
	handlers = regexp.MustCompile(`(?i)<[^>]*\s(on[a-z]+)\s*=`)
)

func checkInert(t *testing.T, html string) {
	t.Helper()
	for _, ref := range remote.FindAllString(html, -1) {
		if ref != `href="data:` { // the empty icon
			t.Errorf("page refers to %s", ref)
		}
	}
	if n := strings.Count(strings.ToLower(html), "<script"); n != 1 {
		t.Errorf("%d scripts", n)
	}
	if strings.Contains(html, "<img") || handlers.MatchString(regexp.MustCompile(`"[^"]*"`).ReplaceAllString(html, `""`)) {
		t.Error("page has images or handlers")
	}
}

func TestHTMLOfHostileTexts(t *testing.T) {
	checkInert(t, render(t, "web-3", sample()))
	for _, s := range hostileTexts {
		html := render(t, s, hostile(s))
		checkInert(t, html)
		if n := strings.Count(html, "</details>"); n != 1 {
			t.Errorf("%q: %d runs", s, n)
		}
	}
}

func FuzzHTML(f *testing.F) {
	for _, s := range hostileTexts {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var b bytes.Buffer
		if err := WriteHTML(&b, s, hostile(s), sampleNow); err != nil {
			t.Fatal(err)
		}
		html := strings.ToLower(b.String())
		for part, want := range map[string]int{"<script": 1, "<style": 1, "</details>": 1, "<svg": 3, "<a ": 1} {
			if n := strings.Count(html, part); n != want {
				t.Errorf("%q: %d of %s, want %d", s, n, part, want)
			}
		}
	})
}

// Clocks jump; a page is made of it anyway.
func TestWaterfallStaysInside(t *testing.T) {
	r := Run{ID: "a", Started: sampleNow, Finished: sampleNow.Add(-time.Hour), Result: Good}
	d := Detail{r, []Step{
		{Started: sampleNow.Add(-time.Minute), Duration: time.Second},
		{Started: sampleNow.Add(time.Minute), Duration: time.Minute},
		{Started: sampleNow.Add(time.Second), Duration: -time.Second},
		{},
	}}
	v := newRunView(d, sampleNow)
	for i, want := range [][2]string{{"0.00", "0.83"}, {"50.00", "50.00"}, {"0.83", "0.00"}, {"0.00", "0.00"}} {
		if s := v.Steps[i]; s.Left != want[0] || s.Width != want[1] {
			t.Errorf("step %d: at %s%%, %s%% wide; want %s", i, s.Left, s.Width, want)
		}
	}
	if len(newRunView(Detail{Run: Run{Started: sampleNow}}, sampleNow).Ticks) != 5 {
		t.Error("no ticks for a run of no length")
	}
}

func TestTimeLine(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	must(t, err)
	now := time.Date(2026, 10, 28, 12, 0, 0, 0, berlin) // clocks go back on the 25th
	for _, c := range []struct {
		span time.Duration
		want string
	}{
		{0, "11:59:00 11:59:15 11:59:30 11:59:45"},
		{4 * time.Minute, "11:56 11:57 11:58 11:59"},
		{50 * time.Minute, "11:15 11:30 11:45"},
		{20 * time.Hour, "18:00 28 Oct 06:00"},
		{5 * day, "24 Oct 25 Oct 26 Oct 27 Oct 28 Oct"},
		{60 * day, "30 Aug 13 Sep 27 Sep 11 Oct"},
		{1000 * day, "Feb 2024 Feb 2025 Feb 2026"},
	} {
		s := newScale([]Detail{{Run: Run{Started: now.Add(-c.span)}}}, now)
		var got []string
		for _, tick := range s.ticks() {
			got = append(got, tick.Label)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%v: %q, want %q", c.span, strings.Join(got, " "), c.want)
		}
	}
	future := newScale([]Detail{{Run: Run{Started: now.Add(time.Hour)}}}, now)
	if got := future.percent(now.Add(time.Hour)); got != "100.00" {
		t.Errorf("a start in the future is at %s%%", got)
	}
}

// chromium finds the browser; a set-up that promises one must have it.
func chromium(t *testing.T) string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("CI") == "true" && os.Getenv("STRETCHER_NEED_CHROMIUM") == "1" {
		t.Fatal("chromium is missing")
	}
	t.Skip("chromium is missing")
	return ""
}

// browse returns the document as the browser has it after loading, and what
// it logged.
func browse(t *testing.T, page, fragment string) (dom, log string) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "history.html")
	must(t, os.WriteFile(file, []byte(page), 0o600))
	u := url.URL{Scheme: "file", Path: file, Fragment: fragment}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, chromium(t), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--enable-logging=stderr",
		"--user-data-dir="+filepath.Join(dir, "profile"), "--window-size=390,844", "--dump-dom", u.String())
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("chromium: %v\n%s", err, errs.String())
	}
	for line := range strings.Lines(errs.String()) {
		if strings.Contains(line, "CONSOLE") {
			log += line
		}
	}
	return out.String(), log
}

func TestBrowser(t *testing.T) {
	chromium(t)
	failed := sample()[3]
	dom, log := browse(t, render(t, "web-3", sample()), failed.ID)
	if log != "" {
		t.Errorf("console: %s", log)
	}
	checkInert(t, dom)
	open := regexp.MustCompile(`<details [^>]*id="([^"]*)"[^>]*open=""`).FindAllStringSubmatch(dom, -1)
	if len(open) != 2 || open[0][1] != sample()[0].ID || open[1][1] != failed.ID {
		t.Errorf("open are %q, want the newest and the one in the address", open)
	}
	for _, d := range sample() {
		if !strings.Contains(dom, `id="`+d.ID+`"`) {
			t.Errorf("run %s is missing", d.ID)
		}
	}
	if n := strings.Count(dom, `class="bar" style="left:`); n == 0 {
		t.Error("no bars")
	}
}

// The browser's own parser finds no more elements in a hostile page than in a
// harmless one, and its console shows no blocked attempt.
func TestBrowserOnHostileTexts(t *testing.T) {
	chromium(t)
	s := strings.Join(hostileTexts, " ")
	dom, log := browse(t, render(t, s, hostile(s)), "")
	if log != "" {
		t.Errorf("console: %s", log)
	}
	checkInert(t, dom)
	if strings.Count(dom, "</details>") != 1 || strings.Count(dom, "<title>") != 1 {
		t.Errorf("page broken:\n%s", dom)
	}
}
