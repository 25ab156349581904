package porter

import (
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"stretcher/internal/text/yamldoc"
)

type manifest struct {
	Hooks Lists `yaml:"hooks"`
}

func ptr[T any](v T) *T { return &v }

// decode reads a manifest and returns everything that is said about it.
func decode(doc string) (lists Lists, warnings, problems []string) {
	var m manifest
	w, p := yamldoc.Decode([]byte(doc), &m)
	if len(p) == 0 {
		cw, cp := m.Hooks.Check("hooks")
		w, p = append(w, cw...), cp
	}
	for _, warning := range w {
		warnings = append(warnings, warning.Error()+" "+warning.Hint)
	}
	for _, problem := range p {
		problems = append(problems, problem.Error())
	}
	return m.Hooks, warnings, problems
}

// TestSeed reads the examples of porter's own documentation.
func TestSeed(t *testing.T) {
	doc, err := os.ReadFile("testdata/seed.yml")
	if err != nil {
		t.Fatal(err)
	}
	lists, warnings, problems := decode(string(doc))
	if warnings != nil || problems != nil {
		t.Fatalf("warnings %q, problems %q", warnings, problems)
	}
	foo := "git@github.com:adobe-platform/porter-contrib-foo.git"
	want := Lists{
		"alert_the_operator": {{Dockerfile: "path/to/Dockerfile", Repo: "https://github.com/person/repo.git", Ref: "v1.0.0"}},
		"pre_pack": {
			{Dockerfile: "path/to/Dockerfile", Environment: Environment{"FOO": ptr("bar"), "BAZ": nil}},
			{Dockerfile: "pre-pack", Repo: foo, Ref: "v1.0.0"},
		},
		"post_pack": {
			{Dockerfile: "post-pack", Repo: foo, Ref: "v1.0.0", RunCondition: "always"},
			{Repo: strings.Replace(foo, "foo", "bar", 1), Ref: "v1.0.0"},
		},
		"pre_promote": {
			{Run: "echo promote", Concurrent: true, Timeout: Timeout(90 * time.Second)},
			{Path: "bin/promote", Concurrent: true, Environment: Environment{"A": ptr("b=c"), "PATH": nil}},
		},
	}
	if !reflect.DeepEqual(lists, want) {
		t.Errorf("lists = %+v\nwant %+v", lists, want)
	}
	if got := lists["post_pack"][1].dockerfile(); got != "Dockerfile" {
		t.Errorf("a plugin's dockerfile defaults to %q", got)
	}
}

func TestCheck(t *testing.T) {
	const plugin = "repo: https://h/p.git, ref: v1"
	const transports = "https, ssh, git, http, file or USER@HOST:PATH"
	for _, tt := range []struct{ list, entry, want string }{
		{"pre_pack", "run: x", ""},
		{"pre_pack", "path: a/../b", ""},
		{"pre_pack", plugin + ", dockerfile: a/b", ""},
		{"pre_pack", "{}", ""}, // nothing at all: the manifest warns of it
		{"pre_pack", "timeout: 3",
			"hooks.pre_pack[0]: has nothing to run: one of dockerfile, repo, run and path is required"},
		{"pre_pack", "run: ' '", "hooks.pre_pack[0].run: has nothing to run"},
		{"pre_pack", "dockerfile: D, run: x",
			"hooks.pre_pack[0]: is a container (dockerfile, repo) and a command (run) at once"},
		{"mine", "path: D, run: x", "hooks.mine[0]: is a command (run) and a program (path) at once"},
		{"mine", plugin + ", path: x", "hooks.mine[0]: is a container (dockerfile, repo) and a program (path) at once"},
		{"mine", "dockerfile: D, ref: v1", `hooks.mine[0].ref: "v1" needs a repo`},
		{"mine", "repo: https://h/p.git", "hooks.mine[0].ref: is required with repo: a tag, branch or commit"},
		{"mine", "repo: https://h/p.git, ref: --upload-pack=x",
			`hooks.mine[0].ref: "--upload-pack=x" is not a tag, branch or commit`},
		{"mine", "repo: 'ext::sh -c x', ref: v1",
			`hooks.mine[0].repo: "ext::sh -c x" is not the URL of a git repository: ` + transports},
		{"mine", "repo: 'https://me:pw@h /p', ref: v1",
			`hooks.mine[0].repo: "https://xxxxx@h /p" is not the URL of a git repository: ` + transports},
		{"mine", "repo: '${TEST_REPO_URL}', ref: v1", `hooks.mine[0].repo: "${TEST_REPO_URL}" is not filled in`},
		{"mine", "repo: 'https://h/${P}.git', ref: v1", `hooks.mine[0].repo: "${P}" is not filled in`},
		{"mine", "repo: 'https://h/p.git', ref: '${REF}'", `hooks.mine[0].ref: "${REF}" is not filled in`},
		{"mine", "dockerfile: ../D", `hooks.mine[0].dockerfile: "../D" is not a path below the tree`},
		{"mine", plugin + ", dockerfile: /D", `hooks.mine[0].dockerfile: "/D" is not a path below the tree`},
		{"mine", "path: /bin/sh", `hooks.mine[0].path: "/bin/sh" is not a path below the tree`},
		{"mine", "path: a/..", `hooks.mine[0].path: "a/.." is not the path of a file`},
		{"mine", "path: a/", `hooks.mine[0].path: "a/" is not the path of a file`},
		{"mine", "run: x, environment: {A B: c}", `hooks.mine[0].environment: "A B" is not a variable name`},
		{"mine", "run: x, environment: ['=c']", `hooks.mine[0].environment: is not a variable name`},
		{"mine", `run: x, environment: {A: "secret\0"}`, `hooks.mine[0].environment.A: has a NUL in it`},
		{"mine", "run: x, environment: 3",
			`line 1: hooks.mine[0].environment: "3" is a single value where a mapping belongs`},
		{"mine", "run: x, concurrent: yes", ""},
		{"mine", "run: x, concurrent: Off", ""},
		{"mine", "run: x, concurrent: maybe", `line 1: hooks.mine[0].concurrent: "maybe" is not true or false`},
		{"mine", "run: x, timeout: -1", `line 1: hooks.mine[0].timeout: "-1" is not a number of seconds from 0 to 999999999`},
		{"mine", "run: x, timeout: soon", `line 1: hooks.mine[0].timeout: "soon" is not a duration such as 30, 90s or 5m`},
		{"post_pack", "run: x, run_condition: never",
			`line 1: hooks.post_pack[0].run_condition: "never" is not pass, fail or always`},
	} {
		if !strings.HasPrefix(tt.entry, "{") {
			tt.entry = "{" + tt.entry + "}"
		}
		_, warnings, problems := decode("hooks: {" + tt.list + ": [" + tt.entry + "]}")
		if got := strings.Join(problems, "; "); got != tt.want || warnings != nil {
			t.Errorf("%s %s: problems %q, warnings %q; want %q", tt.list, tt.entry, got, warnings, tt.want)
		}
	}
}

