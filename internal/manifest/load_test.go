package manifest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"stretcher/internal/policy"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/yamldoc"
)

// served are the bytes that a test loader finds, by URL; "-> URL" redirects.
type served map[string]string

// loader returns a loader of what is served, and notes the requests that it
// makes, the warnings and the secrets.
func loader(s served, host *policy.Policy, env map[string]string) (l *Loader, requests, warnings *[]string,
	secrets map[string]string) {
	requests, warnings, secrets = &[]string{}, &[]string{}, map[string]string{}
	return &Loader{
		Policy: host,
		Fetch: func(_ context.Context, url string, limit int64, allow func(string) error) ([]byte, error) {
			for {
				if err := allow(url); err != nil {
					return nil, err
				}
				*requests = append(*requests, url)
				text, ok := s[url]
				if to, redirected := strings.CutPrefix(text, "-> "); redirected {
					url = to
					continue
				}
				if !ok || int64(len(text)) > limit {
					return nil, errors.New("no such object, or too large")
				}
				return []byte(text), nil
			}
		},
		Lookup: func(name string) (string, bool) { v, ok := env[name]; return v, ok },
		Secret: func(name, value string) { secrets[name] = value },
		Warn:   func(text string) { *warnings = append(*warnings, text) },
		Rules:  rules(),
	}, requests, warnings, secrets
}

// TestLoad: the policy is asked before each request, and what is refused is
// not requested.
func TestLoad(t *testing.T) {
	s := served{
		"https://a/app.yml": "name: app", "http://a/app.yml": "name: app", "https://b/app.yml": "name: app",
		"https://a/to-b": "-> https://b/app.yml", "https://a/to-http": "-> http://a/app.yml",
		"http://a/to-http": "-> http://a/app.yml", "HTTPS://a/to-http": "-> http://a/app.yml",
		"https://a/to-itself": "-> https://a/app.yml", "http://a/to-https": "-> https://a/app.yml",
	}
	onlyA := []string{"https://a/", "http://a/"}
	for _, tc := range []struct {
		url      string
		allow    []string
		requests []string
		err      string
		hint     bool
	}{
		{url: "https://a/app.yml", requests: []string{"https://a/app.yml"}},
		{url: "https://a/app.yml", allow: onlyA, requests: []string{"https://a/app.yml"}},
		{url: "https://b/app.yml", allow: onlyA, err: "refused by the host policy"},
		{url: "https://a/to-itself", allow: onlyA, requests: []string{"https://a/to-itself", "https://a/app.yml"}},
		{url: "https://a/to-b", requests: []string{"https://a/to-b", "https://b/app.yml"}},
		{url: "https://a/to-b", allow: onlyA, requests: []string{"https://a/to-b"},
			err: `manifest "https://b/app.yml" is not allowed`, hint: true},
		{url: "https://a/to-http", requests: []string{"https://a/to-http"}, err: "is not https"},
		{url: "HTTPS://a/to-http", requests: []string{"HTTPS://a/to-http"}, err: "is not https"},
		{url: "https://a/to-http", allow: onlyA, requests: []string{"https://a/to-http"}, err: "is not https"},
		{url: "http://a/to-http", allow: onlyA, requests: []string{"http://a/to-http", "http://a/app.yml"}},
		{url: "http://a/to-https", allow: onlyA, requests: []string{"http://a/to-https", "https://a/app.yml"}},
	} {
		l, requests, _, _ := loader(s, allowing(t, "manifests", tc.allow), nil)
		loaded, err := l.Load(t.Context(), tc.url)
		if !slices.Equal(*requests, tc.requests) {
			t.Errorf("%s with %q: requests %q, want %q", tc.url, tc.allow, *requests, tc.requests)
		}
		switch {
		case tc.err == "":
			if err != nil || loaded.Name != "app" || string(loaded.Raw) != "name: app" || loaded.URL != tc.url {
				t.Errorf("%s with %q: %+v, %v", tc.url, tc.allow, loaded, err)
			}
		case err == nil || loaded != nil || !strings.Contains(err.Error(), tc.err) || (failure.Hint(err) != "") != tc.hint:
			t.Errorf("%s with %q: %v, hint %q", tc.url, tc.allow, err, failure.Hint(err))
		case !errors.Is(err, policy.ErrRefused) && !errors.Is(err, failure.ErrRefused):
			t.Errorf("%s with %q: %v is no refusal", tc.url, tc.allow, err)
		}
	}
}

