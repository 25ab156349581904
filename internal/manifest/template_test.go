package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"stretcher/internal/policy"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/yamldoc"
)

func lookupIn(env map[string]string) Lookup {
	return func(name string) (string, bool) { v, ok := env[name]; return v, ok }
}

// firstValue is the text of the first value of a document.
func firstValue(t *testing.T, text []byte) string {
	t.Helper()
	var n yaml.Node
	if err := yaml.Unmarshal(text, &n); err != nil || len(n.Content) == 0 {
		t.Fatalf("%q: %v", text, err)
	}
	return n.Content[0].Content[1].Value
}

// TestTemplates: which text is a template, and what it stands for.
func TestTemplates(t *testing.T) {
	env := map[string]string{"SET": "value", "EMPTY": "", "OTHER": "second"}
	for _, tc := range []struct{ in, want string }{
		{`a: plain`, "plain"},
		{`a: {{ must_env "SET" }}`, "value"},
		{`a: {{must_env "SET"}}`, "value"},
		{"a: {{\tmust_env   `SET`\t}}", "value"},
		{`a: "{{ must_env "EMPTY" }}"`, ""},
		{`a: {{ must_env "EMPTY" }}`, "null"},
		{`a: {{ env "SET" "default" }}`, "value"},
		{`a: {{ env "UNSET" "default" }}`, "default"},
		{`a: {{ env "EMPTY" "default" }}`, "default"},
		{`a: {{ env "UNSET" "OTHER" "default" }}`, "second"},
		{`a: {{ env "UNSET" "EMPTY" "default" }}`, "default"},
		{`a: '{{ env "UNSET" }}'`, ""},
		{`a: {{ env "SET" }}`, "value"},
		{`a: "{{ env "UNSET" "say \"}}\" to {{ env }}" }}"`, `say "}}" to {{ env }}`},
		{`a: x{{ env "SET" }}y{{ env "OTHER" }}z`, "xvalueysecondz"},
		{`a: {{ env "SET" }}{{ env "OTHER" }}`, "valuesecond"},
		{"a: |-\n  one {{ env \"SET\" }}\n  two {{ env \"OTHER\" }}", "one value\ntwo second"},
		{"a: >-\n  one\n  {{ env \"SET\" }}", "one value"},
		{`a: "x {{- env "SET" }} y"`, "xvalue y"},
		{`a: "x {{ env "SET" -}} y"`, "x valuey"},
		{`a: "x {{- env "SET" -}} {{- env "OTHER" -}} y"`, "xvaluesecondy"},
		{"a: |-\n  x\n  {{- env \"SET\" -}}\n  y", "xvaluey"},
		{`a: {{- env "SET" }}`, "value"},

		// Text of the user's own.
		{`a: docker ps --format '{{.Names}}'`, `docker ps --format '{{.Names}}'`},
		{`a: "{{ range . }}{{ end }}"`, `{{ range . }}{{ end }}`},
		{`a: x {{ env.HOME }} ${{ env.X }}`, `x {{ env.HOME }} ${{ env.X }}`},
		{`a: x {{ environment }} {{ envs "x" }} {{ (env "SET") }}`, `x {{ environment }} {{ envs "x" }} {{ (env "SET") }}`},
		{`a: x {{`, `x {{`},
		{`a: x {{ }} }}`, `x {{ }} }}`},
		{`a: x {{.A}} {{ env "SET" }} {{.B}}`, `x {{.A}} value {{.B}}`},
		{`a: x {{/* comment */}}`, `x {{/* comment */}}`},
		{`a: x {{"{{"}} y`, `x {{"{{"}} y`},
		{"a: x # {{ must_env \"UNSET\" }} {{ env }}", "x"},
		{"# {{ must_env \"UNSET\" }}\na: x\n# {{ env", "x"},
	} {
		_, text, problems := filled([]byte(tc.in), lookupIn(env))
		if len(problems) > 0 {
			t.Errorf("%q: %v", tc.in, problems)
			continue
		}
		if got := firstValue(t, text); got != tc.want {
			t.Errorf("%q: got %q, want %q", tc.in, got, tc.want)
		}
	}
}

