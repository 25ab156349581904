package trace

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// arrived is what a collector gets of a run, and what is told of it.
func arrived(t *testing.T, env ...string) (r *http.Request, spans int, odd []string) {
	t.Helper()
	s := serve(t)
	for i := range env {
		env[i] = strings.ReplaceAll(env[i], "SERVER", strings.TrimPrefix(s.URL, "http://"))
	}
	environment(t, env...)
	tr, err := Begin(Run{ID: runID, Version: "2.0.0", Began: began}, os.Getenv)
	if err != nil {
		t.Fatalf("%v: %v", env, err)
	}
	if tr != nil {
		odd = tr.Odd
	}
	if err := tr.Export(t.Context(), Span{Name: "x", Began: began, Ended: began}); err != nil {
		t.Fatalf("%v: %v", env, err)
	}
	if len(s.requests) == 0 {
		return nil, 0, odd
	}
	return s.requests[0], len(s.spans), odd
}

const to = "OTEL_EXPORTER_OTLP_ENDPOINT=http://SERVER"

// TestWhere: the general URL is that of a directory, and that for traces is taken as it
// is; of each setting, the variable for traces wins.
func TestWhere(t *testing.T) {
	traces := func(s string) string { return "OTEL_EXPORTER_OTLP_TRACES_" + s }
	general := func(s string) string { return "OTEL_EXPORTER_OTLP_" + s }
	for _, tc := range []struct {
		env  []string
		want string
	}{
		{[]string{to}, "/v1/traces"},
		{[]string{to + "/"}, "/v1/traces"},
		{[]string{" " + to + "/a/b "}, "/a/b/v1/traces"},
		{[]string{to + "/a/b/"}, "/a/b/v1/traces"},
		{[]string{to + "/a%2Fb"}, "/a%2Fb/v1/traces"},
		{[]string{to + "/a?key=1#part"}, "/a/v1/traces?key=1"},
		{[]string{strings.Replace(to, "http:", "HTTP:", 1)}, "/v1/traces"},
		{[]string{traces("ENDPOINT=http://SERVER")}, "/"},
		{[]string{traces("ENDPOINT=http://SERVER/")}, "/"},
		{[]string{traces("ENDPOINT=http://SERVER/a/")}, "/a/"},
		{[]string{traces("ENDPOINT=http://SERVER/a//b?key=1")}, "/a//b?key=1"},
		{[]string{traces("ENDPOINT=http://SERVER/mine"), general("ENDPOINT=http://127.0.0.1:1/all")}, "/mine"},
		{[]string{traces("ENDPOINT= "), to}, "/v1/traces"},
		// Neither of these is a way to have https:// mean http://, or the other way round.
		{[]string{to, general("INSECURE=false")}, "/v1/traces"},
		{[]string{to, traces("INSECURE=false"), general("INSECURE=true")}, "/v1/traces"},
		{[]string{to, traces("PROTOCOL=HTTP/Protobuf"), general("PROTOCOL=grpc")}, "/v1/traces"},
		{[]string{to, traces("CERTIFICATE= "), general("CLIENT_KEY=")}, "/v1/traces"},
	} {
		tc.env[0] = strings.TrimSpace(tc.env[0])
		r, spans, odd := arrived(t, tc.env...)
		if r == nil || r.URL.String() != tc.want || r.Method != http.MethodPost || spans != 1 || len(odd) > 0 {
			t.Errorf("%v: %+v with %d spans; passed over: %q", tc.env, r, spans, odd)
		}
	}
}

// TestInsecure: what is asked for over https:// is not sent in the clear.
func TestInsecure(t *testing.T) {
	for _, variable := range []string{"OTEL_EXPORTER_OTLP_INSECURE", "OTEL_EXPORTER_OTLP_TRACES_INSECURE"} {
		s := serve(t)
		environment(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+strings.Replace(s.URL, "http:", "https:", 1), variable+"=true")
		if _, err := export(t.Context(), t); err == nil || len(s.requests) > 0 {
			t.Errorf("%s: %d requests, %v", variable, len(s.requests), err)
		}
	}
}