// allowing is a policy with one list, or with none.
func allowing(t *testing.T, key string, list []string) *policy.Policy {
	t.Helper()
	text := "{}"
	if list != nil {
		text = fmt.Sprintf("allow: {%s: [%s]}", key, strings.Join(list, ", "))
	}
	host, err := policy.Parse("policy.yml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return host
}

func TestLimitOfTheHost(t *testing.T) {
	big := "name: " + strings.Repeat("x", 100)
	for limit, good := range map[int64]bool{0: true, 50: false, 200: true, 2 * MaxSize: true} {
		host := &policy.Policy{}
		host.Limits.Manifest = 0
		if limit > 0 {
			if err := host.Limits.Manifest.UnmarshalText([]byte(strconv.FormatInt(limit, 10))); err != nil {
				t.Fatal(err)
			}
		}
		l, _, _, _ := loader(served{"s3://b/k": big}, host, nil)
		if _, err := l.Load(t.Context(), "s3://b/k"); (err == nil) != good {
			t.Errorf("limit %d: %v", limit, err)
		}
		if got := l.limit(); got > MaxSize || got <= 0 {
			t.Errorf("limit %d counts as %d", limit, got)
		}
	}
}

// TestVariablesOfTheHost: what may not be read is not, whether it is set or not,
// and whatever stands in for it.
func TestVariablesOfTheHost(t *testing.T) {
	for text, want := range map[string]string{
		`{{ env "GOOD" "x" }}`: "", `{{ must_env "GOOD" }}`: "", `{{ env "GOOD" "BAD" "x" }}`: "",
		`{{ env "BAD" "x" }}`: "BAD", `{{ must_env "BAD" }}`: "BAD", `{{ env "UNSET" "x" }}`: "UNSET",
		`{{ env "UNSET" "GOOD" "x" }}`: "UNSET", `"{{ env "BAD" }}{{ must_env "GOOD" }}"`: "BAD",
	} {
		host, err := policy.Parse("policy.yml", []byte("env: [GOOD]"))
		if err != nil {
			t.Fatal(err)
		}
		l, _, _, secrets := loader(served{"http://a/k": "version: " + text}, host,
			map[string]string{"GOOD": "fine", "BAD": "hidden"})
		loaded, err := l.Load(t.Context(), "http://a/k")
		if want == "" {
			if err != nil || loaded.Version != "fine" {
				t.Errorf("%s: %v", text, err)
			}
			continue
		}
		if !errors.Is(err, policy.ErrRefused) || !strings.Contains(err.Error(), fmt.Sprintf("variable %q", want)) ||
			strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: %v, want a refusal of %s", text, err, want)
		}
		if _, read := secrets["BAD"]; read {
			t.Errorf("%s: the variable was read", text)
		}
	}
}

// TestParseKept: bytes that are here already are under the policy as well.
func TestParseKept(t *testing.T) {
	l, requests, _, _ := loader(nil, allowing(t, "manifests", []string{"s3://a/"}), nil)
	if _, err := l.Parse([]byte("name: app"), nil, "s3://b/k", ""); !errors.Is(err, policy.ErrRefused) {
		t.Errorf("err = %v", err)
	}
	if loaded, err := l.Parse([]byte("name: app"), nil, "s3://a/k", ""); err != nil || loaded.Name != "app" {
		t.Errorf("%+v, %v", loaded, err)
	}
	if len(*requests) > 0 {
		t.Errorf("requests %q", *requests)
	}
}