// filled is a document with the values of its templates, and what it is then.
func filled(raw []byte, look Lookup) (doc *yamldoc.Document, text []byte, problems []*yamldoc.Problem) {
	r := &reading{raw: raw, gaps: newGaps()}
	if r.fill(values{gaps: r.gaps, look: look}); len(r.open) > 0 {
		return nil, nil, r.open
	}
	text, err := r.text()
	if err != nil {
		return nil, nil, []*yamldoc.Problem{{Message: err.Error()}}
	}
	return r.doc, text, nil
}

// TestTemplateProblems: all are named, each with its line.
func TestTemplateProblems(t *testing.T) {
	const forms = `template: {{ must_env "NAME" }} or {{ env "NAME" "text" }} is expected`
	for _, tc := range []struct{ in, want string }{
		{"\na: {{ must_env \"UNSET\" }}", `line 2: template: environment variable "UNSET" is not set`},
		{"a: {{ must_env \"A\" }}\nb: |\n  x\n  {{ must_env \"B\" }} {{ env \"C\" }}\nc: [{{ must_env \"D\" }}]",
			`line 1: template: environment variable "A" is not set; ` +
				`line 4: template: environment variable "B" is not set; line 5: template: environment variable "D" is not set`},
		{"a: b\nc: {{ env }}", "line 2: template: env needs the name of a variable"},
		{`a: {{ must_env }}`, "line 1: template: must_env needs the name of one variable"},
		{`a: {{ must_env "A" "B" }}`, "line 1: template: must_env needs the name of one variable"},
		{`a: {{ must_env "A" > x`, "line 1: " + forms},
		{`a: "{{ must_env "A }}"`, "line 1: " + forms},
		{`a: '{{ env \"A\" "x" }}'`, "line 1: " + forms},
		{`a: '{{ env "A""x" }}'`, "line 1: " + forms},
		{`a: '{{ env "A" | print }}'`, "line 1: " + forms},
		{`a: '{{ env NAME }}'`, "line 1: " + forms},
		{"a: |\n  {{ env\n  \"A\" }}", "line 2: " + forms},
		{"a: |\n  {{ env `A\n  B` }}", "line 2: " + forms},
		{`{{ env "SET" }}: x`, `line 1: template: {{ env "SET" }} stands in a key`},
		{`a: {b-{{ must_env "UNSET" }}: x}`, `line 1: template: {{ must_env "UNSET" }} stands in a key`},
		{"? [a, {{ env \"SET\" }}]\n: x", `line 1: template: {{ env "SET" }} stands in a key`},
		{"a: {{ env \"BINARY\" }}", `line 1: template: environment variable "BINARY" is not UTF-8`},
		{"a: *{{ env \"SET\" }}", "not YAML: unknown anchor referenced"},
		{"a: [{{ env \"SET\" }}\nb: c", "not YAML"},
	} {
		l, _, _, _ := loader(nil, &policy.Policy{}, map[string]string{"SET": "value", "BINARY": "\xff"})
		loaded, err := l.Parse([]byte(tc.in), nil, "s3://b/k", "")
		if loaded != nil || !errors.Is(err, failure.ErrMalformed) || !strings.Contains(err.Error(), tc.want) ||
			strings.Contains(err.Error(), "\n") {
			t.Errorf("%q:\ngot  %v\nwant %s", tc.in, err, tc.want)
		}
	}
}

// TestTemplateValuesAreSecrets: those that were read, and no defaults.
func TestTemplateValuesAreSecrets(t *testing.T) {
	l, _, _, secrets := loader(nil, &policy.Policy{}, map[string]string{"A": "A-value", "B": "B-value", "COMMENTED": "x"})
	_, err := l.Parse([]byte("# {{ env \"COMMENTED\" }}\nname: {{ must_env \"A\" }} "+
		"{{ env \"B\" \"x\" }} {{ env \"C\" \"x\" }}"), nil, "s3://b/k", "")
	if err != nil || len(secrets) != 2 || secrets["A"] != "A-value" || secrets["B"] != "B-value" {
		t.Errorf("secrets = %v, err = %v", secrets, err)
	}
}