// TestRunConditionOnlyAfterSteps crosses every name with every condition.
func TestRunConditionOnlyAfterSteps(t *testing.T) {
	for _, name := range append(Names(), "mine", "post_mine") {
		for _, condition := range []string{"pass", "fail", "always"} {
			_, _, problems := decode("hooks: {" + name + ": [{run: x, run_condition: " + condition + "}]}")
			allowed := strings.HasPrefix(name, "post_") && name != "post_mine"
			if allowed != (problems == nil) {
				t.Errorf("%s with run_condition %s: problems %q", name, condition, problems)
			}
			want := `hooks.` + name + `[0].run_condition: "` + condition + `" is only for hooks that run after a step`
			if !allowed && !strings.HasPrefix(strings.Join(problems, ""), want) {
				t.Errorf("%s: problems %q, want %q", name, problems, want)
			}
		}
	}
}

func TestNamesThatLookLikePorters(t *testing.T) {
	for name, want := range map[string]string{
		"pre-pack": "pre_pack", "Post_Promote": "post_promote", "post_provison": "post_provision",
		"ec2-bootstrap": "ec2_bootstrap", "pre_pack": "", "pack": "", "smoke_test": "", "package": "",
	} {
		_, warnings, problems := decode("hooks: {" + name + ": [{run: x}]}")
		got := ""
		if len(warnings) > 0 {
			got = warnings[0]
		}
		if problems != nil || want == "" && got != "" || want != "" && !strings.HasSuffix(got, `did you mean "`+want+`"?`) {
			t.Errorf("%q: warnings %q, problems %q; want a hint at %q", name, warnings, problems, want)
		}
		if UserDefined(name) != (want != "" || name != "pre_pack") {
			t.Errorf("UserDefined(%q) = %v", name, UserDefined(name))
		}
	}
	if _, _, problems := decode("hooks: {'': [{run: x}]}"); len(problems) != 1 ||
		problems[0] != "hooks: has a list without a name" {
		t.Errorf("problems %q", problems)
	}
	if names := Names(); len(names) != 9 || names[8] != Bootstrap || !UserDefined(Bootstrap) {
		t.Errorf("names %q", names)
	}
}

func TestReposAndRefs(t *testing.T) {
	for repo, want := range map[string]bool{
		"https://h/p.git": true, "ssh://git@h:22/p": true, "file:///srv/p.git": true, "git://h/p": true, "http://h/p": true,
		"git@h:o/p.git": true, "h:p": true,
		"": false, "p.git": false, "/srv/p.git": false, "--upload-pack=x": false, "-h:p": false,
		"ext::sh -c x": false, "fd::3": false,
		"git@-oProxyCommand=x:p": false, "ssh://-oProxyCommand=x/p": false, "https://h/a b": false, "https://h/\n": false,
		"ftp://h/p": false, "h:-p": false, "https://": false,
	} {
		if validRepo(repo) != want {
			t.Errorf("validRepo(%q) = %v", repo, !want)
		}
	}
	for ref, want := range map[string]bool{
		"v1.0.0": true, "main": true, "feature/x-y_z": true, "0123abc": true, "é": true,
		"-x": false, "--exec=x": false, "a..b": false, "HEAD~1": false, "a^": false, "a:b": false,
		"a b": false, "@{-1}": false,
		"a\n": false, "refs/*": false, "/a": false, "a/": false, "a.lock": false, ".a": false, "a/.b": false, "@": false,
	} {
		if validRef(ref) != want {
			t.Errorf("validRef(%q) = %v", ref, !want)
		}
	}
}
