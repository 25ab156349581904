// Package page looks at the pages of the history and of a fleet in a browser: in wide and narrow
// windows, light and dark, with the keyboard alone, without the script, with a
// long history and with a hostile one.
package page

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"stretcher/internal/journal/history"
	"stretcher/internal/journal/page"
	"stretcher/internal/journal/page/pagetest"
	"stretcher/internal/testparts"
)

// facts are what look.js has seen.
type facts struct {
	Views   []view
	Filters struct {
		Before, Failed, One, Shown chosen
		Toggled                    bool
		Said                       []string
	}
	Many struct {
		Load, Frame, Painted, Elements, Runs int
		Layout                               layout
		Said                                 []string
	}
	Plain struct {
		Filters, Counts, Opened bool
		Runs                    int
	}
	Hostile struct {
		layout
		Said    []string
		Foreign int
	}
	Version string
	Took    map[string]int // ms
}

// layout is where things are in a window.
type layout struct {
	Wide      bool // something is to be scrolled to at the right
	Out       int  // elements that reach beyond the window
	Headings  []string
	FirstCard bool // is in the window, without scrolling
	Bad       []string
	Marks     int
	Small     int // marks that a finger would miss
	Overlaps  []string
	Open      int
	Lines     []int // of each excerpt
}

// view is the page in one window.
type view struct {
	layout
	Width      int
	Scheme     string
	Background string
	Said       []string
	Axe        *struct{ Checked, Violations []string }
}

// chosen is what filters let be seen.
type chosen struct {
	Results, Dests   []string
	Runs             int
	Told             string
	Lanes, EmptyDays int
	Marks            []string
}

const (
	someRuns = 36
	manyRuns = 1000
)

// past is the content of a page that a host with four dests would have.
func past(n int) page.Content {
	runs := pagetest.Past(pagetest.Now(), n)
	var all []history.Run
	for _, r := range runs {
		all = append(all, r.Run)
	}
	return page.Content{Host: "web-3", Now: pagetest.Now(), Runs: pagetest.Details(runs), Places: history.Places(all),
		Logs: pagetest.Lines(runs)}
}

// hostile has in each text what breaks pages: markup, what turns the direction of
// writing, no place to break a line at, bytes that are no text.
func hostile() page.Content {
	s := strings.Join([]string{
		`"><script>alert(1)</script><img src=x onerror=alert(1)>`, "</style></pre></details>", "\u202e\u2066\x1b[31m\xff",
		strings.Repeat("x", 10<<10),
	}, " ")
	s = strings.Repeat("W", 300) + s
	c := past(4)
	for i := range c.Runs {
		r := &c.Runs[i]
		r.Name, r.Version, r.Dest, r.Error, r.Event, r.User, r.URL = s, s, s, s, s, s, s
		for i := range r.Steps {
			r.Steps[i].Name, r.Steps[i].Exit = s, 1
		}
	}
	c.Places = history.Places([]history.Run{c.Runs[0].Run, c.Runs[1].Run})
	c.Host = s
	c.Logs = func(string, int64, int64, int) ([]string, bool, error) { return []string{s, s}, true, nil }
	return c
}

// written is the path of the page.
func written(t *testing.T, name string, c page.Content) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := page.Write(f, c); err != nil {
		t.Fatal(err)
	}
	return path
}

// look runs look.js.
func look(t *testing.T, request map[string]string) []byte {
	t.Helper()
	request["chromium"] = testparts.Need(t, "chromium")
	text, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), testparts.Need(t, "playwright"), "look.js", string(text))
	cmd.WaitDelay = testparts.Limit(time.Second)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("look.js: %v\n%s", err, errs.String())
	}
	return out
}

func TestPage(t *testing.T) {
	many := written(t, "many.html", past(manyRuns))
	var f facts
	err := json.Unmarshal(look(t, map[string]string{
		"plain": written(t, "plain.html", past(someRuns)), "many": many, "hostile": written(t, "hostile.html", hostile()),
	}), &f)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("views", func(t *testing.T) { checkViews(t, f.Views) })
	t.Run("filters", func(t *testing.T) { checkFilters(t, f) })
	t.Run("many", func(t *testing.T) { checkMany(t, f, many) })
	t.Run("no script", func(t *testing.T) {
		if p := f.Plain; p.Filters || !p.Counts || !p.Opened || p.Runs != someRuns {
			t.Errorf("%+v", p)
		}
	})
	t.Run("hostile", func(t *testing.T) {
		h := f.Hostile
		if h.Wide || h.Out > 0 || h.Foreign > 0 || len(h.Said) > 0 {
			t.Errorf("wider than the window: %v, %d elements; %d foreign elements; the console says %q",
				h.Wide, h.Out, h.Foreign, h.Said)
		}
	})
	m := f.Many
	t.Logf("Chromium %s, ms: %v", f.Version, f.Took)
	t.Logf("%d runs: %d elements, painted after %d ms; to load takes %d ms of a processor, a frame of scrolling %d ms",
		m.Runs, m.Elements, m.Painted, m.Load, m.Frame)
}

