package manifest

import (
	"errors"
	"strings"
	"testing"

	"stretcher/internal/text/failure"
)

func TestExpandTemplates(t *testing.T) {
	env := map[string]string{"SET": "value", "EMPTY": "", "OTHER": "second"}
	look := func(k string) (string, bool) { v, ok := env[k]; return v, ok }
	for _, tc := range []struct{ in, want, err string }{
		{"plain: {a: b}", "plain: {a: b}", ""},
		{`a: {{ must_env "SET" }}`, "a: value", ""},
		{"a: {{ must_env `SET` }}", "a: value", ""},
		{`a: "{{ must_env "EMPTY" }}"`, `a: ""`, ""},
		{`a: {{ env "SET" "default" }}`, "a: value", ""},
		{`a: {{ env "UNSET" "default" }}`, "a: default", ""},
		{`a: {{ env "EMPTY" "default" }}`, "a: default", ""},
		{`a: {{ env "UNSET" "OTHER" "default" }}`, "a: second", ""},
		{`a: {{ env "UNSET" }}`, "a: ", ""},
		{`a: {{ env "SET" }}`, "a: value", ""},
		{"\na: {{ must_env \"UNSET\" }}", "", `line 2: template: environment variable "UNSET" is not set`},
		{`a: {{ nope }}`, "", `line 1: template: function "nope" not defined`},
		{"a: b\nc: {{ env }}", "", "line 2: template: env needs the name of a variable"},
		{`a: {{ "open`, "", "line 1: template: unterminated quoted string"},
		{`{{ range 10000000 }}xxxxxxxxxxxxxxxx{{ end }}`, "", "template: expands to more than 1048576 bytes"},
	} {
		out, err := expandTemplates(t.Context(), []byte(tc.in), look, func(string, string) {})
		if tc.err == "" {
			if err != nil || string(out) != tc.want {
				t.Errorf("%q: got %q, %v", tc.in, out, err)
			}
			continue
		}
		if !errors.Is(err, failure.ErrMalformed) || err.Error() != tc.err {
			t.Errorf("%q: err = %v, want %s", tc.in, err, tc.err)
		}
	}
}

func TestTemplateValuesAreSecrets(t *testing.T) {
	got := map[string]string{}
	_, err := expandTemplates(t.Context(), []byte(`{{ must_env "A" }} {{ env "B" "x" }} {{ env "C" "x" }}`),
		func(k string) (string, bool) { return k + "-value", k != "C" },
		func(k, v string) { got[k] = v })
	if err != nil || len(got) != 2 || got["A"] != "A-value" || got["B"] != "B-value" {
		t.Errorf("secrets = %v, err = %v", got, err)
	}
}

func FuzzExpandTemplates(f *testing.F) {
	for _, s := range []string{`{{ env "A" "b" }}`, `{{ must_env "A" }}`, "{{", "{{ range 3 }}{{ end }}", "{{ define \"x\" }}{{ template \"x\" }}{{ end }}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		if strings.Contains(in, "range") {
			t.Skip("loops are bounded by their output only")
		}
		out, err := expandTemplates(t.Context(), []byte(in), func(string) (string, bool) { return "v", true }, func(string, string) {})
		if err == nil && len(out) > max(MaxSize, len(in)) {
			t.Errorf("%d bytes", len(out))
		}
	})
}