// TestTypesOfValues: numbers, booleans and times that templates stand for are
// what they would be if they were written.
func TestTypesOfValues(t *testing.T) {
	doc := `
src: file:///a
checksum: {{ must_env "SUM" }}
dest: /srv/{{ must_env "APP" }}
dest_mode: {{ env "MODE" "0711" }}
sync_strategy: {{ env "STRATEGY" "rows" }}
releases: {keep: {{ env "KEEP" "5" }}, shared: [{{ env "LOG" "log" }}]}
rollback: {{ env "BACK" "false" }}
limits: {files: 1{{ env "ZEROS" "000" }}, archive: {{ env "SIZE" "2GiB" }}}
extract: {{ env "EXTRACT" "" }}
config: {port: {{ env "PORT" "80" }}, quoted: "{{ env "PORT" "80" }}"}
commands: {post: [{run: "x {{ env "APP" }}", timeout: {{ env "LIMIT" "1m" }}}]}
`
	l, _, _, _ := loader(nil, &policy.Policy{}, map[string]string{"SUM": sha256Hex, "APP": "shop"})
	m, err := l.Parse([]byte(doc), nil, "s3://b/k", "")
	if err != nil {
		t.Fatal(err)
	}
	var config map[string]any
	if err := m.Config.Node.Decode(&config); err != nil || config["port"] != 80 || config["quoted"] != "80" {
		t.Errorf("config %v, %v", config, err)
	}
	if m.Dest != "/srv/shop" || m.Name != "shop" || *m.DestMode != 0o711 || m.Releases.KeepCount() != 5 ||
		!m.Rollback.Off ||
		m.Limits.Files != 1000 || m.Limits.Archive != 2<<30 || m.Extract != "" || m.Commands.Post[0].Run != "x shop" ||
		m.Commands.Post[0].Timeout != 60e9 {
		t.Errorf("%+v", m.Manifest)
	}
	l.Lookup = lookupIn(map[string]string{"SUM": sha256Hex, "APP": "shop", "KEEP": "many"})
	if _, err := l.Parse([]byte(doc), nil, "s3://b/k", ""); err == nil || !strings.Contains(err.Error(),
		`line 7: releases.keep: "many" is not a whole number`) {
		t.Errorf("err = %v", err)
	}
}

// hostile are values that were YAML of their own when they were put into the
// text of a manifest.
func hostile() []string {
	return []string{
		"1\ncommands: {post: [\"touch ran\"]}", "x\n- y", "a: b", "a #b", "# a", "- a", "'", `"`, `'"'"`, "x', y: 'z",
		`x", y: "z`,
		"[a]", "{a: b}", "*a", "&a b", "!!int 5", "|", "--- a", "\n", "a\nb\n", "  a\n b", "}}", `{{ env "B" "c" }}`,
		"\x00", "\x1b", "\t",
		"x]\nhooks: {a: [b]}", "\u0085", "\u2028x", strings.Repeat("a b\n", 3000),
	}
}

// TestValuesAddNothing: whatever a value holds, it arrives as it is where it
// stands, and the manifest that hooks are handed has the keys and lists that it
// was written with.
func TestValuesAddNothing(t *testing.T) {
	doc := `
version: {{ env "X" "" }}
annotations: {plain: {{ env "X" "" }}, in: a {{ env "X" "" }} b, double: "{{ env "X" "" }}", single: '{{ env "X" "" }}'}
excludes: [{{ env "X" "" }}, "{{ env "X" "" }}"]
commands:
  pre:
  - {{ env "X" "" }}
  - 'echo {{ env "X" "" }}'
  - run: |
      first {{ env "X" "" }}
      last
  - run: >-
      {{ env "X" "" }} # {{ env "X" "" }}
`
	for _, value := range hostile() {
		_, text, problems := filled([]byte(doc), lookupIn(map[string]string{"X": value}))
		if len(problems) > 0 {
			t.Errorf("%q: %v", value, problems)
			continue
		}
		tree, problem := yamldoc.Parse(text)
		if problem != nil {
			t.Errorf("%q: %v", value, problem)
			continue
		}
		var m Manifest
		if warnings, problems := tree.Decode(&m); len(warnings)+len(problems) > 0 {
			t.Errorf("%q: %v, %v", value, warnings, problems)
			continue
		}
		pre := m.Commands.Pre
		if len(pre) != 4 || len(m.Excludes) != 2 || len(m.Annotations) != 4 || len(m.Commands.Post) > 0 || len(m.Hooks) > 0 {
			t.Errorf("%q: %+v", value, m)
			continue
		}
		got := []string{m.Version, m.Annotations["plain"], m.Annotations["double"], m.Annotations["single"], m.Excludes[0],
			m.Excludes[1], pre[0].Run}
		for i, s := range got {
			if s != value {
				t.Errorf("%q: value %d is %q", value, i, s)
			}
		}
		if m.Annotations["in"] != "a "+value+" b" || pre[1].Run != "echo "+value ||
			pre[2].Run != "first "+value+"\nlast\n" || pre[3].Run != value+" # "+value {
			t.Errorf("%q: %q, %+v", value, m.Annotations["in"], pre)
		}
	}
}

