package manifest

import (
	"slices"

	"stretcher/internal/fleet"
	"stretcher/internal/hooks/porter"
	"stretcher/internal/policy"
	"stretcher/internal/text/keys"
)

// What the values of some keys can be: checks ask these, too.
func keepRange() keys.Number  { return keys.Number{Least: 1, Most: 10000} }
func stripRange() keys.Number { return keys.Number{Most: maxStrip} }
func filesRange() keys.Number { return keys.Number{} }
func linkWords() keys.OneOf   { return keys.OneOf{"reflink", "hard", "none", ""} }
func rerunWords() keys.OneOf  { return keys.OneOf{"post", "verify"} }

// Patterns of text. What leads out of the archive further on in a path is found
// by the check alone.
const (
	noNUL     = `^[^\x00]*$`
	localPath = `^$|^(?:[^/.\x00]|\.[^/.\x00]|\.\.[^/\x00]|\./|\.$)[^\x00]*$`
	element   = `(?:[^/.\x00]|\.[^/.\x00]|\.\.[^/\x00])[^/\x00]*`
	cleanPath = `^` + element + `(?:/` + element + `)*/?$`
	noControl = `^[^\x00-\x1f\x7f]*$`
	notRoot   = `^/[^\x00]*(?:[^/.\x00]|\.\.\.)[^\x00]*$`
	noTilde   = `^(?:[^~\x00][^\x00]*)?$`
	something = `\S`
)

// sumPattern is that of a digest, by the names of its algorithms.
func sumPattern(algorithms ...string) string {
	digits := map[string]string{"md5": "{32}", "sha1": "{40}", "sha256": "{64}", "sha512": "{128}"}
	pattern := `^\s*$`
	for _, name := range algorithms {
		pattern += `|^\s*(?:` + keys.Fold(name) + `:)?[0-9a-fA-F]` + digits[name] + `\s*$`
	}
	return pattern
}

// sourcePattern is that of URLs that something is fetched by, and of paths.
func sourcePattern() string {
	const host = `//(?:[^/?#]*@)?[^/?#@:][^/?#@]*(?:[/?#]|$)`
	pattern := "^$"
	for _, s := range [][2]string{
		{"http", host}, {"https", host},
		{"s3", `//[^/?#:@]+/+[^/?#]`}, {"gs", `//[^/?#:@]+/+[^/?#]`}, {"az", `//[^/?#:@]+/+[^/?#]+/+[^/?#]`},
		{"file", `(?://(?:localhost)?/[^?#]|/[^/?#])`}, {"oci", `//[^/?#@]+/[^?#]*[:@][^?#]+$`},
	} {
		pattern += "|^" + keys.Fold(s[0]) + ":" + s[1]
	}
	return pattern + "|^/(?:[^/\\\\][^\\\\]*)?$|^[^:/?#\\\\\\s\"'`<>][^:/?#\\\\]*(?:[/?#][^\\\\]*)?$"
}

// Keys is the table of the keys of a manifest.
func Keys(rules Rules) []keys.Key {
	list := keys.List{Of: keys.Like(noNUL, "is not text without a NUL")}
	return append([]keys.Key{
		keys.Row("src", keys.List{Of: keys.Like(sourcePattern(), "is no URL that an archive can be fetched from").
			And(noControl)},
			"",
			"URL of the archive, or a list of mirrors that are tried in order").From("1.0"),
		keys.Row("checksum", digest(sumPattern("md5", "sha1", "sha256", "sha512")), "",
			"The archive's digest in hexadecimal: `md5`, `sha1`, `sha256` or `sha512`, with the name "+
				"and a colon before it, or bare").From("1.0"),
		keys.Row("index", digest(sumPattern("sha256")), "", "The digest of the archive's index, `sha256` alone"),
		keys.Row("dest", keys.Text(), "",
			"Directory that becomes equal to the archive's tree, as an absolute path, not `/`").From("1.0"),
		keys.Row("dest_mode", keys.Mode(), "",
			"Mode of `dest`, with `releases` of each release, in octal with a leading zero").From("1.0"),
		keys.Row("sync_strategy", rules.words(), "", "How the archive's tree becomes `dest`").From("1.0"),
		keys.Row("native", keys.Section(nativeKeys()), "", "For `sync_strategy: native`"),
		keys.Row("releases", keys.Section(releaseKeys()), "", "For `sync_strategy: releases`"),
		keys.Row("rollback", keys.Either{rollbackWord(), keys.Section(rollbackKeys())}, "`true`",
			"For `sync_strategy: releases`: what happens when the deployment fails after the switch"),
		keys.Row("excludes", list, "", "List of patterns as `rsync --exclude` takes them").From("1.0"),
		keys.Row("exclude_from", keys.Like(localPath, "is not a path inside the archive"), "",
			"A file inside the archive with such patterns, as `rsync --exclude-from` takes them").From("1.0"),
		keys.Row("extract", policy.ExtractWords(), "`compat`", "How the archive is unpacked"),
		keys.Row("strip_components", stripRange(), "0",
			"How many leading components the names in the archive lose, as by `tar --strip-components`"),
		keys.Row("limits", keys.Section(limitKeys()), "", "The largest archive that is accepted; more is refused"),
		keys.Row("fetch", keys.Section(fetchKeys()), "", "How the archive is fetched"),
		keys.Row("rollout", keys.Named{Name: "rollout", Section: fleet.Keys(), Rules: fleet.Rules()}, "",
			"How the manifest goes over a group of hosts: a few at a time"),
	}, described()...)
}