// TestWarnings: a key that nobody reads is told of, or is an error with all
// the others.
func TestWarnings(t *testing.T) {
	doc := []byte("nmae: app\ncomands: {}\nreleases: {keep: 3}\n")
	l, _, warnings, _ := loader(nil, &policy.Policy{}, nil)
	if _, err := l.Parse(doc, nil, "s3://b/k", ""); err != nil {
		t.Fatal(err)
	}
	want := []string{
		`manifest "s3://b/k": line 1: nmae: unknown key, did you mean "name"?`,
		`manifest "s3://b/k": line 2: comands: unknown key, did you mean "commands"?`,
		`manifest "s3://b/k": line 3: releases: is read by sync_strategy rows only`,
	}
	if !slices.Equal(*warnings, want) {
		t.Errorf("warnings %q", *warnings)
	}
	l.Warn = nil
	_, err := l.Parse(append(doc, "dest_mode: 755\n"...), nil, "s3://b/k", "")
	for _, part := range []string{"line 1: nmae: unknown", `line 2: comands: unknown key, did you mean "commands"?; `,
		`line 4: dest_mode: "755"`} {
		if !errors.Is(err, failure.ErrMalformed) || !strings.Contains(err.Error(), part) || strings.Contains(err.Error(),
			"\n") {
			t.Errorf("err = %v, want %q in it", err, part)
		}
	}
	if _, err := l.Parse(doc, nil, "s3://b/k", ""); !errors.Is(err, failure.ErrMalformed) {
		t.Errorf("err = %v", err)
	}
}

// TestSections: a section is warned of when the strategy is one that does not
// read it, or could not become one that does.
func TestSections(t *testing.T) {
	for doc, want := range map[string]string{
		"native: {checksum: true}":                          "",
		"sync_strategy: diff\nnative: {checksum: true}":     "",
		"sync_strategy: copy\nnative: {checksum: true}":     "native: is read by sync_strategy diff only",
		"sync_strategy: copy\nnative: {checksum: false}":    "",
		"releases: {keep: 2}":                               "releases: is read by sync_strategy rows only",
		"sync_strategy: rows\nreleases: {keep: 2}":          "",
		"sync_strategy: rows\nrollback: false":              "",
		"sync_strategy: swap\nrollback: {rerun: [verify]}":  "rollback: is read by sync_strategy rows only",
		"sync_strategy: swap\nreleases: {shared: [a]}":      "releases: is read by sync_strategy rows only",
		"sync_strategy: swap\nreleases: {link: hard}":       "releases: is read by sync_strategy rows only",
		"sync_strategy: swap\nreleases: {}\nrollback: true": "",
	} {
		_, warnings, err := parsed(doc)
		got := ""
		for _, w := range warnings {
			w.Line = 0
			got += w.Error()
		}
		if err != nil || got != want {
			t.Errorf("%q: %q, %v, want %q", doc, got, err, want)
		}
	}
}

// TestSecrets: values of env are told of, its own and those that it passes on.
func TestSecrets(t *testing.T) {
	l, _, _, secrets := loader(nil, &policy.Policy{}, map[string]string{"PASSED": "from outside", "OTHER": "unused"})
	if _, err := l.Parse([]byte("env: {A: literal, PASSED: , UNSET: }"), nil, "s3://b/k", ""); err != nil {
		t.Fatal(err)
	}
	if len(secrets) != 2 || secrets["A"] != "literal" || secrets["PASSED"] != "from outside" {
		t.Errorf("secrets %q", secrets)
	}
}

// TestErrorsNameNoSecretOfTheURL: neither password nor query.
func TestErrorsNameNoSecretOfTheURL(t *testing.T) {
	const url = "https://u:sesame@h/app.yml?sig=sesame"
	l, _, warnings, _ := loader(served{url: "dest_mode: 1\nodd: 1"}, &policy.Policy{}, nil)
	_, err := l.Load(t.Context(), url)
	if err == nil || strings.Contains(err.Error()+strings.Join(*warnings, ""), "sesame") ||
		!strings.HasPrefix(err.Error(), `"https://`) {
		t.Errorf("err = %v, warnings %q", err, *warnings)
	}
}