func checkViews(t *testing.T, views []view) {
	backgrounds := map[string]bool{}
	for _, v := range views {
		checkLayout(t, v)
		backgrounds[v.Background] = true
		if len(v.Said) > 0 {
			t.Errorf("%d px, %s: the console says %q", v.Width, v.Scheme, v.Said)
		}
		if v.Axe == nil {
			continue
		}
		if len(v.Axe.Violations) > 0 || !slices.Contains(v.Axe.Checked, "color-contrast") {
			t.Errorf("%d px, %s: axe checked %q and finds\n%s", v.Width, v.Scheme, v.Axe.Checked,
				strings.Join(v.Axe.Violations, "\n"))
		}
	}
	if len(views) != 6 || len(backgrounds) != 2 {
		t.Errorf("%d views with the backgrounds %v, want 6, light and dark", len(views), backgrounds)
	}
}

func checkLayout(t *testing.T, v view) {
	if v.Wide || v.Out > 0 {
		t.Errorf("%d px, %s: %d elements reach beyond the window, which scrolls: %v", v.Width, v.Scheme, v.Out, v.Wide)
	}
	if got := strings.Join(v.Headings, ", "); got != "What is live, Time line, Runs" {
		t.Errorf("%d px: headings %s", v.Width, got)
	}
	if got := strings.Join(v.Bad, ", "); got != "last run failed, good, good, good" || !v.FirstCard {
		t.Errorf("%d px: the cards say %s; the first is seen at once: %v", v.Width, got, v.FirstCard)
	}
	if len(v.Overlaps) > 0 || v.Small > 0 || v.Marks < 12 {
		t.Errorf("%d px: of %d marks, %d are small, and these cover each other: %q", v.Width, v.Marks, v.Small, v.Overlaps)
	}
	if v.Open != 1 || !slices.Equal(v.Lines, []int{20}) {
		t.Errorf("%d px: %d runs are open, with %d lines of their logs", v.Width, v.Open, v.Lines)
	}
}

func checkFilters(t *testing.T, f facts) {
	all, failed, one, shown := f.Filters.Before, f.Filters.Failed, f.Filters.One, f.Filters.Shown
	if all.Runs != someRuns || all.Told != "36 runs" || all.Lanes != 4 {
		t.Errorf("at first: %+v", all)
	}
	onlyFailed := !slices.ContainsFunc(failed.Marks, func(r string) bool { return r != "failed" })
	if !slices.Equal(failed.Results, []string{"failed"}) || failed.Told != "2 of 36 runs" || !onlyFailed ||
		len(failed.Marks) != 2 || failed.EmptyDays > 0 {
		t.Errorf("of those that failed: %+v", failed)
	}
	if !slices.Equal(one.Dests, []string{"0"}) || one.Lanes != 1 || one.Runs != 1 {
		t.Errorf("of those on the first dest: %+v", one)
	}
	if shown.Runs != someRuns {
		t.Errorf("a run that the address names is still hidden: %+v", shown)
	}
	if !f.Filters.Toggled || len(f.Filters.Said) > 0 {
		t.Errorf("Enter opens and closes a run: %v; the console says %q", f.Filters.Toggled, f.Filters.Said)
	}
}

// checkMany knows no times but those of a processor, and what is far too long of
// them.
func checkMany(t *testing.T, f facts, file string) {
	m := f.Many
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if m.Runs != manyRuns || m.Elements > 120*manyRuns || info.Size() > 5<<20 {
		t.Errorf("%d runs, %d elements, %d bytes", m.Runs, m.Elements, info.Size())
	}
	if m.Load > 10_000 || m.Frame > 100 {
		t.Errorf("to load it takes %d ms of a processor, a frame of scrolling %d ms", m.Load, m.Frame)
	}
	if m.Layout.Wide || len(m.Layout.Overlaps) > 0 || len(m.Said) > 0 {
		t.Errorf("%+v; the console says %q", m.Layout, m.Said)
	}
}

// TestPicture makes the pictures of the documents anew where it is told to.
func TestPicture(t *testing.T) {
	file := os.Getenv("STRETCHER_PICTURE")
	if file == "" {
		t.Skip("STRETCHER_PICTURE names no file")
	}
	look(t, map[string]string{"plain": written(t, "page.html", past(someRuns)), "picture": file})
}
