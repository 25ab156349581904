package lint

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"stretcher/internal/manifest"
	"stretcher/internal/policy/verdict"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/yamldoc"
)

// parsed is a command as the runner of GitHub Actions reads it: unescaped.
func parsed(t *testing.T, line string) (kind string, properties map[string]string, text string) {
	t.Helper()
	head, rest, ok := strings.Cut(strings.TrimPrefix(line, "::"), "::")
	if !strings.HasPrefix(line, "::") || !ok {
		t.Fatalf("%q is no command", line)
	}
	kind, list, _ := strings.Cut(head, " ")
	properties = map[string]string{}
	for one := range strings.SplitSeq(list, ",") {
		name, value, _ := strings.Cut(one, "=")
		properties[name] = strings.NewReplacer("%25", "%", "%0D", "\r", "%0A", "\n", "%3A", ":", "%2C", ",").Replace(value)
	}
	return kind, properties, strings.NewReplacer("%25", "%", "%0D", "\r", "%0A", "\n").Replace(rest)
}

// FuzzGitHub: whatever a file is called, and whatever is in it, each problem is one
// command with the properties that it has, and no other line.
func FuzzGitHub(f *testing.F) {
	for _, s := range []string{"app.yml", "a,line=9", "a::b", "%0A::add-mask::x", "\n::stop-commands::x", "\r\n##[error]x",
		"\x1b[2J", "\u2028::x", "\xff"} {
		f.Add(s, s, s, s)
	}
	f.Fuzz(func(t *testing.T, file, key, message, hint string) {
		r := Result{File: file, Problems: []Problem{{File: file, Line: 3, Key: key, Message: message, Hint: hint}},
			Warnings: []string{message}, Unset: []string{key}}
		var out bytes.Buffer
		if err := r.PrintGitHub(&out); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		if len(lines) != 3 || strings.ContainsAny(out.String(), "\r\x1b\u2028") {
			t.Fatalf("%q", out.String())
		}
		for i, want := range []string{"error", "warning", "notice"} {
			kind, properties, _ := parsed(t, lines[i])
			n := 2
			if i == 0 {
				n = 3
			}
			if kind != want || len(properties) != n || properties["title"] != "stretcher check" {
				t.Errorf("%q is %s with %q", lines[i], kind, properties)
			}
		}
	})
}

// TestGitHub: what is printable arrives as it is.
func TestGitHub(t *testing.T) {
	r := Result{Problems: []Problem{
		{File: "a: 100%, b.yml", Line: 2, Column: 7, Key: "dest", Message: `"50%" is wrong: x, y`, Hint: "do: z"},
	}}
	var out bytes.Buffer
	if err := r.PrintGitHub(&out); err != nil {
		t.Fatal(err)
	}
	kind, properties, text := parsed(t, strings.TrimSuffix(out.String(), "\n"))
	at := properties["line"] + ":" + properties["col"]
	if kind != "error" || properties["file"] != "a: 100%, b.yml" || at != "2:7" ||
		text != "dest: \"50%\" is wrong: x, y\ndo: z" {
		t.Errorf("%q: %q, %q", kind, properties, text)
	}
}

// TestProblems: what an error is made of, in its order, without
// secrets; an error that is made of nothing else is one problem.
func TestProblems(t *testing.T) {
	mask := func(s string) string { return strings.ReplaceAll(s, "hidden", "[X]") }
	of := &manifest.Wrong{Problems: []*yamldoc.Problem{
		{Line: 2, Column: 9, Key: "hidden", Message: "c", Hint: "hidden"},
		{Line: 7, Column: 3, Key: "b", Message: "is hidden"},
	}}
	err := Keep(errors.New("said"), failure.Malformed("%w", of), mask)
	got := Problems("a.yml", err)
	if err.Error() != "said" || len(got) != 2 || got[0] != (Problem{"a.yml", 2, 9, "[X]", "c", "[X]", false}) ||
		got[1] != (Problem{"a.yml", 7, 3, "b", "is [X]", "", false}) {
		t.Errorf("%v: %+v", err, got)
	}
	ruled := Keep(errors.New("no"), errors.New("no"), mask,
		verdict.Ruling{Rule: "allow.dests", Why: "hidden is not", Place: "line 2"})
	want := Problem{"a.yml", 0, 0, "", "allow.dests: [X] is not", "line 2", false}
	if got := Problems("a.yml", ruled); len(got) != 1 || got[0] != want {
		t.Errorf("%+v", got)
	}
	plain := failure.Hinted("do", errors.New("x\ny"))
	if got := Problems("a.yml", plain); len(got) != 1 || got[0] != (Problem{"a.yml", 0, 0, "", "x; y", "do", false}) {
		t.Errorf("%+v", got)
	}
	if Keep(nil, nil, mask) != nil || len(Problems("a.yml", nil)) != 0 {
		t.Error("nothing is a problem")
	}
}

// TestJSON: a list is one, though there is nothing in it.
func TestJSON(t *testing.T) {
	var out bytes.Buffer
	if err := (Result{File: "a\x1b.yml", Result: "good"}).PrintJSON(&out); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || strings.Contains(out.String(), "\x1b") || len(got) != 6 ||
		got["problems"] == nil || got["warnings"] == nil || got["unset_env"] == nil || got["file"] != "a\x1b.yml" {
		t.Errorf("%v: %s", err, out.String())
	}
}

// TestSay: a hint is said once, where it is not in the line, and of very many
// problems the first.
func TestSay(t *testing.T) {
	list := []Problem{
		{Message: "a", Hint: "h"}, {Line: 1, Message: "b", Hint: "h"},
		{Line: 1, Column: 2, Key: "k", Message: "c", Hint: "d?", inline: true},
	}
	for len(list) < maxSaid+2 {
		list = append(list, Problem{Message: "x"})
	}
	var said []string
	line := func(text string) { said = append(said, text) }
	Say("f", list, line, func(hint string) { line("hint " + hint) })
	want := []string{`manifest: "f": a`, "hint h", `manifest: "f": line 1: b`, `manifest: "f": line 1:2: k: c, d?`}
	if len(said) != maxSaid+2 || !slices.Equal(said[:4], want) || said[maxSaid+1] != `manifest: "f": and 2 more` {
		t.Errorf("%d: %q", len(said), said)
	}
}
