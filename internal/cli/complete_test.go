package cli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"stretcher/internal/journal/history"
	"stretcher/internal/journal/state"
)

// newHistory makes a state directory with a good run for each dest, the first
// one the oldest. The ids are 1..., 2...
func newState(t *testing.T, dests ...string) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	db, err := history.Open(t.Context(), state.At(dir).History(), history.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	began := time.Date(2026, 11, 22, 16, 0, 0, 0, time.UTC)
	for i, dest := range dests {
		r := history.Run{
			ID: strings.Repeat(string(rune('1'+i)), 8), Started: began.Add(time.Duration(i) * time.Minute),
			Deployment: history.Deployment{Name: "app\x1b[2J", Version: "7", Dest: dest}, Event: "argument",
			Process: history.Process{PID: os.Getpid()},
		}
		if err := db.Begin(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		r.Result, r.Finished = history.Good, r.Started.Add(time.Second)
		if err := db.Finish(t.Context(), r, false); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// complete is what a shell is told of a line whose last word is not typed in
// full: the words and the directive.
func complete(t *testing.T, dir, line string) (words []string, directive string) {
	t.Helper()
	args := append([]string{"__complete"}, strings.Split(line, " ")...)
	c := callWith(t, []string{"STRETCHER_STATE_DIR=" + dir}, args...)
	lines := strings.Split(strings.TrimSuffix(c.stdout, "\n"), "\n")
	last := len(lines) - 1
	for _, l := range lines[:last] {
		word, _, _ := strings.Cut(l, "\t")
		words = append(words, word)
	}
	if c.status != ExitGood || c.told() || !strings.HasPrefix(lines[last], ":") || strings.Contains(c.stdout, "\x1b") {
		t.Errorf("%q: status %d, printed %q", line, c.status, c.stdout)
	}
	return words, lines[last]
}

// TestComplete: commands, flags, values, dests and runs, wherever they stand.
func TestComplete(t *testing.T) {
	dir := newState(t, "/srv/app", "/srv/web", "/srv/app", "", "/srv/a b", "/srv/$(x)")
	const files, words, ordered, dirs = ":0", ":4", ":36", ":16"
	commands := []string{"check", "completion", "fetch", "fleet", "help", "history", "hooks", "keygen", "metrics", "pack",
		"plan", "render", "rollback", "schema", "sign", "status", "verify", "version"}
	for _, tc := range []struct {
		line      string
		want      []string
		directive string
	}{
		{"", commands, files},
		{"h", []string{"help", "history", "hooks"}, files},
		{"app.y", nil, files},
		{"-timeout 30 roll", []string{"rollback"}, files},
		{"hooks ", []string{"install", "list", "run"}, words},
		{"help ", commands, words},
		{"help hooks r", []string{"run"}, words},
		{"completion z", []string{"zsh"}, words},
		{"--ret", []string{"--retry", "--retry-wait"}, words},
		{"status --js", []string{"--json"}, words},
		{"--json history --l", []string{"--log", "--limit"}, words},
		{"hooks list --w", []string{"--watch"}, words},
		{"rollback ", []string{"/srv/app", "/srv/web"}, files},
		{"status /srv/w", []string{"/srv/web"}, files},
		{"--limit 3 history /srv/a", []string{"/srv/app"}, files},
		{"rollback /srv/app ", nil, words},
		{"rollback /srv/app --to ", []string{"33333333", "11111111"}, ordered},
		{"rollback --to=1", []string{"11111111"}, ordered},
		{"history --run ", []string{"66666666", "55555555", "44444444", "33333333", "22222222", "11111111"}, ordered},
		{"history --log 5", []string{"55555555"}, ordered},
		{"-log-format ", []string{"auto", "text", "json", "journal"}, words},
		{"plan --progress n", []string{"never"}, words},
		{"hooks install --event after_a", []string{"after_auth_fail"}, words},
		{"--log-file ", nil, files},
		{"--state-dir ", nil, dirs},
		{"--no-such-flag x ", nil, files},
	} {
		got, directive := complete(t, dir, tc.line)
		if !slices.Equal(got, tc.want) || directive != tc.directive {
			t.Errorf("%q: %q %s, want %q %s", tc.line, got, directive, tc.want, tc.directive)
		}
	}
}

// TestCompleteWritesNothing: a state directory that is not there stays so,
// and one that is there stays as it is.
func TestCompleteWritesNothing(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none")
	if got, _ := complete(t, none, "rollback "); got != nil {
		t.Errorf("got %q", got)
	}
	if _, err := os.Stat(none); err == nil {
		t.Error("made the state directory")
	}
	dir := newState(t, "/srv/app")
	before := listed(t, dir)
	if got, _ := complete(t, dir, "rollback "); len(got) != 1 {
		t.Errorf("got %q", got)
	}
	if after := listed(t, dir); !slices.Equal(after, before) {
		t.Errorf("the state directory has become\n%q, was\n%q", after, before)
	}
}

// listed are the names below dir, with sizes and times.
func listed(t *testing.T, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e.Name()+" "+info.ModTime().String())
	}
	return all
}