// TestWhoAsks: headers, and who a URL names, let somebody in.
func TestWhoAsks(t *testing.T) {
	basic := func(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }
	const all, own = "OTEL_EXPORTER_OTLP_HEADERS=", "OTEL_EXPORTER_OTLP_TRACES_HEADERS="
	as := func(user string) string { return "OTEL_EXPORTER_OTLP_ENDPOINT=http://" + user + "@SERVER" }
	for _, tc := range []struct {
		env  []string
		name string
		want string
	}{
		{[]string{to, all + "x-key=a, x-other = b%20%3Dc ,"}, "X-Other", "b =c"},
		{[]string{to, all + "x-key=a=b=="}, "X-Key", "a=b=="},
		{[]string{to, all + "x-key=a", own + "x-key=b"}, "X-Key", "b"},
		{[]string{to, all + "x-key=a", own + "x-other=b"}, "X-Key", ""}, // one list or the other
		{[]string{to, all + "content-type=text/plain"}, "Content-Type", "application/x-protobuf"},
		{[]string{to, all + "Content-Encoding=gzip"}, "Content-Encoding", ""},
		{[]string{to, all + "user-agent=me"}, "User-Agent", "me"},
		{[]string{as("me:se%40same")}, "Authorization", basic("me:se@same")},
		{[]string{as("token")}, "Authorization", basic("token:")},
		{[]string{as("me:sesame"), all + "authorization=Bearer%20x"}, "Authorization", "Bearer x"},
	} {
		r, _, odd := arrived(t, tc.env...)
		if r == nil || r.Header.Get(tc.name) != tc.want || len(odd) > 0 {
			t.Errorf("%v: %+v, want %s: %s; passed over: %q", tc.env, r, tc.name, tc.want, odd)
		}
	}
	if r, _, _ := arrived(t, to, all+"host=collector.example.com"); r == nil || r.Host != "collector.example.com" {
		t.Errorf("asked for as %+v", r)
	}
	if r, _, _ := arrived(t, to); r == nil || !strings.HasPrefix(r.UserAgent(), "stretcher/2.0.0 OTel OTLP Exporter Go/") {
		t.Errorf("asked for by %+v", r)
	}
}

// TestPacked: gzip is what OpenTelemetry knows; with another word spans are sent as they
// are, and that is told.
func TestPacked(t *testing.T) {
	const all, own = "OTEL_EXPORTER_OTLP_COMPRESSION=", "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION="
	for _, tc := range []struct {
		env  []string
		gzip bool
		odd  string
	}{
		{[]string{to, all + "gzip"}, true, ""},
		{[]string{to, all + " GZIP "}, true, ""},
		{[]string{to, all + "none"}, false, ""},
		{[]string{to, all + "gzip", own + "none"}, false, ""},
		{[]string{to, all + "zstd", own + "gzip"}, true, ""},
		{[]string{to, all + "zstd"}, false, all[:len(all)-1] + ` is "zstd": only gzip is known here, and none`},
		{[]string{to, all + "gzip", own + "snappy"}, false, own[:len(own)-1] + ` is "snappy": only gzip`},
	} {
		r, spans, odd := arrived(t, tc.env...)
		if r == nil || (r.Header.Get("Content-Encoding") == "gzip") != tc.gzip || spans != 1 {
			t.Errorf("%v: %+v with %d spans", tc.env, r, spans)
		}
		if got := strings.Join(odd, ""); !strings.HasPrefix(got, tc.odd) || (got == "") != (tc.odd == "") {
			t.Errorf("%v: passed over: %q, want %q", tc.env, odd, tc.odd)
		}
	}
}

// TestWhether: the words that turn traces on and off, in any case, and in lists.
func TestWhether(t *testing.T) {
	for value, want := range map[string]struct{ sent, odd bool }{
		"OTEL_TRACES_EXPORTER=OTLP": {true, false}, "OTEL_TRACES_EXPORTER=otlp , ": {true, false},
		"OTEL_TRACES_EXPORTER=": {true, false}, "OTEL_TRACES_EXPORTER= , ": {true, false},
		"OTEL_TRACES_EXPORTER=otlp,console": {true, true}, "OTEL_TRACES_EXPORTER=Console, Otlp": {true, true},
		"OTEL_TRACES_EXPORTER=None": {false, false}, "OTEL_TRACES_EXPORTER= NONE,none": {false, false},
		"OTEL_SDK_DISABLED=TRUE": {false, false}, "OTEL_SDK_DISABLED= True ": {false, false},
		"OTEL_SDK_DISABLED=False": {true, false}, "OTEL_SDK_DISABLED=": {true, false},
		"OTEL_SDK_DISABLED=1": {true, true}, "OTEL_SDK_DISABLED=yes": {true, true},
	} {
		r, _, odd := arrived(t, to, value)
		name, _, _ := strings.Cut(value, "=")
		if (r != nil) != want.sent || (len(odd) == 1 && strings.HasPrefix(odd[0], name)) != want.odd || len(odd) > 1 {
			t.Errorf("%q: sent %v, passed over: %q", value, r != nil, odd)
		}
	}
	for _, value := range []string{"zipkin", "none,otlp", "otlp, None", "console,logging"} {
		environment(t, "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1", "OTEL_TRACES_EXPORTER="+value)
		tr, err := Begin(Run{}, os.Getenv)
		if tr != nil || err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", value)) {
			t.Errorf("%q: %v, %v", value, tr, err)
		}
	}
}

