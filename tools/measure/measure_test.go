package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// small is a module in which each measure has something to count.
func small() map[string]string {
	return map[string]string{
		"go.mod":         "module small\n",
		"main.go":        "package main\n\nimport \"small/internal/text/words\"\n\nfunc main() { left(words.Of()) }\n",
		"left.go":        "package main\n\nfunc left(string) { right() }\n",
		"right.go":       "package main\n\nfunc right() { left(\"\") }\n",
		"deploy.go":      "package main\n\nfunc deploy() { left(\"\"); right() }\n",
		"left_test.go":   "package main\n",
		"other/go.mod":   "module other\n",
		"other/other.go": "package broken because it is not read\n",

		"internal/text/words/words.go": "package words\n\nfunc Of() string { return \"\" }\n",
		"tools/layers.txt": "# rules\nmay .: internal/* -- it joins\n\n" +
			"may internal/strategy/all: internal/strategy/* -- it joins\n" +
			"may internal/*: -- leaves\nonly internal/text/*: . -- because\n",
	}
}

// with is small and more files.
func with(name, text string) map[string]string {
	files := small()
	files[name] = text
	return files
}

func write(t *testing.T, files map[string]string) *module {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	m, err := load(root)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMeasures(t *testing.T) {
	strategies := `package all

import (
	"small/internal/strategy/slow"
	"small/internal/strategy/fast"
)

var _, _ = slow.Name, fast.Name

func f(s string) bool { return s == "fast" }
`
	named := func(text string) map[string]string {
		files := with("asks.go", text)
		files[allStrategies+"/all.go"] = strategies
		files["internal/strategy/fast/fast.go"] = "package fast\n\nconst Name = \"fast\"\n\n" +
			"func own(s string) bool { return s == Name }\n"
		return files
	}
	for _, tc := range []struct {
		name  string
		of    func(*module) measure
		files map[string]string
		want  int
	}{
		{"files at the root, no tests", rootFiles, small(), 4},
		{"rooms", rooms, small(), 1},
		{"another room", rooms, with("internal/room/below/a.go", "package below\n"), 2},
		{"fields", widestStruct, with("a.go", "package main\n\ntype t struct { a, b int; s struct { c, d, e int } }\n"), 3},
		{"fields of tests", widestStruct, with("a_test.go", "package main\n\ntype t struct { a, b int }\n"), 0},
		{"embedded fields", widestStruct, with("a.go", "package main\n\ntype t struct { error }\n"), 1},
		{"methods", mostMethods, with("a.go", "package main\n\ntype t int\n\nfunc (t) a() {}\nfunc (x *t) b() {}\n"), 2},
		{"methods of each system", mostMethods, map[string]string{
			"go.mod": "module m\n", "a_linux.go": "package m\n\nfunc (t) a() {}\n",
			"a_darwin.go": "package m\n\nfunc (t) a() {}\n"}, 1},
		{"generic methods", mostMethods, with("a.go", "package main\n\ntype t[A any] struct{}\n\nfunc (t[A]) a() {}\n"), 1},
		{"pairs, but of deploy.go", rootPairs, small(), 1},
		{"method pairs", rootPairs, with("a.go",
			"package main\n\ntype t struct{}\n\nfunc (t) m() { deploy(); main() }\n\nfunc use() { left(\"\") }\n"), 1},
		{"pairs by methods of another file", rootPairs, map[string]string{"go.mod": "module m\n",
			"a.go": "package m\n\ntype t struct{ u unknown.T }\n\nfunc (x t) a() { x.b() }\n",
			"b.go": "package m\n\nfunc (x *t) b() { x.a() }\n"}, 1},
		{"types are not called", rootPairs, map[string]string{"go.mod": "module m\n",
			"a.go": "package m\n\ntype a int\n\nvar x b\n", "b.go": "package m\n\ntype b int\n\nvar y a\n"}, 0},
		{"nobody asks", strategyTests, named("package main\n\nvar names = []string{\"fast\"}\n"), 0},
		{"a literal", strategyTests, named("package main\n\nfunc f(s string) bool { return s != \"fast\" || s == \"\" }\n"),
			1},
		{"a constant", strategyTests, named("package main\n\nconst f = \"slow\"\n\n" +
			"func g(s string) { switch s { case f, \"other\": } }\n"), 1},
		{"its package", strategyTests,
			named("package main\n\nimport \"small/internal/strategy/fast\"\n\n" +
				"func g(s string) bool { return s == fast.Name }\n"), 1},
		{"its type", strategyTests, named("package main\n\nimport \"small/internal/strategy/fast\"\n\n" +
			"func g(s any) { _ = s.(*fast.Strategy) }\n"), 1},
		{"no long lines", longLines, with("a.go", "package main\n\n//"+strings.Repeat("ä", 118)+"\n"), 0},
		{"a long line", longLines, with("a_test.go", "package main\n\n//"+strings.Repeat("x", 119)+"\n"), 1},
		{"layers", layers, named("package main\n"), 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			x := tc.of(write(t, tc.files))
			if x.value != tc.want {
				t.Errorf("%s: %d, want %d: %q", x.name, x.value, tc.want, x.details)
			}
		})
	}
}