// TestTemplatesExpandToNoMore: many templates of a large variable are refused.
func TestTemplatesExpandToNoMore(t *testing.T) {
	doc := "version: \"" + strings.Repeat(`{{ env "X" }}`, 50) + `"`
	_, _, problems := filled([]byte(doc), lookupIn(map[string]string{"X": strings.Repeat("x", 100_000)}))
	if len(problems) != 1 || problems[0].Error() != "template: expands to more than 1048576 bytes" {
		t.Errorf("problems %v", problems)
	}
	if _, text, problems := filled([]byte(doc), lookupIn(map[string]string{"X": strings.Repeat("x",
		20_000)})); len(problems) > 0 || len(text) < 1_000_000 {
		t.Errorf("%d bytes, problems %v", len(text), problems)
	}
}

// TestExactlyTheMost: the bound itself is allowed.
func TestExactlyTheMost(t *testing.T) {
	for size, good := range map[int]bool{MaxSize: true, MaxSize + 1: false} {
		_, _, problems := filled([]byte(`version: {{ env "X" }}`), lookupIn(map[string]string{"X": strings.Repeat("x",
			size)}))
		if (len(problems) == 0) != good {
			t.Errorf("%d bytes: %v", size, problems)
		}
	}
}

// TestMarks: what looks like a mark and is none stays.
func TestMarks(t *testing.T) {
	templates := findTemplates([]byte(`a: {{ env "A" }}`))
	for _, i := range []int{1, 2} {
		if mark := templates.mark(i); templates.of(mark) != nil || templates.restored(mark) != mark {
			t.Errorf("mark %d is one of a template", i)
		}
	}
	if templates.restored("x "+templates.mark(0)) != `x {{ env "A" }}` ||
		templates.of(templates.prefix+"99999999999999999999_") != nil {
		t.Error("marks are not told apart")
	}
}

// TestTextWithoutTemplates: a manifest without templates stays as it is
// written.
func TestTextWithoutTemplates(t *testing.T) {
	doc := []byte("# {{.x}}\nname:   app   # comment\nexcludes: [\n  a,\n]\n")
	if _, text, problems := filled(doc, lookupIn(nil)); len(problems) > 0 || !bytes.Equal(text, doc) {
		t.Errorf("%q, %v", text, problems)
	}
}

// shapeOf is the structure of a document: kinds, lengths and keys.
func shapeOf(t *testing.T, text []byte) string {
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	var b strings.Builder
	var write func(n *yaml.Node, key bool)
	write = func(n *yaml.Node, key bool) {
		fmt.Fprintf(&b, "%d(", n.Kind)
		if key || n.Kind == yaml.AliasNode {
			b.WriteString(n.Value)
		}
		for i, child := range n.Content {
			write(child, key || n.Kind == yaml.MappingNode && i%2 == 0)
		}
		b.WriteString(")")
	}
	write(&root, false)
	return b.String()
}