// TestRepository: a manifest that comes by a pipe has nothing beside it.
func TestRepository(t *testing.T) {
	for url, want := range map[string]string{
		"file:///srv/app/app.yml": "/srv/app", "file:///dev/shm/app.yml": "/dev/shm", "file:///dev/fd/../shm/m": "/dev/shm",
		"file:///proc/self/fd/../../../srv/m": "/srv",

		"file:///dev/stdin": "", "file:///dev/fd/63": "", "file:///dev//fd/63": "", "file:///proc/self/fd/3": "",
		"file:///proc/12/fd/3": "", "https://a/dir/app.yml": "", "s3://bucket/dir/app.yml": "",
	} {
		if got := repository(url); got != want {
			t.Errorf("%s: %q, want %q", url, got, want)
		}
	}
	doc := "name: a\nhooks:\n  pre_pack: [{path: bin/hook}]\n"
	l, _, _, _ := loader(served{"file:///dev/stdin": doc, "file:///m": doc}, &policy.Policy{}, nil)
	_, err := l.Load(t.Context(), "file:///dev/stdin")
	if err == nil || !strings.Contains(err.Error(), "hooks.pre_pack[0].path") {
		t.Errorf("by a pipe: %v", err)
	}
	if _, err := l.Load(t.Context(), "file:///m"); err != nil {
		t.Errorf("in a file: %v", err)
	}
}

// TestManyProblems: a manifest with a mistake in each line says some of them.
func TestManyProblems(t *testing.T) {
	var wrong, unknown, doubts strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&wrong, " k%d: [a]\n", i)
		fmt.Fprintf(&unknown, "%s%d: a\n", strings.Repeat("k", 190), i)
		fmt.Fprintf(&doubts, " - \n")
	}
	for _, doc := range []string{
		"env:\n" + wrong.String(), "annotations:\n" + wrong.String(), unknown.String() + "name: [a]",
		"excludes:\n" + doubts.String() + "name: [a]",
	} {
		warned := 0
		l, _, _, _ := loader(served{"file:///m": doc}, &policy.Policy{}, nil)
		l.Warn = func(string) { warned++ }
		_, err := l.Load(t.Context(), "file:///m")
		if err == nil || len(err.Error()) > 2*maxWrong || warned > maxTold+1 {
			t.Errorf("%.20q: %d warnings, %.300q", doc, warned, err)
		}
		l.Warn = nil
		_, err = l.Load(t.Context(), "file:///m")
		if err == nil || len(err.Error()) > 2*maxWrong || !strings.HasSuffix(err.Error(), " more") {
			t.Errorf("%.20q: %.300q", doc, err)
		}
	}
}

// TestMistakeBehindManyWarnings: check is not led past a mistyped key by what
// changes nothing.
func TestMistakeBehindManyWarnings(t *testing.T) {
	for _, idle := range []int{0, 1, maxTold - 1, maxTold, maxTold + 1, 2 * maxTold} {
		doc := "name: app\nexcludes:\n" + strings.Repeat(" - \n", idle) + " - a\nexclude: [b]\n"
		told := 0
		l, _, _, _ := loader(served{"file:///m": doc}, &policy.Policy{}, nil)
		l.Warn, l.Idle = nil, func(string) { told++ }
		_, err := l.Load(t.Context(), "file:///m")
		if err == nil || !strings.Contains(err.Error(), "exclude: ") || told != min(idle, maxTold+1) {
			t.Errorf("behind %d: %d told, error = %v", idle, told, err)
		}
	}
}

// TestExplainsWhatIsTold: hints are looked for among all warnings, but not for
// each of thousands of problems.
func TestExplainsWhatIsTold(t *testing.T) {
	var problems, warnings []*yamldoc.Problem
	for i := range 2 * maxTold {
		key := fmt.Sprintf("commands.pre[%d]", i)
		problems = append(problems, &yamldoc.Problem{Key: key})
		for name, hint := range map[string]string{".x": "y", ".z": ""} {
			warnings = append(warnings, &yamldoc.Problem{Key: key + name, Hint: hint})
		}
	}
	explain(problems, warnings)
	for i, p := range problems {
		if (p.Hint == "y") != (i < maxTold) {
			t.Errorf("problem %d: hint %q", i, p.Hint)
		}
	}
}
