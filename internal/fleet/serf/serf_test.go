package serf

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"stretcher/internal/fleet"
	"stretcher/internal/text/failure"
)

// program puts a program serf into PATH, which writes down what it is asked, prints the
// members, and the first, second, ... of the answers.
func program(t *testing.T, members string, answers ...string) (asked func() []string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"serf": `#!/bin/sh
echo "$*" >> ` + dir + `/asked
case $1 in members) exec cat ` + dir + `/members ;; esac
exec cat ` + dir + `/answer-$(grep -c ^query ` + dir + `/asked)`,
		"members": members, "asked": "",
	} {
		write(t, filepath.Join(dir, name), text)
	}
	for i, text := range answers {
		write(t, filepath.Join(dir, fmt.Sprint("answer-", i+1)), text)
	}
	t.Setenv("PATH", dir+string(filepath.ListSeparator)+os.Getenv("PATH"))
	return func() []string {
		text, err := os.ReadFile(filepath.Join(dir, "asked"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(strings.TrimSpace(string(text)), "\n")
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

// alive are members of these names.
func alive(names ...string) string {
	var members []map[string]string
	for _, name := range names {
		members = append(members, map[string]string{"name": name, "status": "alive"})
	}
	b, _ := json.Marshal(map[string]any{"members": members})
	return string(b)
}

// answer is what serf prints of these nodes, each with its answer.
func answer(pairs ...string) string {
	var parts []string
	for i := 0; i < len(pairs); i += 2 {
		node, _ := json.Marshal(pairs[i])
		text, _ := json.Marshal(pairs[i+1])
		parts = append(parts, string(node)+":"+string(text))
	}
	return `{"Acks":[],"Responses":{` + strings.Join(parts, ",") + `}}`
}

const good = `{"name":"web","version":"42","result":"good","node":"somebody-else"}`

// heard are the results by their nodes: what they say of themselves, and how it went.
func heard(h fleet.Heard) (all []string) {
	for _, r := range h.Results {
		all = append(all, r.Node+" "+r.Result+" "+r.Version)
	}
	slices.Sort(all)
	return all
}

// TestAsk: each host is known by the name that the cluster has for it, and what it says
// that is no result counts as failed.
func TestAsk(t *testing.T) {
	for name, c := range map[string]struct {
		members string
		answers []string
		want    []string
		all     []string
	}{
		"each says its own": {alive("a", "b"), []string{answer("a", good, "b", good)},
			[]string{"a good 42", "b good 42"}, []string{"a", "b"}},
		"with an end of line": {alive("a"), []string{answer("a", good+"\r\n")}, []string{"a good 42"}, []string{"a"}},
		"one of two answers, the last": {alive("a"), []string{answer("a", "{}", "a", good)},
			[]string{"a good 42"}, []string{"a"}},
		"no result": {alive("a", "b", "c", "d", "e"), []string{answer("a", "", "b", "[1]", "c", "{", "d", `{"result":""}`,
			"e", `{"result":"good","started":"yesterday"}`)},
			[]string{"a failed ", "b failed ", "c failed ", "d failed ", "e failed "}, []string{"a", "b", "c", "d", "e"}},
		"too long": {alive("a"), []string{answer("a", `{"result":"good","error":"`+strings.Repeat("x", 1024)+`"}`)},
			[]string{"a failed "}, []string{"a"}},
		"nobody": {`{"members":[]}`, nil, nil, nil},
		"who failed, left, leaves": {`{"members":[{"name":"a","status":"failed"},{"name":"b","status":"left"},
			{"name":"c","status":"leaving"},{"name":"d","status":""}]}`, nil, nil, []string{"a"}},
		"asked again": {alive("a", "b"), []string{answer("a", good), answer("b", good)},
			[]string{"a good 42", "b good 42"}, []string{"a", "b"}},
		"silent": {alive("a"), []string{`{}`, `{"Responses":null}`, `null`}, nil, []string{"a"}},
		"no member by now": {alive("a"), []string{answer("a", good, "stranger", good)},
			[]string{"a good 42", "stranger good 42"}, []string{"a"}},
		"names that are any text": {alive("-node", "\x1b[2J\n"), []string{answer("-node", good, "\x1b[2J\n", good)},
			[]string{"\x1b[2J\n good 42", "-node good 42"}, []string{"-node", "\x1b[2J\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			program(t, c.members, c.answers...)
			h, err := Ask(t.Context(), "web", Options{Timeout: time.Minute})
			if err != nil || !slices.Equal(heard(h), c.want) || !slices.Equal(h.Members, c.all) {
				t.Errorf("%q, members %q, %v", heard(h), h.Members, err)
			}
		})
	}
}

// TestAskedAgain: who was silent is asked again, by name where there is room for that,
// three times at most.
func TestAskedAgain(t *testing.T) {
	long := strings.Repeat("x", maxFilter)
	asked := program(t, alive("a", "b", long), answer("a", good), answer("b", good), answer("b", `{"result":"failed"}`))
	h, err := Ask(t.Context(), "web", Options{Timeout: 7 * time.Second})
	if err != nil || !slices.Equal(heard(h), []string{"a good 42", "b failed "}) {
		t.Errorf("%q, %v", heard(h), err)
	}
	const query = "query -format json -relay-factor 1 -timeout 7s "
	want := []string{"members -format json", query + "fleet web", query + "fleet web",
		query + "-node " + long + " fleet web"}
	if got := asked(); !slices.Equal(got, want) {
		t.Errorf("asked %q", got)
	}
	asked = program(t, alive("a", "b"), answer("a", good), answer("b", good))
	if _, err := Ask(t.Context(), "web", Options{}); err != nil {
		t.Fatal(err)
	}
	if got := asked(); len(got) != 3 || got[2] != "query -format json -relay-factor 1 -node b fleet web" {
		t.Errorf("asked %q", got)
	}
}

// TestAskFails: what serf prints that can't be read is told in one short line.
func TestAskFails(t *testing.T) {
	noise := strings.Repeat("\x1b]0;x\a noise\n", 10_000)
	for name, c := range map[string]struct{ members, answer, want string }{
		"no members":      {noise, "", "serf members: its answer is not JSON: "},
		"other members":   {`{"members":"a"}`, "", "serf members: its answer is not JSON: "},
		"no answers":      {alive("a"), noise, "serf query: its answer is not JSON: "},
		"a list":          {alive("a"), "[]", "serf query: its answer is not JSON: "},
		"no texts":        {alive("a"), `{"Responses":{"a":1}}`, "serf query: its answer is not JSON: "},
		"it breaks off":   {alive("a"), answer("a", good)[:30], "serf query: its answer is not JSON: "},
		"nothing printed": {alive("a"), "", "serf query: its answer is not JSON: "},
	} {
		t.Run(name, func(t *testing.T) {
			program(t, c.members, c.answer)
			_, err := Ask(t.Context(), "web", Options{})
			if err == nil || !strings.HasPrefix(err.Error(), c.want) || len(err.Error()) > 500 ||
				strings.ContainsAny(err.Error(), "\x1b\a\n") {
				t.Errorf("%q", err)
			}
		})
	}
	program(t, alive("a")) // it has no answer, and says so
	if _, err := Ask(t.Context(), "web", Options{}); err == nil || !strings.Contains(err.Error(), "answer-1") ||
		failure.Hint(err) == "" {
		t.Errorf("%v", err)
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := Ask(t.Context(), "web", Options{}); err == nil || !strings.Contains(failure.Hint(err), "PATH") {
		t.Errorf("without the program: %v", err)
	}
}

// TestLimited: of what is too much is kept the beginning, however it is written.
func TestLimited(t *testing.T) {
	for _, c := range []struct {
		limit int
		want  string
		more  bool
	}{{0, "", true}, {4, "abcd", true}, {6, "abcdef", false}, {7, "abcdef", false}} {
		l := &limited{left: c.limit}
		for _, part := range []string{"abc", "", "def"} {
			if n, err := io.Copy(l, strings.NewReader(part)); n != int64(len(part)) || err != nil {
				t.Errorf("%d: %d, %v", c.limit, n, err)
			}
		}
		if got := l.text.String(); got != c.want || l.more != c.more {
			t.Errorf("%d: %q, more %v", c.limit, got, l.more)
		}
	}
}

// FuzzAnswers: whatever nodes answer, each has one result at most, by its own name, and
// nothing that is longer than a result may be.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte(answer("a", good, "b", "", "a", "{}")))
	f.Add([]byte(answer("", `{"result":"good","error":"\u0000\u001b[2J\u202e"}`)))
	f.Add([]byte(`{"Responses":{"a":"` + strings.Repeat("x", 5000) + `"}}`))
	f.Add([]byte(alive("a", "a", "-x")))
	f.Fuzz(func(t *testing.T, data []byte) {
		var out struct{ Responses map[string]string }
		if json.Unmarshal(data, &out) != nil {
			return
		}
		all := results(out.Responses)
		seen := map[string]bool{}
		for _, r := range all {
			_, asked := out.Responses[r.Node]
			if seen[r.Node] || !asked || r.Result == "" {
				t.Errorf("%+v", r)
			}
			seen[r.Node] = true
			if len(r.Error) > 8*fleet.MaxResult || len(r.Version) > 8*fleet.MaxResult {
				t.Errorf("an error of %d bytes", len(r.Error))
			}
		}
		if len(all) != len(out.Responses) {
			t.Errorf("%d results of %d", len(all), len(out.Responses))
		}
		state := fleet.Heard{Results: all, Members: []string{"a"}}.Rollout("web", "")
		if n := len(state.Hosts); n < len(all) && n < 1 {
			t.Errorf("%d hosts", n)
		}
		_ = missing([]string{"a"}, out.Responses)
		_ = said(&limited{}, &limited{text: *bytes.NewBuffer(data)})
	})
}
