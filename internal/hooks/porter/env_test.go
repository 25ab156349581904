package porter

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"stretcher/internal/hooks"
)

func TestAdded(t *testing.T) {
	masked := map[string]string{}
	s := scope{Deployment: hooks.Deployment{
		Name: "app", Version: "7",
		Environ: []string{"SET=1", "SET=caller", "EMPTY=", "DOCKER_ENV_FILE=/f",
			"HAPROXY_STATS_PASSWORD=hidden", "HAPROXY_STATS_USERNAME=not for programs", "OTHER=x"},
		Base:        []string{"DOCKER_ENV_FILE=/f", "HAPROXY_STATS_PASSWORD=hidden", "HAPROXY_STATS_URL=not readable"},
		ManifestEnv: []string{"FOO=manifest", "KEPT=manifest"}, Own: []string{"STRETCHER_RUN_ID=r"},
	},
		file: Environment{"FOO": ptr("file"), "FILE": ptr("file"), "PORTER_SERVICE_NAME": ptr("other")},
	}
	e := Entry{Environment: Environment{"FOO": ptr("entry"), "SET": nil, "EMPTY": nil, "UNSET": nil, "LINES": ptr("a\nb")}}
	got := s.added(&e, func(name, value string) { masked[name] = value })
	want := []string{
		"DOCKER_ENV_FILE=/f", "EMPTY=", "FILE=file", "FOO=entry", "HAPROXY_STATS_PASSWORD=hidden",
		"KEPT=manifest", "LINES=a\nb",
		"PORTER_SERVICE_NAME=other", "PORTER_SERVICE_VERSION=7", "SET=caller", "STRETCHER_RUN_ID=r",
	}
	slices.Sort(got)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("added = %q\nwant %q", got, want)
	}
	for name, value := range map[string]string{"FOO": "entry", "FILE": "file", "SET": "caller", "LINES": "a\nb",
		"HAPROXY_STATS_PASSWORD": "hidden"} {
		if masked[name] != value {
			t.Errorf("masked[%q] = %q, want %q", name, masked[name], value)
		}
	}
	if _, ok := masked["DOCKER_ENV_FILE"]; ok {
		t.Error("a path was masked")
	}
}

func TestParseEnvFile(t *testing.T) {
	for _, tt := range []struct {
		data string
		want Environment
		err  string
	}{
		{"", Environment{}, ""},
		{"\ufeffA=b\r\n# c\n\n  # d\n  B = c=\"d\" \nC=\nD", nil, "line 5"},
		{"\ufeffA=b\r\n# c\n\n  # d\n  B=c=\"d\" # e\nC=\nD\nE \n",
			Environment{"A": ptr("b"), "B": ptr(`c="d" # e`), "C": ptr(""), "D": nil, "E": nil}, ""},
		{"A=1\nA=2", Environment{"A": ptr("2")}, ""},
		{"A=1\n=secret", nil, "line 2 is not NAME=value"},
		{"export A=secret", nil, "line 1 is not NAME=value"},
		{"A=sec\x00ret", nil, "line 1 has a NUL"},
	} {
		got, err := ParseEnvFile([]byte(tt.data))
		if tt.err == "" && (err != nil || !reflect.DeepEqual(got, tt.want)) {
			t.Errorf("%q: %v, %v", tt.data, got, err)
		}
		if tt.err != "" && (err == nil || got != nil || !strings.Contains(err.Error(), tt.err) ||
			strings.Contains(err.Error(), "sec")) {
			t.Errorf("%q: %v, %v; want %q", tt.data, got, err, tt.err)
		}
	}
}

func TestSplit(t *testing.T) {
	long := "LONG=" + strings.Repeat("x", maxEnvLine)
	env := []string{"A=b c", "E=", "LF=a\nb", "CR=a\r", "BAD=\xff", long}
	file, inherited, err := split(env, []string{"A=engine", "CR=a\r"})
	if string(file) != "A=b c\nE=\n" || !reflect.DeepEqual(inherited, env[2:]) || err != nil {
		t.Errorf("split = %q, %.100q, %v", file, inherited, err)
	}
	for _, env := range []string{"PATH=/x\n/y", "A B=c", "A*=c", "#A=c"} {
		_, _, err := split([]string{env}, []string{"PATH=/bin"})
		if err == nil || strings.Contains(err.Error(), "/x") {
			t.Errorf("split(%q): %v", env, err)
		}
	}
}

// FuzzParseEnvFile: what is read and written again reads the same, and an
// error leaves nothing.
func FuzzParseEnvFile(f *testing.F) {
	for _, s := range []string{"A=b\n#c\nD", "A=\r\n", "\ufeff A=b", "=x", "\ufeff\ufeff", "A\x00=b", "A=b\\\nc"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		env, err := ParseEnvFile(data)
		if err != nil {
			if env != nil || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v with error %q", env, err)
			}
			return
		}
		var text []byte
		for _, name := range env.names() {
			text = append(text, name...)
			if v := env[name]; v != nil {
				text = append(text, "="+*v...)
				text = append(text, '\r')
			}
			text = append(text, '\n')
		}
		again, err := ParseEnvFile(text)
		if err != nil || !reflect.DeepEqual(env, again) {
			t.Errorf("%q read as %v; written and read as %v, %v", data, env, again, err)
		}
	})
}
