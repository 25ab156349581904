package porter

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/agext/levenshtein"

	"stretcher/internal/hooks"
	"stretcher/internal/text/yamldoc"
)

// Check returns what is wrong with lists whose values are well-formed, with
// keys below prefix, and warns of user-defined names that look as if they were
// meant to run by themselves. Both are sorted by key; neither knows lines.
func (l Lists) Check(prefix string) (warnings, problems []*yamldoc.Problem) {
	for _, name := range l.names() {
		key := prefix + "." + name
		if strings.TrimSpace(name) == "" {
			problems = append(problems, &yamldoc.Problem{Key: prefix, Message: "has a list without a name"})
		}
		if d := doubt(name, key); d != nil {
			warnings = append(warnings, d)
		}
		for i := range l[name] {
			if l[name][i].IsEmpty() {
				continue
			}
			c := checker{entry: &l[name][i], list: name, key: fmt.Sprintf("%s[%d]", key, i)}
			c.check()
			problems = append(problems, c.problems...)
		}
	}
	return warnings, problems
}

// CheckPinned returns which plugins, with keys below prefix, are not named by a
// commit: whoever has the repository may let a tag or a branch be another one.
func (l Lists) CheckPinned(prefix string) (problems []*yamldoc.Problem) {
	for _, name := range l.names() {
		for i, e := range l[name] {
			if e.Repo != "" && !isFullCommit(e.Ref) {
				problems = append(problems, &yamldoc.Problem{
					Key: fmt.Sprintf("%s.%s[%d].ref", prefix, name, i), Value: e.Ref,
					Message: "is no commit of 40 digits: a tag or branch may become another one",
				})
			}
		}
	}
	return problems
}

// names are the names of the lists, sorted.
func (l Lists) names() []string {
	names := make([]string, 0, len(l))
	for name := range l {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// doubt is what a user-defined name leaves in doubt; nil = nothing.
func doubt(name, key string) *yamldoc.Problem {
	near, looks := hooks.Meant(name, hooks.Names.Lists)
	if plain := strings.ReplaceAll(strings.ToLower(name), "-", "_"); !looks && name != Bootstrap &&
		levenshtein.Distance(plain, Bootstrap, nil) <= 1 {
		near, looks = Bootstrap, true
	}
	if !looks {
		return nil
	}
	return &yamldoc.Problem{Key: key, Message: "is not the name of a point: its hooks run only when they are asked for",
		Hint: fmt.Sprintf("did you mean %q?", near)}
}

type checker struct {
	entry     *Entry
	list, key string
	problems  []*yamldoc.Problem
}

func (c *checker) add(key, value, format string, args ...any) {
	at := c.key
	if key != "" {
		at += "." + key
	}
	c.problems = append(c.problems, &yamldoc.Problem{Key: at, Value: value, Message: fmt.Sprintf(format, args...)})
}

func (c *checker) check() {
	c.kind()
	c.plugin()
	c.below("dockerfile", c.entry.Dockerfile)
	c.below("path", c.entry.Path)
	c.environment()
	if r := c.entry.RunCondition; r != "" && stepBefore(c.list) == "" {
		c.add("run_condition", string(r), "is only for hooks that run after a step: post_pack, post_provision, "+
			"post_promote, post_prune, or at post_extract, post_sync, post_launch, finish")
	}
}

// kind checks that the entry is one thing to run.
func (c *checker) kind() {
	var kinds []string
	e := c.entry
	if e.Container() {
		kinds = append(kinds, "a container (dockerfile, repo)")
	}
	if e.Run != "" {
		kinds = append(kinds, "a command (run)")
	}
	if e.Path != "" {
		kinds = append(kinds, "a program (path)")
	}
	switch {
	case len(kinds) == 0:
		c.add("", "", "has nothing to run: one of dockerfile, repo, run and path is required")
	case len(kinds) > 1:
		c.add("", "", "is %s at once", strings.Join(kinds, " and "))
	case e.Run != "" && strings.TrimSpace(e.Run) == "":
		c.add("run", "", "has nothing to run")
	}
}

func (c *checker) plugin() {
	e := c.entry
	if c.variable("repo", e.Repo) || c.variable("ref", e.Ref) {
		return
	}
	switch {
	case e.Repo == "" && e.Ref != "":
		c.add("ref", e.Ref, "needs a repo")
		return
	case e.Repo == "":
		return
	case !validRepo(e.Repo):
		c.add("repo", shown(e.Repo), "is not the URL of a git repository: https, ssh, git, http, file or USER@HOST:PATH")
	}
	switch {
	case e.Ref == "":
		c.add("ref", "", "is required with repo: a tag, branch or commit")
	case !validRef(e.Ref):
		c.add("ref", e.Ref, "is not a tag, branch or commit")
	}
}

// shellVariable is a variable as shells write it. porter fills it in.
var shellVariable = regexp.MustCompile(`\$\{(\w+)\}`)

// variable tells whether a value has a shell's variable in it, and what there is
// instead.
func (c *checker) variable(key, value string) bool {
	m := shellVariable.FindStringSubmatch(value)
	if m == nil {
		return false
	}
	c.add(key, m[0], "is not filled in")
	c.problems[len(c.problems)-1].Hint = fmt.Sprintf("write {{ must_env %q }} for a variable", m[1])
	return true
}

// below checks that a path cannot lead out of its tree by its name alone.
func (c *checker) below(key, path string) {
	switch {
	case path == "":
	case !filepath.IsLocal(path), strings.ContainsRune(path, 0):
		c.add(key, path, "is not a path below the tree")
	case filepath.Clean(path) == ".", strings.HasSuffix(path, "/"):
		c.add(key, path, "is not the path of a file")
	}
}

func (c *checker) environment() {
	e := c.entry.Environment
	for _, name := range e.names() {
		if !validName(name) {
			c.add("environment", name, "is not a variable name")
		} else if v := e[name]; v != nil && strings.ContainsRune(*v, 0) {
			c.add("environment."+name, "", "has a NUL in it")
		}
	}
}

// validName accepts what every engine takes for a name: no white space, no =.
func validName(name string) bool {
	return name != "" && !strings.ContainsAny(name, "= \t\r\n\x00#*\ufeff")
}

var (
	repoURL = regexp.MustCompile(`^(?:https?|ssh|git|file)://[^\s\x00-\x1f-][^\s\x00-\x1f]*$`)
	repoSCP = regexp.MustCompile(`^(?:[A-Za-z0-9_][A-Za-z0-9_.-]*@)?[A-Za-z0-9][A-Za-z0-9.-]*:` +
		`[^:\s\x00-\x1f-][^\s\x00-\x1f]*$`)
)

// validRepo accepts URLs of the transports that only talk git. Helpers such
// as ext::COMMAND run what they are told, and a name without a transport is
// taken for an option or for a path of this host.
func validRepo(repo string) bool {
	if strings.Contains(repo, "://") {
		return repoURL.MatchString(repo)
	}
	return repoSCP.MatchString(repo)
}

// badRef is what no name of a ref holds (git-check-ref-format(1)), and what
// would make an expression or an option of it.
var badRef = regexp.MustCompile(`[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|^[-/.]|[/.]$|\.lock$|/\.|\.lock/|^@$`)

func validRef(ref string) bool { return !badRef.MatchString(ref) }