// FuzzTemplates: whatever the manifest, its structure does not depend on the
// environment, and nothing panics.
func FuzzTemplates(f *testing.F) {
	docs := []string{
		`a: {{ env "A" "b" }}`, `a: "{{ must_env "A" }}"`, "{{", "a: |\n  {{ env \"A\" }}\n", `{{ env "A" }}: b`,
		`[{{ env "A" "" }}, 'x {{env "A"}}']`,
		"# {{ env \"A\" }}\na: &x {{- env \"A\" -}} # {{ env \"A\" }}\nb: *x\n", "a: {{ env \"A", "? {{ env \"A\" }}\n: b",
		"<<: {{ env \"A\" }}\nb: !!str {{ env \"A\" }}",
	}
	for i, value := range hostile() {
		f.Add(docs[i%len(docs)], value)
	}
	f.Fuzz(func(t *testing.T, doc, value string) {
		if !utf8.ValidString(value) {
			t.Skip("refused")
		}
		_, one, problems := filled([]byte(doc), func(string) (string, bool) { return "value", true })
		_, other, others := filled([]byte(doc), func(string) (string, bool) { return value, true })
		if len(problems) > 0 || len(others) > 0 {
			if len(others) == 0 || len(problems) == 0 {
				t.Errorf("%q with %q: %v, but %v", doc, value, others, problems)
			}
			return
		}
		if got, want := shapeOf(t, other), shapeOf(t, one); got != want {
			t.Errorf("%q with %q: %q, not %q", doc, value, other, one)
		}
	})
}

// manyTemplates is a manifest with n templates: in one value, in values of
// their own, and in comments.
func manyTemplates(n int) []byte {
	var b strings.Builder
	b.WriteString("name: \"" + strings.Repeat(`{{ env "A" }}`, n/3) + "\"\nexcludes:\n")
	b.WriteString(strings.Repeat("- {{ env \"A\" }}\n", n/3))
	b.WriteString(strings.Repeat("# {{ env \"A\" }}\n", n/3))
	return []byte(b.String())
}

// TestManyTemplates: each template is looked up once, whatever there is else.
func TestManyTemplates(t *testing.T) {
	for _, n := range []int{30, 3000, 30_000} {
		asked := 0
		doc, _, problems := filled(manyTemplates(n), func(string) (string, bool) { asked++; return "x", true })
		if doc == nil || len(problems) > 0 || asked != n/3*2 {
			t.Errorf("%d templates: asked %d times, %v", n, asked, problems)
		}
	}
}

// BenchmarkTemplates: a template costs the same however many there are.
func BenchmarkTemplates(b *testing.B) {
	for _, n := range []int{300, 3000, 30_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			raw := manyTemplates(n)
			for b.Loop() {
				filled(raw, func(string) (string, bool) { return "x", true })
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/template")
		})
	}
}

// TestColumns: where a template stands, and what is behind it, is told in characters of
// the manifest, on a line of any length.
func TestColumns(t *testing.T) {
	for _, doc := range []string{
		"é: {{ env \"A\" }}é{{ env \"Ä\" }} x\nb: {{ env \"A\" }}\n\n{{ env \"A\" }}", "{{env}}{{env}}{{ env", "a\n", "",
		`{"a": [` + strings.Repeat(`"{{env "" ""}}",`, MaxSize/16) + `"x"]}`, // took a minute
	} {
		x := findTemplates([]byte(doc))
		lines, marked := strings.Split(doc, "\n"), strings.Split(string(x.text), "\n")
		for i, one := range x.list {
			if i > 4 && i < len(x.list)-2 {
				continue
			}
			if rest := string([]rune(lines[one.line-1])[one.column-1:]); !strings.HasPrefix(rest, one.text) {
				t.Errorf("template %d of %.40q is not at %d:%d", i, doc, one.line, one.column)
			}
			before, _, _ := strings.Cut(marked[one.line-1], x.mark(i))
			begin := utf8.RuneCountInString(before) + 1
			end := begin + len(x.mark(i))
			for column, want := range map[int]int{
				begin: one.column, end - 1: one.column, end: one.column + utf8.RuneCountInString(one.text),
			} {
				if got := x.column(yamldoc.Place{Line: one.line, Column: column}); got != want {
					t.Errorf("%.40q: %d is %d, want %d", doc, column, got, want)
				}
			}
		}
		if got := x.column(yamldoc.Place{Line: 9, Column: 7}); got != 7 {
			t.Errorf("where no template is: %d", got)
		}
	}
}
