package event

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"
	"testing"

	"stretcher/internal/text/failure"
)

func payload(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// reading is what Read is given, and what becomes of it.
type reading struct {
	name     string
	args     []string
	stdin    string
	terminal bool
	env      map[string]string
	want     string // URL; "" = nothing to do
	event    string
	class    error // nobody can tell what event it is
	problem  error // of an event that is known all the same
}

func TestRead(t *testing.T) {
	const url = "s3://bucket/app.yml"
	consul := func(id, payload string) string {
		return `{"ID":"` + id + `","Name":"deploy","Payload":` + payload + `,"NodeFilter":"","Version":1,"LTime":7}`
	}
	good := `"` + payload(url) + `"`
	serf := map[string]string{"SERF_EVENT": "user", "SERF_USER_EVENT": "deploy", "SERF_USER_LTIME": "9"}
	watch := map[string]string{"CONSUL_INDEX": "123"}
	both := map[string]string{"CONSUL_INDEX": "123", "SERF_EVENT": "user", "SERF_USER_EVENT": "deploy"}
	for _, tc := range []reading{
		{name: "argument", args: []string{url}, terminal: true, want: url, event: "argument"},
		{name: "argument with spaces", args: []string{" " + url + "\n"}, want: url, event: "argument"},
		{name: "two arguments", args: []string{url, url}, class: failure.ErrUsage},
		{name: "terminal", terminal: true, class: failure.ErrUsage},
		{name: "line", stdin: url + "\n", want: url, event: "stdin"},
		{name: "serf below consul", stdin: url + "\n", env: both, want: url, event: "serf deploy "},
		{name: "consul below serf", stdin: "[" + consul("a", good) + "]", env: both, want: url, event: "consul deploy a"},
		{name: "line without LF", stdin: url, want: url, event: "stdin"},
		{name: "line with CRLF", stdin: url + "\r\n", want: url, event: "stdin"},
		{name: "line with spaces", stdin: "  " + url + " \t\n", want: url, event: "stdin"},
		{name: "first of two lines", stdin: url + "\nmore\n", want: url, event: "stdin"},
		{name: "byte order mark", stdin: "\ufeff" + url + "\n", want: url, event: "stdin"},
		{name: "nothing", stdin: "", class: failure.ErrMalformed},
		{name: "blank", stdin: " \r\n", class: failure.ErrMalformed},
		{name: "control characters", stdin: "s3://b/\x1b[2J\n", class: failure.ErrMalformed},
		{name: "spaces within", stdin: "s3://b/a b\n", want: "s3://b/a b", event: "stdin"},
		{name: "as much as can be", stdin: url + strings.Repeat("\n", MaxSize-len(url)), want: url, event: "stdin"},
		{name: "too much", stdin: strings.Repeat("x", MaxSize+1), class: failure.ErrMalformed},

		{name: "consul, empty array", stdin: "[]", env: watch},
		{name: "consul, null", stdin: "null\n", env: watch},
		{name: "consul, empty array without the variable", stdin: "[]\n"},
		{name: "consul, one", stdin: "[" + consul("u1", good) + "]\n", env: watch, want: url, event: "consul deploy u1"},
		{name: "consul without the variable", stdin: "\n [" + consul("u1", good) + "]", want: url, event: "consul deploy u1"},
		{name: "consul, newest last", stdin: "[" + consul("u1", `"`+payload("s3://old/x")+`"`) + "," + consul("u2", good) +
			"]", env: watch, want: url, event: "consul deploy u2"},
		{name: "consul, bad old event", stdin: "[" + consul("u1", `"!"`) + "," + consul("u2", good) + "]", env: watch,
			want: url, event: "consul deploy u2"},
		{name: "consul, odd old LTime", stdin: `[{"ID":"u1","Payload":"","LTime":"x"},` + consul("u2", good) + "]",
			env: watch, want: url, event: "consul deploy u2"},
		{name: "consul, CRLF in payload", stdin: "[" + consul("u1", `"`+payload(" "+url+"\r\n")+`"`) + "]", want: url,
			event: "consul deploy u1"},
		{name: "consul, null payload", stdin: "[" + consul("u1", "null") + "]", env: watch, problem: failure.ErrMalformed,
			event: "consul deploy u1"},
		{name: "consul, empty payload", stdin: "[" + consul("u1", `""`) + "]", env: watch, problem: failure.ErrMalformed,
			event: "consul deploy u1"},
		{name: "consul, payload not base64", stdin: "[" + consul("u1", `"%%"`) + "]", env: watch,
			problem: failure.ErrMalformed, event: "consul deploy u1"},
		{name: "consul, payload a number", stdin: "[" + consul("u1", "7") + "]", env: watch,
			problem: failure.ErrMalformed, event: "consul deploy u1"},
		{name: "consul, an object", stdin: "{}", env: watch, class: failure.ErrMalformed},
		{name: "consul, nothing", stdin: "", env: watch, class: failure.ErrMalformed},
		{name: "consul, cut", stdin: "[" + consul("u1", good), class: failure.ErrMalformed},

		{name: "serf", stdin: url, env: serf, want: url, event: "serf deploy 9"},
		{name: "serf, no payload", stdin: "", env: serf, class: failure.ErrMalformed},
		{name: "serf, members", stdin: "node\t127.0.0.1\n", env: map[string]string{"SERF_EVENT": "member-join"}},
		{name: "serf, query", stdin: url, env: map[string]string{"SERF_EVENT": "query", "SERF_QUERY_NAME": "deploy",
			"SERF_QUERY_LTIME": "4"}, want: url, event: "serf query deploy 4"},
		{name: "serf, another query", stdin: url, env: map[string]string{"SERF_EVENT": "query", "SERF_QUERY_NAME": "load"}},
		{name: "serf, members, from a terminal", terminal: true, env: map[string]string{"SERF_EVENT": "member-leave"},
			class: failure.ErrUsage},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e, err := Read(t.Context(), Input{Args: tc.args, Stdin: strings.NewReader(tc.stdin), Terminal: tc.terminal,
				Getenv: func(k string) string { return tc.env[k] }})
			tc.check(t, e, err)
		})
	}
}

