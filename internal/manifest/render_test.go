package manifest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unicode/utf16"

	"stretcher/internal/policy"
	"stretcher/internal/text/yamldoc"
)

// renderedForms are manifests with templates wherever one may stand.
var renderedForms = []string{
	"src: https://user:{{ must_env \"X\" }}@h/a.tar\nchecksum: %\ndest: /srv/a # {{ must_env \"X\" }}\n",
	"# first\nname:  {{ must_env \"X\" }}   # why\n" +
		"commands: {pre: [\"a {{ must_env \"X\" }}\", 'it''s {{ env \"X\" \"d\" }}']}\n",
	"name: &n {{ must_env \"X\" }}\nversion: *n\ncommands:\n  pre:\n" +
		"    - |\n      one {{- must_env \"X\" }}\n\n      two\n    - >-\n      a\n      {{ must_env \"X\" }}\n",
	"env:\n  A: {{ must_env \"X\" }}\n  B: |\n    {{ must_env \"X\" }}\n\n  C:\n  D: plain\ncommands: {pre: a}\n",
	"env: &e\n  A: x\nannotations: {<<: *e, B: {{ must_env \"X\" }}}\ncommands:\n  pre:\n  - {{ must_env \"X\" }}\n",
	"commands: {pre: {run: b\n  {{ must_env \"X\" }}}}\n---\nname: {{ must_env \"X\" }}\n",
}

// inUTF16 is a text as YAML takes it, too.
func inUTF16(text string, order binary.AppendByteOrder) string {
	var b []byte
	for _, unit := range utf16.Encode([]rune("\ufeff" + text)) {
		b = order.AppendUint16(b, unit)
	}
	return string(b)
}

// TestRenderHides: whatever is secret of a manifest is not there, wherever it
// stands, nor in what is said of it.
func TestRenderHides(t *testing.T) {
	for _, form := range []string{
		"name: a\n---\nenv: {A: hidden}\n",
		"name: a\n--- # hidden\n# https://u:hidden@h\nname: https://u:hidden@h\n",
		"annotations: {\"https://u:hidden@h/?hidden\": a}\n",
		"https://u:hidden@h/?hidden: 1\n",
		"? https://u:hidden@h/\n: [a]\n",
		"? [\"https://u:hidden@h/\"]\n: a\n",
		"name: &https://u:hidden@h a\n", "name: !https://u:hidden@h a\n",
		"env: {PASSWORD=hidden}\n", "env: {PASSWORD:hidden, B: x}\n", "env:\n  PASSWORD=hidden:\n  B:hidden : x\n",
		"env: {? PASSWORD=hidden : a}\n", "env: {'PASSWORD: hidden': a}\n", "env: {\"A\\nhidden\": a}\n",
		"env: {? [a, B=hidden] : c}\n", "env: [{A=hidden}]\n", "env: {A: {B=hidden}}\n", "annotations: {env: {A=hidden}}\n",
		"name: &a B=hidden\nenv: {*a : c}\n", "env: &a {A=hidden: b}\nannotations: *a\n", "env: {'': hidden}\n",
		"hooks: {x: [{run: a, environment: {A: hidden}}]}\n", "hooks: {x: [{run: a, environment: [A=hidden]}]}\n",
		"hooks: {x: [{run: a, environment: {A=hidden}}]}\n", "hooks: {x: [{run: a, environment: A=hidden}]}\n",
		"hooks: {x: [{run: a, environment: {A: [b, hidden]}}]}\n", "env: {A: [b, hidden]}\n",
		"env: PASSWORD=hidden\n", "env: [PASSWORD=hidden, {A: hidden}]\n", "env: {? [a] : hidden}\n", "env: |\n  A=hidden\n",
		"env: {A: *hidden}\n", "env: {A: &b hidden}\nname: *b\n",
		inUTF16("# https://u:hidden@h\nname: a\n", binary.LittleEndian),
		inUTF16("name: a # https://h/?hidden\nenv: {A: hidden}\n", binary.BigEndian),
	} {
		l, _, _, _ := loader(served{"https://h/m.yml": form}, &policy.Policy{}, nil)
		text, _, err := l.Render(t.Context(), "https://h/m.yml", false)
		text = bytes.ReplaceAll(text, []byte{0}, nil)
		_, problem := yamldoc.Parse(text)
		_, wrong := l.Load(t.Context(), "https://h/m.yml")
		leaks := strings.Contains(fmt.Sprint(string(text), err, wrong), "hidden")
		if leaks || problem != nil || (err == nil) != (len(text) > 0) {
			t.Errorf("%q is %q: %v, %v, %v", form, text, err, problem, wrong)
		}
	}
}

var hiddenValues = []string{
	"hidden-word", "a: b # hidden", "- hid\n\nden: \"'\n", "123456", "{hidden", " hidden ", "hid\r\n---\nden",
}

// TestRender: what is shown is what a deployment reads, and what is masked is
// YAML without the value.
func TestRender(t *testing.T) {
	for _, form := range renderedForms {
		form = strings.ReplaceAll(form, "%", strings.Repeat("ab", 32))
		for _, value := range hiddenValues {
			env := map[string]string{"X": value}
			l, _, _, _ := loader(served{"https://h/m.yml": form}, &policy.Policy{}, env)
			text, unset, err := l.Render(t.Context(), "https://h/m.yml", true)
			if err != nil || len(unset) > 0 {
				t.Errorf("%q with %q: %v, %q", form, value, err, unset)
				continue
			}
			want, errWant := l.Load(t.Context(), "https://h/m.yml")
			again, _, _, _ := loader(served{"https://h/m.yml": string(text)}, &policy.Policy{}, nil)
			got, errGot := again.Load(t.Context(), "https://h/m.yml")
			if (errWant == nil) != (errGot == nil) || errWant == nil && !reflect.DeepEqual(got.Manifest, want.Manifest) {
				t.Errorf("%q with %q is shown as %q: %v, %v", form, value, text, errWant, errGot)
			}
			masked, _, err := l.Render(t.Context(), "https://h/m.yml", false)
			_, problem := yamldoc.Parse(masked)
			leaks := strings.Contains(string(masked), "hid") || strings.Contains(string(masked), "123456")
			if err != nil || problem != nil || leaks {
				t.Errorf("%q with %q is masked as %q: %v, %v", form, value, masked, err, problem)
			}
		}
	}
}
