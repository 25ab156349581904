package explain

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"stretcher/internal/policy"
	"stretcher/internal/policy/verdict"
	"stretcher/internal/trust"
)

// asked is a host with a policy, and a report that is wanted.
func asked(t *testing.T, text string) Host {
	t.Helper()
	p, err := policy.Parse("p.yml", []byte(text+"rollback: allow\n"))
	if err != nil {
		t.Fatal(err)
	}
	return Host{Policy: p, Report: &verdict.Report{}}
}

// told is what a report has been told: a line for each ruling.
func told(t *testing.T, r *verdict.Report) string {
	t.Helper()
	var text bytes.Buffer
	if err := (verdict.Conclusion{Report: r}).PrintJSON(&text); err != nil {
		t.Fatal(err)
	}
	var out struct{ Rulings []verdict.Ruling }
	if err := json.Unmarshal(text.Bytes(), &out); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, one := range out.Rulings {
		place := strings.ReplaceAll(one.Place, ` of "p.yml"`, "")
		lines = append(lines, strings.Join([]string{one.Rule, place, one.Subject, string(one.Verdict), one.Why}, "|"))
	}
	return strings.Join(lines, "\n")
}

// tells wants the report to have been told so.
func tells(t *testing.T, name string, r *verdict.Report, want ...string) {
	t.Helper()
	if got := told(t, r); got != strings.Join(want, "\n") {
		t.Errorf("%s:\n%s\nwant\n%s", name, got, strings.Join(want, "\n"))
	}
}

// TestBegin: the report is told each answer of the policy. Who starts a deployment is not
// known where the manifest is looked at elsewhere.
func TestBegin(t *testing.T) {
	for _, elsewhere := range []bool{false, true} {
		h := asked(t, "allow:\n  users: [alice]\n  names: [web]\n")
		h.Begin(elsewhere)
		_, _, _ = h.Policy.User("bob"), h.Policy.Name("web"), h.Policy.Name("app")
		user := `allow.users|line 2|bob|refused|`
		if elsewhere {
			user = "allow.users|line 2|who starts it|later|who starts it on the host is asked"
		}
		got := strings.Split(told(t, h.Report), "\n")
		if len(got) != 3 || !strings.HasPrefix(got[0], user) ||
			!strings.HasPrefix(got[1], "allow.names|line 3|web|allowed|") ||
			!strings.HasPrefix(got[2], "allow.names|line 3|app|refused|") {
			t.Errorf("elsewhere %v: %q", elsewhere, got)
		}
	}
}

// TestQuestions: each rule is a question of its own.
func TestQuestions(t *testing.T) {
	h := asked(t, "allow:\n  names: [web]\n")
	list := Questions(h.Policy.Ask(policy.Name, "app"))
	if len(list) != 1 || list[0].Rule != "allow.names" || list[0].Subject != "app" || list[0].Ask() == nil ||
		!strings.HasPrefix(list[0].Place, "line 2 of ") {
		t.Errorf("%+v", list)
	}
	if list := Questions(h.Policy.Ask(policy.Name, "web")); len(list) != 1 || list[0].Ask() != nil {
		t.Errorf("%+v", list)
	}
}

// TestBroken: a policy that can't be asked is told by the key that it fails for.
func TestBroken(t *testing.T) {
	no := errors.New("no such thing")
	const keys, user = "trust: {keys: /keys}\n", "run_as: www\n"
	for name, c := range map[string]struct {
		text, keys string
		read       bool
		err        error
		want       string
	}{
		"sound":                       {keys + user, "", false, nil, ""},
		"keys":                        {keys, "", false, no, "trust.keys|line 1|/keys|refused|no such thing"},
		"keys before the user":        {keys + user, "", false, no, "trust.keys|line 1|/keys|refused|no such thing"},
		"keys of the command line":    {keys, "/mine", false, no, "trust.keys|line 1|/mine|refused|no such thing"},
		"the user":                    {keys + user, "", true, no, "run_as|line 2|www|refused|no such thing"},
		"the user, nothing signed":    {user, "", false, no, "run_as|line 1|www|refused|no such thing"},
		"the file":                    {"", "", false, no, "config||f.yml|refused|no such thing"},
		"the file, the keys are read": {keys, "", true, no, "config||f.yml|refused|no such thing"},
	} {
		h := asked(t, c.text)
		h.Keys = c.keys
		h.Broken("f.yml", c.read, c.err)
		tells(t, name, h.Report, c.want)
		if named := h.Report.Policy == `"f.yml"`; named != strings.HasPrefix(c.want, "config") {
			t.Errorf("%s: the policy is %s", name, h.Report.Policy)
		}
	}
}

