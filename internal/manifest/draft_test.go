package manifest

import (
	"errors"
	"strings"
	"testing"

	"stretcher/internal/text/failure"
	"stretcher/internal/text/yamldoc"
)

func draftRules() Rules {
	return Rules{Src: func(string) error { return nil }, Shared: func([]string) error { return nil },
		Kinds: []Kind{{Name: "native", Default: true}}}
}

// TestDraft: keys are set, and all else stays.
func TestDraft(t *testing.T) {
	raw := `# ours
name: app # the app
dest: {{ env "DEST" "/srv/app" }}
version: '{{ env "V" }}'
commands:
  post: [echo]
`
	d, err := ParseDraft([]byte(raw), "", draftRules())
	if err != nil {
		t.Fatal(err)
	}
	if d.Value("name") != "app" || d.Value("version") != "" || d.Value("dest") != "" {
		t.Errorf("name %q, version %q, dest %q", d.Value("name"), d.Value("version"), d.Value("dest"))
	}
	got, err := d.With([]yamldoc.Entry{{Key: "src", Value: "s3://b/k"}, {Key: "version", Value: "2"},
		{Key: "checksum", Value: strings.Repeat("ab", 32)}}, "s3://b/app.yml", false)
	want := strings.Replace(raw, `'{{ env "V" }}'`, `"2"`, 1) +
		"src: s3://b/k\nchecksum: " + strings.Repeat("ab", 32) + "\n"
	if err != nil || string(got) != want {
		t.Errorf("%v:\n%s\nwant\n%s", err, got, want)
	}
}

// TestDraftRefuses: what no host would take is an error before anything is sent.
func TestDraftRefuses(t *testing.T) {
	sum := yamldoc.Entry{Key: "checksum", Value: strings.Repeat("ab", 32)}
	src := yamldoc.Entry{Key: "src", Value: "s3://b/k"}
	classes := map[string]error{"malformed": failure.ErrMalformed, "refused": failure.ErrRefused}
	const malformed, refused = "malformed", "refused"
	both := []yamldoc.Entry{src, sum}
	for name, c := range map[string]struct {
		raw    string
		set    []yamldoc.Entry
		signed bool
		class  string
		want   string
	}{
		"no dest":       {"", both, false, malformed, "dest: is required"},
		"unknown":       {"dest: /x\nverison: 1\n", both, false, malformed, "verison: unknown key"},
		"expired":       {"dest: /x\nexpires: 2020-01-01T00:00:00Z\n", both, false, refused, "expired"},
		"signed":        {"dest: /x\n", both, true, refused, "serial: is required"},
		"open unknown":  {"dest: {{ env \"D\" }}\nx: 1\n", both, false, malformed, "x: unknown key"},
		"open key":      {"dest: /x\n{{ env \"K\" }}: 1\n", both, false, malformed, `line 2: "{{ env \"K\" }}": unknown key`},
		"open key deep": {"commands: {{{ env \"K\" }}: []}\n", both, false, malformed, `"commands.{{ env \"K\" }}": `},
		"open signed":   {"dest: /x\nserial: {{ env \"S\" }}\n", both, true, refused, "serial: "},
		"open expired":  {"dest: {{ env \"D\" }}\nexpires: 2020-01-01T00:00:00Z", both, false, refused, "expired"},
		"no template":   {"dest: /x\nname: {{ env }}\n", nil, false, malformed, "env needs the name"},
		"list":          {"[a]", []yamldoc.Entry{src}, false, malformed, "a list where a mapping belongs"},
		"second one":    {"dest: /x\n---\na: b\n", both, false, malformed, "a second document"},
		"other program": {"commands: {post: {{ env \"P\" }}}\n", []yamldoc.Entry{src}, false, malformed, "checksum: is"},
	} {
		d, err := ParseDraft([]byte(c.raw), "", draftRules())
		if err == nil {
			_, err = d.With(c.set, "s3://b/app.yml", c.signed)
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || !errors.Is(err, classes[c.class]) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ParseDraft([]byte(strings.Repeat("#", MaxSize+1)), "", draftRules()); err == nil {
		t.Error("a draft that is too large was read")
	}
}

// TestRenews: the same with a later end, and no lower serial.
func TestRenews(t *testing.T) {
	old := "name: app # ours\ndest: {{ env \"D\" }}\nserial: 3\nexpires: 2030-01-01T00:00:00Z\n"
	for now, want := range map[string]bool{
		old: true,
		"dest: {{ env \"D\" }}\nname: app\nserial: 3\n":              true,
		"name: app\ndest: {{ env \"D\" }}\nserial: 4\nexpires: soon": true,
		"name: app\ndest: {{ env \"D\" }}\nserial: 2\n":              false,
		"name: app\ndest: {{ env \"D\" }}\n":                         false,
		"name: app\ndest: {{ env \"E\" }}\nserial: 3\n":              false,
		"name: app\ndest: {{ env \"D\" }}\nserial: 3\nenv: {A: b}\n": false,
		"[": false,
	} {
		if got := (&Draft{}).Renews([]byte(old), []byte(now)); got != want {
			t.Errorf("%q: %v", now, got)
		}
	}
}
