package porter

import (
	"stretcher/internal/hooks"
	"stretcher/internal/text/keys"
)

// What paths below a tree, and names of variables, look like. What leads out of a
// tree further on in a path is found by the check alone.
const (
	belowTree = `^$|^(?:[^/.]|\.[^/.]|\.\.[^/]|\./[^/\x00])(?:[^\x00]*[^/\x00])?$`
	variables = `^[^= \t\r\n\x00#*]+`
)

// Addresses of git repositories, as validRepo takes them.
const (
	byURL = `^(?:https?|ssh|git|file)://[^\s\x00-\x1f-][^\s\x00-\x1f]*$`
	bySSH = `^(?:[A-Za-z0-9_][A-Za-z0-9_.-]*@)?[A-Za-z0-9][A-Za-z0-9.-]*:` +
		`(?:[^:/\s\x00-\x1f-][^\s\x00-\x1f]*|/(?:[^/\s\x00-\x1f][^\s\x00-\x1f]*)?)$`
)

// conditions are those of hooks that run after a step.
func conditions() keys.OneOf {
	return keys.OneOf{string(hooks.Pass), string(hooks.Fail), string(hooks.Always)}
}

// Keys is the table of the keys of an entry.
func Keys() []keys.Key {
	return append(common(), keys.Row("run_condition", conditions(), "`pass`; `always` at `finish`",
		"of `post_*` hooks and those at `finish`: `pass`, `fail` or `always`"))
}

// common are the keys of every entry.
func common() []keys.Key {
	path := keys.Like(belowTree, "is not the path of a file below the tree")
	text := keys.Like(`^[^\x00]*$`, "is not text without a NUL")
	repo := keys.Like("^$|"+byURL+"|"+bySSH,
		"is not the URL of a git repository: https, ssh, git, http, file or USER@HOST:PATH")
	ref := keys.Like(`^$|^[^-/.\x00-\x20\x7f~^:?*\[\\][^\x00-\x20\x7f~^:?*\[\\]*$`, "is not a tag, branch or commit").
		And(`^(?:[^.]|\.[^.])*\.?$`)
	return []keys.Key{
		keys.Row("dockerfile", path, "`Dockerfile`, with `repo`",
			"a container, built from this file of the archive, or of the plugin"),
		keys.Row("repo", repo, "", "a plugin: URL of a git repository"),
		keys.Row("ref", ref, "", "its tag, branch or commit"),
		keys.Row("run", keys.Like(`^$|\S`, "has nothing to run"), "", "a shell command"),
		keys.Row("path", path, "", "an executable file of the archive"),
		keys.Row("environment", keys.Either{
			keys.Map{Of: text, Names: variables + "$"},
			keys.List{Of: keys.Like(variables+`(?:=[^\x00]*)?$`, "is not NAME=value or NAME"), Only: true},
		}, "none", "variables: a mapping or a list `[NAME=value, NAME]`"),
		keys.Row("concurrent", keys.Flag{}, "`false`",
			"run together with adjacent concurrent entries of the same list"),
		keys.Row("timeout", keys.Seconds(), "none",
			"seconds, or `90s`, `5m`: then TERM, and KILL 10 s later; it covers clone, build and run"),
	}
}

// Value is what may stand at hooks in a manifest.
func Value() keys.Value {
	any := keys.List{Of: keys.Named{Name: "hook", Section: common(), Rules: entryRules()}}
	after := keys.List{Of: keys.Named{Name: "hookAfter", Section: Keys(), Rules: entryRules()}}
	m := keys.Map{Of: any, Names: `\S`}
	for _, n := range hooks.Points() {
		for _, name := range n.Lists() {
			k := keys.Key{Name: name, Value: any, Since: "2.0",
				About: "hooks that run at the point `" + string(n.Point) + "`"}
			if step := stepBefore(name); step != "" {
				k.Value, k.About = after, k.About+", after "+step
			}
			m.Known = append(m.Known, k)
		}
	}
	return m
}

// entryRules: an entry is one thing to run.
func entryRules() (all []keys.Schema) {
	var one []keys.Schema
	for _, key := range []string{"dockerfile", "repo", "run", "path"} {
		one = append(one, keys.IfSet(key))
	}
	all = append(all, keys.Schema{"if": keys.Schema{"minProperties": 1}, "then": keys.Schema{"anyOf": one}})
	for _, keyed := range [][]string{{"run", "path", "dockerfile", "repo"}, {"path", "dockerfile", "repo"}} {
		none := keys.Schema{}
		for _, other := range keyed[1:] {
			none[other] = keys.Unset()
		}
		all = append(all, keys.Schema{"if": keys.IfSet(keyed[0]), "then": keys.Schema{"properties": none}})
	}
	return append(all,
		keys.Schema{"if": keys.IfSet("repo"), "then": keys.IfSet("ref")},
		keys.Schema{"if": keys.IfSet("ref"), "then": keys.IfSet("repo")})
}