// check compares what Read has made of it.
func (tc reading) check(t *testing.T, e *Event, err error) {
	t.Helper()
	switch {
	case tc.class != nil:
		if !errors.Is(err, tc.class) || e != nil {
			t.Fatalf("event %+v, err = %v, want %v", e, err, tc.class)
		}
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("not one line: %q", err)
		}
	case err != nil:
		t.Fatal(err)
	case tc.problem != nil:
		if e == nil || !errors.Is(e.Problem, tc.problem) || e.String() != tc.event ||
			strings.Contains(e.Problem.Error(), "\n") {
			t.Errorf("event %+v, want %s with the problem %v", e, tc.event, tc.problem)
		}
	case tc.want == "":
		if e != nil {
			t.Errorf("event %+v, want none", e)
		}
	case e == nil || e.URL != tc.want || e.String() != tc.event:
		t.Errorf("event %+v (%s), want %s (%s)", e, e, tc.want, tc.event)
	}
}

// TestOlderEvents: from the newest event there is a way to each that is older,
// usable or not.
func TestOlderEvents(t *testing.T) {
	in := `[{"ID":"a","Name":"deploy","Payload":"` + payload("s3://b/1") + `","LTime":1},` +
		`{"ID":"b","Name":"deploy","Payload":null,"LTime":2},` +
		`{"ID":"c","Name":"deploy","Payload":"` + payload("s3://b/3") + `","LTime":3}]`
	e, err := Read(t.Context(), Input{Stdin: strings.NewReader(in), Getenv: func(string) string { return "" }})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for ; e != nil; e = e.Previous() {
		got = append(got, fmt.Sprintf("%s %s %q %t %d", e.ID, e.LTime, e.URL, e.Problem == nil, len(e.Older)))
	}
	want := []string{`c 3 "s3://b/3" true 2`, `b 2 "" false 1`, `a 1 "s3://b/1" true 0`}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestKeys(t *testing.T) {
	serf := Event{Source: Serf, Name: "deploy", LTime: "9", URL: "s3://b/k", Agent: "boot:1"}
	query := serf
	query.Query, query.Name = true, "query deploy"
	for _, tc := range []struct {
		name string
		a, b Event
		same bool
	}{
		{"consul", Event{Source: Consul, ID: "u1", URL: "a"}, Event{Source: Consul, ID: "u1", URL: "b"}, true},
		{"consul, another id", Event{Source: Consul, ID: "u1"}, Event{Source: Consul, ID: "u2"}, false},
		{"serf", serf, serf, true},
		{"serf, agent started anew", serf, with(serf, func(e *Event) { e.Agent = "boot:2" }), false},
		{"serf, machine started anew", serf, with(serf, func(e *Event) { e.Agent = "other:1" }), false},
		{"serf, another time", serf, with(serf, func(e *Event) { e.LTime = "10" }), false},
		{"serf, another payload", serf, with(serf, func(e *Event) { e.URL += "2" }), false},
		{"serf, another name", serf, with(serf, func(e *Event) { e.Name += "2" }), false},
		{"serf, a query", serf, query, false},
	} {
		if a, b := tc.a.Key(), tc.b.Key(); (a == b) != tc.same || a == "" {
			t.Errorf("%s: %q, %q", tc.name, a, b)
		}
	}
	for _, e := range []Event{
		{Source: Argument}, {Source: Stdin}, {Source: Rollback}, {Source: Malformed}, {Source: Consul}, {Source: Consul,
			LTime: "3"},
		{Source: Serf, Agent: "boot:1"}, {Source: Serf, ID: "u1", Agent: "boot:1"}, {Source: Stdin, ID: "u1", LTime: "3"},
		with(serf, func(e *Event) { e.Agent = "" }),
	} {
		if key := e.Key(); key != "" {
			t.Errorf("%+v has key %q", e, key)
		}
	}
}

// with is e, changed.
func with(e Event, change func(*Event)) Event {
	change(&e)
	return e
}

// TestAgent: who stands between the agent and this process may say which agent
// it is; nobody is asked about events of other kinds.
func TestAgent(t *testing.T) {
	user := map[string]string{"SERF_EVENT": "user", "SERF_USER_EVENT": "deploy", "SERF_USER_LTIME": "9"}
	query := map[string]string{"SERF_EVENT": "query", "SERF_QUERY_NAME": "deploy", "SERF_QUERY_LTIME": "9"}
	told := map[string]string{"SERF_EVENT": "user", "SERF_USER_LTIME": "9", AgentVariable: "told"}
	for _, tc := range []struct {
		name string
		env  map[string]string
		want string
	}{
		{"user event", user, "asked"}, {"query", query, "asked"}, {"told", told, "told"},
		{"a line", map[string]string{}, ""}, {"consul", map[string]string{"CONSUL_INDEX": "1"}, ""},
	} {
		stdin := "s3://b/k"
		if tc.name == "consul" {
			stdin = `[{"ID":"a","Payload":"` + payload(stdin) + `"}]`
		}
		e, err := Read(t.Context(), Input{Stdin: strings.NewReader(stdin), Agent: func() string { return "asked" },
			Getenv: func(k string) string { return tc.env[k] }})
		if err != nil || e.Agent != tc.want {
			t.Errorf("%s: event %+v, err = %v", tc.name, e, err)
		}
	}
}

// TestMessages: what is wrong with an event is said without what is in it.
func TestMessages(t *testing.T) {
	for stdin, want := range map[string]string{
		"":                          "consul events: standard input is empty, expected a JSON array",
		"{}":                        "consul events: a JSON object where an array of events is expected",
		`[{"ID":"u1"}]`:             `consul event "u1" has no usable payload: a manifest URL is expected`,
		`[{"ID":"u1","Payload":7}]`: `consul event "u1": payload is not a string`,
		"s3://b/k?secret":           "consul events: invalid character 's' looking for beginning of value",
	} {
		e, err := Read(t.Context(), Input{Stdin: strings.NewReader(stdin), Getenv: func(k string) string {
			return map[string]string{"CONSUL_INDEX": "1"}[k]
		}})
		if e != nil {
			err = e.Problem
		}
		if err == nil || err.Error() != want {
			t.Errorf("%q:\ngot  %v\nwant %s", stdin, err, want)
		}
	}
}

// TestReadIsInterrupted: a pipe that nobody writes to or closes keeps nobody
// waiting.
func TestReadIsInterrupted(t *testing.T) {
	r, w := io.Pipe()
	defer w.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(failure.Signal{Signal: syscall.SIGTERM})
	e, err := Read(ctx, Input{Stdin: r, Getenv: func(string) string { return "" }})
	if e != nil || !errors.As(err, new(failure.Signal)) {
		t.Errorf("event %+v, err = %v", e, err)
	}
}

// FuzzSerf: whatever a Serf agent puts into the environment, the key of its
// events is told from that of others by their payload.
func FuzzSerf(f *testing.F) {
	f.Add("user", "deploy", "9", "s3://b/k")
	f.Add("query", "deploy", "4", "s3://b/k")
	f.Add("member-join", "", "", "node\t127.0.0.1\n")
	f.Add("user", "a:b", "x", "[")
	f.Fuzz(func(t *testing.T, kind, name, ltime, payload string) {
		env := map[string]string{"SERF_EVENT": kind, "SERF_USER_EVENT": name, "SERF_QUERY_NAME": name,
			"SERF_USER_LTIME": ltime, "SERF_QUERY_LTIME": ltime}
		in := Input{Stdin: strings.NewReader(payload), Getenv: func(k string) string { return env[k] }}
		in.Agent = func() string { return "boot:1" }
		e, err := Read(t.Context(), in)
		if e == nil || err != nil {
			return
		}
		other := with(*e, func(e *Event) { e.URL += "x" })
		later := with(*e, func(e *Event) { e.Agent = "boot:2" })
		if key := e.Key(); key != "" && e.Source == Serf && (key == other.Key() || key == later.Key()) {
			t.Errorf("key %q of two events", key)
		}
		if e.Query && (kind != "query" || name != "deploy") {
			t.Errorf("a %q %q is answered", kind, name)
		}
	})
}

func FuzzRead(f *testing.F) {
	for _, s := range []string{"", "[]", "null", "s3://b/k\r\n", `[{"ID":"a","Payload":"czM6Ly9iL2s="}]`,
		`[{"Payload":{}}]`, "\xef\xbb\xbf[", "\x00"} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, stdin string, watch bool) {
		in := Input{Stdin: strings.NewReader(stdin), Getenv: func(k string) string {
			if watch && k == "CONSUL_INDEX" {
				return "1"
			}
			return ""
		}}
		e, err := Read(t.Context(), in)
		if err != nil && e != nil {
			t.Error("both an event and an error")
		}
		usable := e != nil && e.Problem == nil
		if usable && (e.URL == "" || e.URL != strings.TrimSpace(e.URL) || strings.ContainsAny(e.URL, "\r\n\x00")) {
			t.Errorf("URL = %q", e.URL)
		}
		in.Stdin = strings.NewReader(stdin)
		if again, _ := Read(t.Context(), in); e != nil && (again == nil || again.Key() != e.Key()) {
			t.Errorf("key %q, then another", e.Key())
		}
		for e != nil && err == nil {
			err = e.Problem
			e = e.Previous()
		}
		if err != nil && !errors.Is(err, failure.ErrMalformed) {
			t.Errorf("%v has no class", err)
		}
	})
}