// described are the keys of what runs, and of what people and hooks read.
func described() []keys.Key {
	text := keys.Like(noNUL, "is not text without a NUL")
	return []keys.Key{
		keys.Row("commands", keys.Section(commandKeys()), "",
			"Mapping from a point of the deployment to a list of commands").From("1.0"),
		keys.Row("env", keys.Map{Of: text, Names: `^[^=\x00]+$`}, "",
			"Mapping from name to value: variables for every command"),
		keys.Row("name", text, "", "Text that names the application in the log and the history"),
		keys.Row("version", text, "",
			"Text that names what is deployed, for the log, the history and `STRETCHER_VERSION`"),
		keys.Row("serial", keys.Number{Least: 1, Plain: true}, "", "A whole number from 1 on, in decimal digits"),
		keys.Row("expires", keys.Time(), "", "A time, as in `2026-12-01T00:00:00Z`"),
		keys.Row("annotations", keys.Map{Of: keys.Text()}, "",
			"Mapping from text to text, for tools of your own and for the conditions of OCI hooks"),
		keys.Row("config", keys.Anything{}, "", "Mapping of anything, for hooks"),
		keys.Row("hooks", porter.Value(), "", "Mapping from a name to a list of hooks"),
	}
}

// digest is a value of a pattern; digits alone are a large number to YAML.
func digest(pattern string) keys.Scalar {
	return keys.Like(pattern, "is no digest in hexadecimal").From(1e20)
}

// words are the names of the strategies.
func (r Rules) words() keys.OneOf {
	words := keys.OneOf{}
	for _, k := range r.Kinds {
		words = append(words, k.Name)
	}
	return append(words, "")
}

func nativeKeys() []keys.Key {
	return []keys.Key{keys.Row("checksum", keys.Flag{}, "`false`",
		"a file of the same size and content gets another time without being written")}
}

func releaseKeys() []keys.Key {
	return []keys.Key{
		keys.Row("keep", keepRange(), "5", "how many good releases stay, the new one included: 1 to 10000"),
		keys.Row("shared", keys.List{Of: keys.Like(cleanPath, "is no clean path below dest")}, "none",
			"paths that all releases share: relative, without `..`, none in another"),
		keys.Row("link", linkWords(), "`reflink`",
			"how unchanged files share their room with the release before: `reflink`, `hard` or `none`"),
	}
}

// rollbackWord is rollback as a word, which knows no yes and no.
func rollbackWord() keys.Scalar {
	return keys.Like(`^(?:1|t|T|TRUE|true|True|0|f|F|FALSE|false|False)$`,
		"is not false, true or a mapping with rerun").Whole(0, 1)
}

func rollbackKeys() []keys.Key {
	text := keys.Like(noNUL, "is not text without a NUL")
	return []keys.Key{
		keys.Row("rerun", keys.List{Of: rerunWords()}, "`[post]`",
			"commands that run again after switching back: `post`, `verify`, both, or none (`[]`)"),
		keys.Row("to", text, "", "in the place of `src`: the version that hosts go back to, or `previous`"),
		keys.Row("from", text, "any", "with `to`: only hosts that run this version go back"),
	}
}