// TestHowLong: a time is in milliseconds, and has a bound, whatever is asked for.
func TestHowLong(t *testing.T) {
	for value, want := range map[string]struct {
		limit time.Duration
		odd   bool
	}{
		"": {defaultLimit, false}, " ": {defaultLimit, false},
		"1500": {1500 * time.Millisecond, false}, " 1 ": {time.Millisecond, false},
		"3600000": {maxLimit, false}, "99999999999": {maxLimit, false}, "99999999999999999999": {maxLimit, false},
		"x": {defaultLimit, true}, "0": {defaultLimit, true}, "-5": {defaultLimit, true}, "10s": {defaultLimit, true},
		"1.5": {defaultLimit, true}, "-99999999999999999999": {defaultLimit, true},
	} {
		for _, name := range []string{"OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT"} {
			s, err := variables(func(key string) string { return map[string]string{name: value}[key] }).settings()
			if err != nil || s.limit != want.limit || (len(s.odd) > 0) != want.odd {
				t.Errorf("%s=%q: %v, passed over: %q, %v", name, value, s.limit, s.odd, err)
			}
		}
	}
	both := variables(func(key string) string {
		return map[string]string{"OTEL_EXPORTER_OTLP_TIMEOUT": "x", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "7"}[key]
	})
	if s, err := both.settings(); err != nil || s.limit != 7*time.Millisecond || len(s.odd) > 0 {
		t.Errorf("%v, passed over: %q, %v", s.limit, s.odd, err)
	}
}

// TestSecrets: what lets somebody in is known, however it is written.
func TestSecrets(t *testing.T) {
	for value, want := range map[string]string{
		"HEADERS=authorization=Bearer%20sesame, x=y": "Bearer%20sesame|Bearer sesame|sesame|y|y",
		"TRACES_HEADERS=x=y=":                        "y=|y=",
		"HEADERS=Authorization: Basic sesame=":       "Authorization:|Basic|sesame=|Authorization: Basic sesame=",
		"HEADERS=sesame":                             "sesame|sesame",
		"ENDPOINT=http://me:se%40same@h":             "se%40same|se@same",
		"TRACES_ENDPOINT= http://token@h ":           "token|token",
		"ENDPOINT=http://h":                          "",
		"ENDPOINT=::":                                "",
	} {
		name, value, _ := strings.Cut(value, "=")
		name = "OTEL_EXPORTER_OTLP_" + name
		got := Secrets(func(key string) string { return map[string]string{name: value}[key] })[name]
		if strings.Join(got, "|") != want {
			t.Errorf("%s=%s: got %q", name, value, got)
		}
	}
}

// TestHeaders: nothing of what is no list of headers is repeated, whatever is wrong.
func TestHeaders(t *testing.T) {
	for _, headers := range []string{
		"sesame", "Authorization: Basic sesame=", "authorization:sesame=", "x sesame=1", "a=1,sésame=2", "sesame\x00=1",
		"=sesame", "a=%sesame", "(sesame)=1", "a=1,sesame", "a=sesame%0d%0ax:1", "a=sesame\x7f",
	} {
		for _, variable := range []string{"OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"} {
			env := map[string]string{"OTEL_TRACES_EXPORTER": "otlp", variable: headers}
			_, err := Begin(Run{}, func(key string) string { return env[key] })
			if err == nil || err.Error() != variable+" is no list of NAME=VALUE" {
				t.Errorf("%s=%q: %v", variable, headers, err)
			}
		}
	}
	for _, name := range []string{"x-api-key", "Authorization", "a.b_c~!#$%&'*+^`|9"} {
		if !isName(name) {
			t.Errorf("%q is no header", name)
		}
	}
}
