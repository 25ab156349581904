package yamldoc

import "testing"

// TestSet: only the lines of the keys change.
func TestSet(t *testing.T) {
	set := []Entry{{"src", "s3://b/k"}, {"version", "1.10"}, {"serial", int64(3)}}
	const added = "version: \"1.10\"\nserial: 3\n"
	for name, c := range map[string]struct{ text, want string }{
		"nothing":  {"", "src: s3://b/k\n" + added},
		"comments": {"# about\n", "# about\nsrc: s3://b/k\n" + added},
		"null":     {"~\n", "src: s3://b/k\nversion: \"1.10\"\nserial: 3\n"},
		"no end":   {"dest: /srv/app", "dest: /srv/app\nsrc: s3://b/k\n" + added},
		"in place": {"# about\nversion: 1   # by CI\n\n# where\ndest: /x # here\nsrc:\n  - a\n  - b\n# end\n",
			"# about\nversion: \"1.10\" # by CI\n\n# where\ndest: /x # here\nsrc: s3://b/k\n# end\nserial: 3\n"},
		"block scalar": {"src: |\n  a\n  # b\n\ndest: /x\n", "src: s3://b/k\n  # b\n\ndest: /x\n" + added},
		"indented":     {"  dest: /x\n  src: y\n", "  dest: /x\n  src: s3://b/k\n  version: \"1.10\"\n  serial: 3\n"},
		"marked":       {"---\ndest: /x\n...\n", "---\ndest: /x\nsrc: s3://b/k\n" + added + "...\n"},
		"windows":      {"dest: /x\r\nsrc: y\r\nversion: 2\r\n", "dest: /x\r\nsrc: s3://b/k\nversion: \"1.10\"\nserial: 3\n"},
		"JSON": {`{"dest": "/x", "src": "y"}`,
			`{"dest": "/x", "src": "s3://b/k", "version": "1.10", "serial": 3}` + "\n"},
		"merged": {"x-a: &a {src: y}\n<<: *a\n", "x-a: &a {src: y}\n<<: *a\nsrc: s3://b/k\n" + added},
		"a second document": {"dest: /x\n---\nsrc: other\n",
			"dest: /x\nsrc: s3://b/k\n" + added + "---\nsrc: other\n"},
	} {
		got, err := Set([]byte(c.text), set)
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %v\n%q\nwant\n%q", name, err, got, c.want)
		}
	}
}

// TestSetFails: what can't hold keys, or would lose an anchor that is used.
func TestSetFails(t *testing.T) {
	for _, text := range []string{"- a\n", "text\n", "a: [\n", "src: &a x\ndest: *a\n"} {
		if got, err := Set([]byte(text), []Entry{{"src", "y"}}); err == nil {
			t.Errorf("%q became %q", text, got)
		}
	}
	if got, err := Set([]byte("a: b"), nil); err != nil || string(got) != "a: b" {
		t.Errorf("nothing to set: %q, %v", got, err)
	}
}

// TestScalar: values as they are written.
func TestScalar(t *testing.T) {
	var all map[string]Raw
	text := "x-a: &a {version: 1.10}\nname: 'a b'\n<<: *a\nnone:\nlist: [a]\n"
	if _, problems := Decode([]byte(text), &all); len(problems) > 0 {
		t.Fatal(problems)
	}
	for key, want := range map[string]string{"name": "a b", "version": "1.10", "none": "", "list": "", "other": ""} {
		if got, ok := all[key].Scalar(); got != want || ok != (want != "") {
			t.Errorf("%s: %q, %v", key, got, ok)
		}
	}
}

// FuzzSet: what was set is there, and all else is as it was.
func FuzzSet(f *testing.F) {
	for _, text := range []string{"", "src: a\n", "src:\n- a\n# b\ndest: c", "{src: a}", "? src\n: a\n",
		"src: &a b\nc: *a\n", "--- \nsrc: |+\n a\n\n...\n---\nb", "src: \"a\n  b\"\nd: e",
		"<<: {src: a}", "src: a\nsrc: b\n", "a: 1\rsrc: 2\rb: 3\rc: 4", "a: b\u2028src: c\u0085d: e"} {
		f.Add(text, "v")
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		got, err := Set([]byte(text), []Entry{{"src", value}, {"zz-new", int64(7)}})
		if err != nil {
			return
		}
		before, problem := Parse([]byte(text))
		if problem != nil {
			t.Fatal(problem)
		}
		after, problem := Parse(got)
		if problem != nil {
			t.Fatalf("%q became %q: %v", text, got, problem)
		}
		want, err := before.with([]Entry{{"src", value}, {"zz-new", int64(7)}})
		if err != nil || !same(&want.node, &after.node) {
			t.Errorf("%q became %q", text, got)
		}
	})
}
