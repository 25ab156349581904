package e2e

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"stretcher/internal/journal/history"
	"stretcher/internal/testparts"
)

// pastRuns fills a state directory with n runs of several dests, each with
// some steps and a log.
func pastRuns(t *testing.T, dir string, n int) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	db, err := history.Open(ctx, filepath.Join(dir, "history.db"), history.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	results := []history.Result{history.Good, history.Good, history.Failed, history.Refused}
	start := time.Now().Add(-time.Duration(n) * time.Hour)
	for i := range n {
		r := history.Run{ID: fmt.Sprintf("01a20000-%04x-7000-8000-%012x", i, i),
			Started: start.Add(time.Duration(i) * time.Hour),
			Deployment: history.Deployment{Name: fmt.Sprintf("app<%d>", i%7), Version: fmt.Sprintf("v&%d", i),
				Dest: fmt.Sprintf("/srv/app%d", i%7), URL: "https://deploys/app.yml"},
			Event: fmt.Sprintf("consul deploy %d", i), User: "root"}
		if _, _, err := db.Claim(ctx, r, false, nil); err != nil {
			t.Fatal(err)
		}
		for _, point := range []string{"fetch", "pre", "sync", "post"} {
			s := history.Step{Run: r.ID, Point: point, Dialect: "command", Name: "do " + point, Started: r.Started,
				Duration: time.Second}
			if err := db.Update(ctx, r, s); err != nil {
				t.Fatal(err)
			}
		}
		r.Result, r.Finished = results[i%len(results)], r.Started.Add(time.Minute)
		if r.Result != history.Good {
			r.Exit, r.Error, r.Step = 1, "post: <script>alert(1)</script>", "post"
		}
		if err := db.Finish(ctx, r, true); err != nil {
			t.Fatal(err)
		}
	}
}

// browser finds headless Chromium; a set-up that promises one must have it.
func browser(t *testing.T) string {
	t.Helper()
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

// TestHistoryPage writes the page of a long history and reads it as a phone
// does. What the page looks like in detail is tested where it is made.
func TestHistoryPage(t *testing.T) {
	t.Parallel()
	chromium := browser(t)
	const runs = 400
	dir := t.TempDir()
	state, page := filepath.Join(dir, "state"), filepath.Join(dir, "page.html")
	pastRuns(t, state, runs)
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(testparts.Program(t), "history", "--state-dir", state, "--html", page)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil || stdout.Len()+stderr.Len() > 0 {
		t.Fatalf("history --html: %v\n%s%s", err, stdout.String(), stderr.String())
	}
	ctx, cancel := context.WithTimeout(t.Context(), testparts.Limit(2*time.Minute))
	defer cancel()
	var dom, console bytes.Buffer
	look := exec.CommandContext(ctx, chromium, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--enable-logging=stderr",
		"--user-data-dir="+filepath.Join(dir, "profile"), "--window-size=390,844", "--dump-dom", "file://"+page)
	look.Stdout, look.Stderr = &dom, &console
	if err := look.Run(); err != nil {
		t.Fatalf("chromium: %v\n%s", err, console.String())
	}
	if strings.Contains(console.String(), "CONSOLE") {
		t.Errorf("the console says\n%s", console.String())
	}
	if n := strings.Count(dom.String(), "</details>"); n != runs {
		t.Errorf("the page shows %d runs, want %d", n, runs)
	}
	if strings.Contains(dom.String(), "<script>alert") || !strings.Contains(dom.String(), "app&lt;3&gt;") {
		t.Error("text is taken for markup")
	}
	if other := regexp.MustCompile(`(?:src|href)="?(?:https?:)?//`).FindString(dom.String()); other != "" {
		t.Errorf("the page asks for more: %q", other)
	}
}

// TestHistoryLocked: a database that another process keeps locked is a
// warning, and no reason to fail.
func TestHistoryLocked(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	state := filepath.Join(dir, "state")
	pastRuns(t, state, 3)
	db, err := sql.Open("sqlite", "file:"+filepath.Join(state, "history.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	manifest := filepath.Join(dir, "app.yml")
	if err := os.WriteFile(manifest, []byte("name: app\ncommands: {pre: [touch "+dir+"/ran]}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(testparts.Program(t), "--state-dir", state, "file://"+manifest).CombinedOutput()
	if err != nil {
		t.Errorf("the deployment failed: %v", err)
	}
	// One when the run begins, one when its end is to be recorded.
	warnings := strings.Count(string(out), "warning: ")
	if warnings < 1 || warnings > 2 || strings.Count(string(out), "the history database is locked") != warnings {
		t.Errorf("%d warnings, want one or two about the lock:\n%s", warnings, out)
	}
	if _, err := os.Stat(filepath.Join(dir, "ran")); err != nil {
		t.Errorf("the command did not run: %v", err)
	}
	// Reading does not wait for writers.
	out, err = exec.Command(testparts.Program(t), "history", "--json", "--state-dir", state).Output()
	if n := strings.Count(string(out), `"id"`); err != nil || n != 3 {
		t.Errorf("history: %v, %d runs, want 3", err, n)
	}
	if _, err := db.Exec("ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if moved, _ := filepath.Glob(filepath.Join(state, "*corrupt*")); len(moved) > 0 {
		t.Errorf("a locked database was moved aside: %q", moved)
	}
}
