package yamldoc

import (
	"errors"
	"fmt"
	"reflect"
	"sort"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

type even int

func (e *even) UnmarshalText(b []byte) error {
	var n int
	if _, err := fmt.Sscanf(string(b), "%d", &n); err != nil || n%2 != 0 {
		return errors.New("is not even")
	}
	*e = even(n)
	return nil
}

type job struct {
	Run     string `yaml:"run"`
	Retries int    `yaml:"retries"`
}

func (j *job) FromScalar(s string) error {
	if s == "" {
		return errors.New("is empty")
	}
	j.Run = s
	return nil
}

type config struct {
	Name   string             `yaml:"name"`
	On     bool               `yaml:"on"`
	Size   int64              `yaml:"size"`
	Even   *even              `yaml:"even"`
	List   []string           `yaml:"list"`
	Jobs   []job              `yaml:"jobs"`
	Env    map[string]*string `yaml:"env"`
	Labels map[string]string  `yaml:"labels"`
	Nested struct {
		Deep string `yaml:"deep"`
	} `yaml:"nested"`
	hidden string
}

func ptr[T any](v T) *T { return &v }

func TestDecode(t *testing.T) {
	const doc = `
name: 1.10
on: true
size: 12
even: 4
list: one
jobs:
  - echo a
  - {run: echo b, retries: 2}
env: {A: yes, B: null, C: ""}
labels: &l {x: 0755}
nested:
  <<: {deep: merged}
`
	var got config
	warnings, problems := Decode([]byte(doc), &got)
	if len(warnings)+len(problems) != 0 {
		t.Fatalf("warnings %v, problems %v", warnings, problems)
	}
	want := config{Name: "1.10", On: true, Size: 12, Even: ptr(even(4)), List: []string{"one"},
		Jobs:   []job{{"echo a", 0}, {"echo b", 2}},
		Env:    map[string]*string{"A": ptr("yes"), "B": nil, "C": ptr("")},
		Labels: map[string]string{"x": "0755"}}
	want.Nested.Deep = "merged"
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestMergeKeysOwnKeysWin(t *testing.T) {
	const doc = "labels: &a {x: a, y: a}\nenv:\n  <<: [{y: first, z: first}, *a]\n  z: own\n"
	var got config
	if _, problems := Decode([]byte(doc), &got); problems != nil {
		t.Fatal(problems)
	}
	for k, want := range map[string]string{"x": "a", "y": "first", "z": "own"} {
		if got.Env[k] == nil || *got.Env[k] != want {
			t.Errorf("%s = %v, want %s", k, got.Env[k], want)
		}
	}
}

func TestProblems(t *testing.T) {
	for _, tc := range []struct{ doc, want string }{
		{"", "the document is empty"},
		{"# nothing\n", "the document is empty"},
		{"just text", `line 1: "just text" is a single value where a mapping belongs`},
		{"- a\n- b\n", "line 1: is a list where a mapping belongs"},
		{"name: x\n\tsize: 1\n", "line 2: not YAML: found a tab character that violates indentation"},
		{"a: b\n@: c", "line 2: not YAML: found character that cannot start any token"},
		{"name: [", "line 1: not YAML: did not find expected node content"},
		{"name: [a]", "line 1: name: is a list where a single value belongs"},
		{"on: maybe", `line 1: on: "maybe" is not true or false`},
		{"\nsize: 1.5", `line 2: size: "1.5" is not a whole number`},
		{"even: 3", `line 1: even: "3" is not even`},
		{"list: {a: b}", "line 1: list: is a mapping where a list belongs"},
		{"list: [a, ]\njobs:\n  -\n", "line 3: jobs[0]: is empty"},
		{"jobs: [ok, {run: x, retries: no}]", `line 1: jobs[1].retries: "no" is not a whole number`},
		{"env: text", `line 1: env: "text" is a single value where a mapping belongs`},
		{"env: {[a]: b}", "line 1: env: has a list for a key"},
		{"name: a\nsize: 1\nname: b", "line 3: name: stands twice, on lines 1 and 3"},
		{"size: " + strings.Repeat("x", 100), `line 1: size: "` + strings.Repeat("x", 60) + `…" is not a whole number`},
	} {
		var c config
		_, problems := Decode([]byte(tc.doc), &c)
		if len(problems) != 1 || problems[0].Error() != tc.want {
			t.Errorf("%q:\ngot  %v\nwant %s", tc.doc, problems, tc.want)
		}
	}
}

func TestTabHint(t *testing.T) {
	_, problems := Decode([]byte("name: x\n\tsize: 1\n"), &config{})
	if !strings.Contains(problems[0].Hint, "tab") {
		t.Errorf("hint = %q", problems[0].Hint)
	}
}

// The keys of embedded structs are the struct's own, at any depth.
func TestEmbeddedStructs(t *testing.T) {
	type Below struct {
		Deep string `yaml:"deep"`
	}
	type Group struct {
		Below
		Title string `yaml:"title"`
		List  []job  `yaml:"list"`
	}
	type document struct {
		Name string `yaml:"name"`
		Group
	}
	for _, tc := range []struct {
		doc      string
		want     document
		warnings string
		hint     string
		problems string
	}{
		{doc: "title: t\nlist: [a]\ndeep: d\nname: n",
			want: document{"n", Group{Below{"d"}, "t", []job{{Run: "a"}}}}},
		{doc: "<<: {title: t, deep: d}\ndeep: own", want: document{"", Group{Below{"own"}, "t", nil}}},
		{doc: "name: n\ntitel: t", want: document{Name: "n"},
			warnings: "line 2: titel: unknown key", hint: `did you mean "title"?`},
		{doc: "group: {title: t}", warnings: "line 1: group: unknown key"},
		{doc: "Below: {deep: d}", warnings: "line 1: Below: unknown key"},
		{doc: "title: a\nname: n\ntitle: b", problems: "line 3: title: stands twice, on lines 1 and 3"},
		{doc: "deep: [a]", problems: "line 1: deep: is a list where a single value belongs"},
	} {
		var got document
		warnings, problems := Decode([]byte(tc.doc), &got)
		if text := lines(problems); text != tc.problems {
			t.Errorf("%q: problems %q, want %q", tc.doc, text, tc.problems)
		} else if text == "" && !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%q: %+v, want %+v", tc.doc, got, tc.want)
		}
		if text := lines(warnings); text != tc.warnings || text != "" && warnings[0].Hint != tc.hint {
			t.Errorf("%q: warnings %+v, want %q with %q", tc.doc, warnings, tc.warnings, tc.hint)
		}
	}
}

func TestUnknownKeysAreWarnings(t *testing.T) {
	for _, tc := range []struct{ doc, text, hint string }{
		{"nmae: x", "line 1: nmae: unknown key", `did you mean "name"?`},
		{"nested:\n  depe: x", "line 2: nested.depe: unknown key", `did you mean "deep"?`},
		{"hidden: x", "line 1: hidden: unknown key", ""},
		{"completely_other: x", "line 1: completely_other: unknown key", ""},
	} {
		warnings, problems := Decode([]byte(tc.doc), &config{hidden: "stays"})
		if problems != nil || len(warnings) != 1 {
			t.Errorf("%q: warnings %v, problems %v", tc.doc, warnings, problems)
			continue
		}
		if warnings[0].Error() != tc.text || warnings[0].Hint != tc.hint {
			t.Errorf("%q: got %q, hint %q", tc.doc, warnings[0], warnings[0].Hint)
		}
	}
}

func TestSecondDocumentIsAWarning(t *testing.T) {
	var c config
	warnings, problems := Decode([]byte("name: x\n---\nname: y\n"), &c)
	if problems != nil || len(warnings) != 1 || !strings.Contains(warnings[0].Error(), "line 3: a second document") ||
		c.Name != "x" {
		t.Errorf("warnings %v, problems %v, name %q", warnings, problems, c.Name)
	}
	if warnings, problems = Decode([]byte("---\nname: x\n...\n"), &c); warnings != nil || problems != nil {
		t.Errorf("warnings %v, problems %v", warnings, problems)
	}
}

// TestRestThatIsNoDocument: what stands behind a document and is none is no end
// of it.
func TestRestThatIsNoDocument(t *testing.T) {
	for _, text := range []string{
		"{\"name\": \"x\"}\nname: y\n",
		"{name: x}\n}\nlist: [a]\n",
		"[]\nname: y\n",
		"\"x\"\nname: y\n",
		"name: x\n---\nname: y\nlist: [\n",
		"name: x\n---\nname: y\n---\nz: {a: b]\n",
		"name: x\n...\nname: y\n",
		"name: x\n...\n%YAML 9.9\n---\nname: y\n",
		"name: x\n---\nname: \x01\n",
		"name: x\n---\n- &a\n- *b\n",
	} {
		var c config
		warnings, problems := Decode([]byte(text), &c)
		if len(problems) != 1 || !strings.Contains(problems[0].Error(), "not YAML: ") {
			t.Errorf("%q: warnings %v, problems %v, name %q", text, warnings, problems, c.Name)
		}
	}
}

func TestAliasBombIsRefused(t *testing.T) {
	var b strings.Builder
	b.WriteString("labels: &a0 {k: v}\nlist:\n")
	b.WriteString("  - &b0 [x,x,x,x,x,x,x,x,x,x]\n")
	for i := 1; i < 10; i++ {
		fmt.Fprintf(&b, "  - &b%d [%s]\n", i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*b%d,", i-1), 10), ","))
	}
	var c struct {
		List [][][][][][][][][][][]string `yaml:"list"`
	}
	_, problems := Decode([]byte(b.String()), &c)
	if len(problems) != 1 || !strings.Contains(problems[0].Error(), "when its aliases are expanded") {
		t.Errorf("problems = %.300v", problems)
	}
}

func TestMappingThatMergesItself(t *testing.T) {
	_, problems := Decode([]byte("&a\n<<: *a"), &config{})
	if len(problems) != 1 {
		t.Errorf("problems = %v", problems)
	}
}

type set map[string]*string

func (s *set) FromList(items []string) error {
	*s = set{}
	for _, item := range items {
		if item == "" {
			return errors.New("has an empty element")
		}
		(*s)[item] = nil
	}
	return nil
}

func TestListForm(t *testing.T) {
	for _, tc := range []struct{ doc, want, problem string }{
		{"v: {a: , b: c}", "a=nil b=c", ""},
		{"v: [a, b]", "a=nil b=nil", ""},
		{"v: []", "", ""},
		{"v: [a, '']", "", "line 1: v: has an empty element"},
		{"v: [a, [b]]", "", "line 1: v[1]: is a list where a single value belongs"},
		{"v: [a, ]\nw: 1", "a=nil", ""},
		{"v:\n  - a\n  -", "", "line 3: v[1]: is empty"},
		{"v: a", "", "line 1: v: \"a\" is a single value where a mapping belongs"},
	} {
		var c struct {
			V set `yaml:"v"`
		}
		_, problems := Decode([]byte(tc.doc), &c)
		said := ""
		if len(problems) > 0 {
			said = problems[0].Error()
		}
		if said != tc.problem || said == "" && show(c.V) != tc.want {
			t.Errorf("%q: %q, problem %q; want %q, %q", tc.doc, show(c.V), said, tc.want, tc.problem)
		}
	}
}

func show(s set) string {
	var items []string
	for k, v := range s {
		if v == nil {
			v = ptr("nil")
		}
		items = append(items, k+"="+*v)
	}
	sort.Strings(items)
	return strings.Join(items, " ")
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{"name: x", "a: &a [*a]", "<<: {name: x}", "jobs: [{run: x}, y]", "? [a]\n: b",
		"env: {A: }", "\xff", "&a\n<<: *a",
		"config: {1: one, <<: {? [1] : b}}", "config: {? {a: b} : c}", "config: !!float x", "config: [&a {b: *a}]"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var c config
		warnings, problems := Decode(data, &c)
		var r withRaw
		_, odd := Decode(data, &r)
		problems = append(problems, odd...)
		if len(odd) == 0 && r.Config.Node != nil {
			_, _ = yaml.Marshal(r.Config.Node) // as hooks are told of it
		}
		for _, p := range append(warnings, problems...) {
			if p.Error() == "" || strings.Contains(p.Error(), "\n") {
				t.Errorf("problem is not one line: %q", p.Error())
			}
		}
	})
}

// lines are problems, one a line.
func lines(problems []*Problem) string {
	var all []string
	for _, p := range problems {
		all = append(all, p.Error())
	}
	return strings.Join(all, "\n")
}

// TestEmpty: keys that hold nothing are found wherever they stand.
func TestEmpty(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "",
		"a: 1\nb: []\nc: {}\nd: ''":     "",
		"a:\nb: ~\nc: null":             "a b c",
		"a: {b: , c: [1, {d: }]}\ne: 1": "a.b a.c[1].d",
		"a: &x\nb: *x":                  "a b",
	} {
		doc, problem := Parse([]byte(text))
		if problem != nil {
			t.Fatal(problem)
		}
		if got := strings.Join(doc.Empty(), " "); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