// TestLayers has an import, or a table, and what is said of it.
func TestLayers(t *testing.T) {
	for _, tc := range []struct{ name, file, text, want string }{
		{"a room imports a room", "internal/a/a.go", "package a\n\nimport _ \"small/internal/b\"\n",
			"internal/a imports internal/b: see tools/layers.txt:5"},
		{"only others may", "internal/a/a.go", "package a\n\nimport _ \"small/internal/text/words\"\n",
			"see tools/layers.txt:6"},
		{"no rule", "cmd/a.go", "package a\n\nimport _ \"fmt\"\n", "cmd: no rule says what it may import"},
		{"a rule about nothing", "tools/layers.txt", "may .: internal/* -- r\nmay internal/*: -- r\nmay lib: -- r\n",
			"tools/layers.txt:3: there is no such package"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			x := layers(write(t, with(tc.file, tc.text)))
			if all := strings.Join(x.details, "\n"); !strings.Contains(all, tc.want) {
				t.Errorf("got\n%s\nwant %q", all, tc.want)
			}
		})
	}
}

func TestRulesAreRead(t *testing.T) {
	for _, line := range []string{"may a: b", "may a b -- why", "must a: b -- why", "may: b -- why", "may a: b --  "} {
		if rules, err := parseRules("\n" + line); err == nil || !strings.Contains(err.Error(), "layers.txt:2:") {
			t.Errorf("%q: %v, %v", line, rules, err)
		}
	}
}

func TestMatch(t *testing.T) {
	for _, tc := range []struct {
		pattern, path string
		want          bool
	}{
		{"internal/a", "internal/a", true}, {"internal/a", "internal/a/b", false}, {"internal/a/*", "internal/a", false},
		{"internal/a/*", "internal/a/b/c", true}, {"internal/a/*", "internal/ab", false}, {".", "internal", false},
	} {
		if got := matchAny([]string{"x", tc.pattern}, tc.path); got != tc.want {
			t.Errorf("%q matches %q: %v", tc.pattern, tc.path, got)
		}
	}
}

// TestPrint: what is over its limit fails, and says what makes it so.
func TestPrint(t *testing.T) {
	for _, tc := range []struct {
		x    measure
		over bool
		want string
	}{
		{measure{"dogs", 1, 1, []string{"rex"}}, false, "lint: dogs: 1, at most 1: ok\n"},
		{measure{"dogs", 2, 1, []string{"rex"}}, true, "lint: dogs: 2, at most 1: FAILED\n    rex\n"},
	} {
		var out bytes.Buffer
		if over := tc.x.print(&out); over != tc.over || out.String() != tc.want {
			t.Errorf("%v: %v, %q, want %v, %q", tc.x, over, out.String(), tc.over, tc.want)
		}
	}
}

// TestRun: each measure is printed, and one over its limit is enough to fail.
func TestRun(t *testing.T) {
	for _, tc := range []struct {
		files map[string]string
		over  bool
	}{
		{map[string]string{"go.mod": "module m\n", layersFile: "may a: -- it is alone\n",
			"a/a.go": "package a\n\nimport _ \"fmt\"\n"}, false},
		{small(), true},
	} {
		var out bytes.Buffer
		m := write(t, tc.files)
		over, err := run(&out, m.root)
		if err != nil || over != tc.over || strings.Contains(out.String(), "FAILED") != over {
			t.Errorf("over %v, want %v, %v\n%s", over, tc.over, err, out.String())
		}
		if n := strings.Count(out.String(), "lint: "); n != len(measures(m)) {
			t.Errorf("%d measures are printed\n%s", n, out.String())
		}
	}
}