// TestRunAs: whom programs run as, and that another may deploy.
func TestRunAs(t *testing.T) {
	may := func(err error) func() error { return func() error { return err } }
	for name, c := range map[string]struct {
		text, want string
		may        func() error
	}{
		"nobody is named": {"", "", may(errors.New("no"))},
		"may": {"run_as: www\n",
			"run_as|line 1|www|allowed|commands and hooks of the manifest run as this user", may(nil)},
		"may not": {"run_as: www\n", "run_as|line 1|www|later|who deploys is asked: not root", may(errors.New("not root"))},
		"unknown": {"run_as: www\n", "run_as|line 1|www|later|the host must know this user", nil},
	} {
		h := asked(t, c.text)
		h.RunAs(c.may)
		tells(t, name, h.Report, c.want)
	}
}

// TestElsewhere: what the host alone can tell comes later, where the policy asks for it.
func TestElsewhere(t *testing.T) {
	const (
		hooks = "the hooks are looked at on the host"
		state = "require_state|line 1|the state directory|later|it is looked at on the host"
	)
	for text, want := range map[string]string{
		"":                                  "",
		"commands: deny\n":                  "",
		"hooks: {required: [a, b]}\n":       "hooks.required|line 1|a b|later|" + hooks,
		"hooks: {dirs: [/etc/hooks]}\n":     "hooks.required|||later|" + hooks,
		"hooks: {oci_dirs: [/etc/hooks]}\n": "hooks.required|||later|" + hooks,
		"require_state: true\n":             state,
		"hooks: {required: [a]}\nrequire_state: true\n": "hooks.required|line 1|a|later|" + hooks + "\n" +
			strings.Replace(state, "line 1", "line 2", 1),
	} {
		h := asked(t, text)
		h.Elsewhere()
		tells(t, text, h.Report, want)
	}
}

// TestSigned: the keys that vouch are told, and by which rule they are enough or not.
func TestSigned(t *testing.T) {
	signers := []trust.Signer{{File: "a.pub", TrustedComment: "web 42"}, {File: "b.pub", TrustedComment: "x\ny"}}
	for name, c := range map[string]struct {
		text, keys     string
		signed, denied []string
	}{
		"nobody asks": {"commands: deny\n", "/mine", nil, nil},
		"keys": {"trust: {keys: /keys}\n", "", []string{
			`trust.keys|line 1|a.pub|allowed|it vouches for the manifest: "web 42"`,
			`trust.keys|line 1|b.pub|allowed|it vouches for the manifest: "x\ny"`,
			`trust.keys|line 1|signatures|allowed|2 of the keys in "/keys" vouch for the manifest, of at least 1`},
			[]string{`trust.keys|line 1|signatures|refused|too few`}},
		"threshold": {"trust:\n  keys: /keys\n  threshold: 2\n", "/mine", []string{
			`trust.keys|line 2|a.pub|allowed|it vouches for the manifest: "web 42"`,
			`trust.keys|line 2|b.pub|allowed|it vouches for the manifest: "x\ny"`,
			`trust.threshold|line 3|signatures|allowed|2 of the keys in "/mine" vouch for the manifest, of at least 2`},
			[]string{`trust.threshold|line 3|signatures|refused|too few`}},
	} {
		h := asked(t, c.text)
		h.Keys = c.keys
		h.Signed(signers)
		tells(t, name, h.Report, c.signed...)
		h.Report = &verdict.Report{}
		h.Unsigned(errors.New("too few"))
		tells(t, name+", too few", h.Report, c.denied...)
	}
}

// TestArchive: what holds for the archive is told with the rule, where that of the policy
// holds and not one of the manifest.
func TestArchive(t *testing.T) {
	h := asked(t, "extract: strict\nlimits:\n  archive: 1000\n  unpacked: 2000\n  files: 30\n")
	const sum = "checksum||sha256:00|later|it is compared when the archive has been fetched"
	strict := "extract|line 1|archive|later|strict: what that refuses shows when the archive is read"
	for name, c := range map[string]struct {
		archive Archive
		want    []string
	}{
		"no limits": {Archive{Checksum: "sha256:00"}, []string{sum}},
		"those of the policy": {Archive{"sha256:00", policy.Strict, policy.Limits{Archive: 1000, Unpacked: 2000, Files: 30}},
			[]string{sum, strict, "limits.archive|line 3|archive|later|at most 1000 bytes, as they arrive",
				"limits.unpacked|line 4|archive|later|at most 2000 bytes, as they are written",
				"limits.files|line 5|archive|later|at most 30 entries"}},
		"those of the manifest": {Archive{"sha256:00", policy.Compat, policy.Limits{Archive: 999, Unpacked: 1, Files: 29}},
			[]string{sum, "limits.archive||archive|later|at most 999 bytes, as they arrive",
				"limits.unpacked||archive|later|at most 1 bytes, as they are written",
				"limits.files||archive|later|at most 29 entries"}},
	} {
		h.Report = &verdict.Report{}
		h.Archive(c.archive)
		tells(t, name, h.Report, slices.Clone(c.want)...)
	}
}