func limitKeys() []keys.Key {
	return []keys.Key{
		keys.Row("archive", keys.Size(), "", "bytes as they arrive"),
		keys.Row("unpacked", keys.Size(), "", "bytes as they are unpacked, holes of sparse files included"),
		keys.Row("files", filesRange(), "",
			"entries of any type, and each directory that is made because a name lies in it"),
	}
}

func fetchKeys() []keys.Key {
	return []keys.Key{keys.Row("connections", policy.ConnectionsRange(), "4",
		"on how many connections an archive over 32 MiB comes, 1 to 16")}
}

func commandKeys() (all []keys.Key) {
	when := map[string]string{
		"pre": "archive verified, nothing unpacked", "post": "`dest` is up to date, also when it was before",
		"verify": "after `post`", "success": "all went well",
		"failure": "something went wrong once the host had accepted the manifest",
	}
	line := keys.Named{Name: "command", Needs: "run", Section: lineKeys()}
	for _, p := range new(Commands).Points() {
		since := "1.0"
		if p.Name == "verify" {
			since = "2.0"
		}
		of := keys.List{Of: keys.Either{line, keys.Like(noNUL, "is not text without a NUL")}}
		all = append(all, keys.Key{Name: p.Name, Value: of, About: when[p.Name], Since: since})
	}
	return all
}

func lineKeys() []keys.Key {
	return []keys.Key{
		keys.Row("run", keys.Like(something, "has nothing to run").And(noNUL).Must(), "", "the command line; required"),
		keys.Row("timeout", keys.Seconds(), "none",
			"after it the command and all it started get TERM, and KILL 10 s later"),
		keys.Row("cwd", keys.Like(noTilde, "begins with ~, which only a shell knows"), "where stretcher was started",
			"working directory"),
	}
}

// Schema is the JSON Schema of manifests.
func Schema(rules Rules) ([]byte, error) {
	d := &keys.Document{
		ID: "urn:stretcher:schema:manifest", Title: "stretcher manifest",
		About:   "What to deploy, and which commands to run.",
		Keys:    Keys(rules),
		Own:     `^(?:x-|\.)`,
		Filled:  "\\{\\{(?:-[ \t])?[ \t]*(?:must_)?env[ \t\"`]",
		Relaxed: true,
	}
	absolute := keys.Like(notRoot, "is not an absolute path below /").Must()
	set := keys.Like(something, "is required with src").From(0).Must()
	d.Rules = []keys.Schema{
		{"if": hasSource(`^\s*[^\s{]`), "then": keys.Schema{
			"required":   []string{"checksum", "dest"},
			"properties": keys.Schema{"checksum": d.Part(set), "dest": d.Part(absolute)},
		}},
		{"if": keys.IfSet("index"), "then": hasSource(something)},
		{"if": keys.IfSet("serial"), "then": named()},
		{"if": keys.IfSet("rollout"), "then": named()},
		{"if": rollbackHas("from"), "then": rollbackHas("to")},
		{"if": rollbackHas("to"), "then": keys.Schema{
			"required": []string{"dest"}, "properties": keys.Schema{"dest": d.Part(absolute)}, "not": hasSource(something),
		}},
	}
	return d.JSON()
}

// rollbackHas is the schema of a manifest in whose rollback a key holds something. With
// to, it brings nothing.
func rollbackHas(key string) keys.Schema {
	back := keys.IfSet(key)
	back["type"] = "object"
	return keys.Schema{"required": []string{"rollback"}, "properties": keys.Schema{"rollback": back}}
}

// named is the schema of a manifest that has a name, or that of its dest.
func named() keys.Schema {
	return keys.Schema{"anyOf": []keys.Schema{keys.IfSet("name"), keys.IfSet("dest")}}
}

// hasSource is the schema of a manifest that has a src of a pattern. One that
// begins with a template may be filled by nothing.
func hasSource(pattern string) keys.Schema {
	one := []keys.Schema{{"type": "string", "pattern": pattern}, {"type": []string{"number", "boolean"}}}
	all := append(slices.Clone(one), keys.Schema{"type": "array", "contains": keys.Schema{"anyOf": one}})
	return keys.Schema{"required": []string{"src"}, "properties": keys.Schema{"src": keys.Schema{"anyOf": all}}}
}
