package policy

import (
	"strings"

	"stretcher/internal/fleet"
	"stretcher/internal/text/keys"
)

// What the values of some keys can be: checks ask these, too.

func verdicts() keys.OneOf       { return keys.OneOf{string(Permit), string(Deny)} }
func thresholds() keys.Number    { return keys.Number{Least: 1, Most: MaxThreshold} }
func countRange() keys.Number    { return keys.Number{} }
func absolutePath() keys.Scalar  { return keys.Like("^/", "is not an absolute path") }
func plainName() keys.Scalar     { return keys.Like(`^[^\s*](?:[^*]*[^\s*])?$`, "is not a name") }
func oneVariable() keys.Scalar   { return keys.Like(`^[^=*?\s\x00]+$`, "is not the name of a variable") }
func anyText() keys.Scalar       { return keys.Like(`\S`, "is empty") }
func directoryPath() keys.Scalar { return keys.Like(`^/[^*]*$`, "is not an absolute path without a *") }

// prefixPattern is that of the beginnings of URLs that checkPrefix takes, without
// what only it can tell.
func prefixPattern(schemes ...string) string {
	var all []string
	for _, scheme := range schemes {
		host := "//[^/?#@*]+(?:/[^?#*]*)?"
		switch scheme {
		case "file":
			host = "(?://(?:localhost)?/[^?#*]*|/(?:[^/?#*][^?#*]*)?)"
		case "oci":
			host = "//[^/?#@*]+(?:/[^?#*%]*)?"
		}
		all = append(all, keys.Fold(scheme)+":"+host)
	}
	return "^(?:" + strings.Join(all, "|") + ")$"
}

// Keys is the table of the keys of a file of the host policy.
func Keys() []keys.Key {
	return []keys.Key{
		keys.Row("allow", keys.Section(allowKeys()), "", "what is allowed; without a list, everything is"),
		keys.Row("trust", keys.Section(trustKeys()), "", "who must vouch for a manifest"),
		keys.Row("commands", verdicts(), "`allow`", "`deny`: the host takes files alone"),
		keys.Row("run_as", anyText(), "the caller", "user whom the commands and hooks of a manifest run as"),
		keys.Row("env", keys.List{Of: oneVariable()}, "all",
			"variables of the environment that templates, and `env` of a manifest, may read"),
		keys.Row("rollback", verdicts(), "`allow`", "`deny`: `stretcher rollback` is refused"),
		keys.Row("limits", keys.Section(limitKeys()), "", "the largest that is accepted"),
		keys.Row("fetch", keys.Section(fetchKeys()), "", "how archives are fetched"),
		keys.Row("extract", ExtractWords(), "`compat`", "`strict` or `compat`"),
		keys.Row("history", keys.Section(historyKeys()), "", "what is remembered of runs"),
		keys.Row("cache", keys.Section(cacheKeys()), "", "what is kept of archives"),
		keys.Row("metrics", absolutePath(), "none",
			"file in which each run leaves, at its end, what monitoring needs of all dests"),
		keys.Row("hooks", keys.Section(hookKeys()), "", "hooks of the host"),
		keys.Row("rollout", keys.Section(fleet.BoundKeys()), "", "the most that a rollout may have at work or fail"),
		keys.Row("http", keys.List{Of: server()}, "none",
			"what servers of http and https get: headers, certificates, passwords"),
		keys.Row("require_state", keys.Flag{}, "`false`",
			"refuse to deploy, and to run hooks by name, without a usable state directory"),
	}
}

func allowKeys() []keys.Key {
	url := keys.Like(prefixPattern(Schemes()...), "is not the beginning of a URL that something is fetched by")
	urls := keys.List{Of: url}
	words := keys.List{Of: plainName()}
	return []keys.Key{
		keys.Row("manifests", urls, "all", "where manifests may come from, redirects and signatures included"),
		keys.Row("sources", urls, "all",
			"where archives may come from; each mirror in `src` must be allowed, and where it redirects to"),
		keys.Row("dests", keys.List{Of: directoryPath()}, "all",
			"where to deploy; a directory of the system only where an entry names exactly that"),
		keys.Row("names", words, "all", "the `name` of a manifest that this host expects, to the letter"),
		keys.Row("strategies", words, "all", "the `sync_strategy` of a deployment, the default one too"),
		keys.Row("users", words, "all",
			"who may start deployments, rollbacks, `fetch`, `hooks run` and `hooks install`"),
	}
}

func trustKeys() []keys.Key {
	return []keys.Key{
		keys.Row("keys", absolutePath(), "none", "directory of public keys: manifests must be signed by them"),
		keys.Row("threshold", thresholds(), "1", "how many different keys must have signed"),
	}
}

func limitKeys() []keys.Key {
	return []keys.Key{
		keys.Row("manifest", keys.Size(), "1 MiB", "bytes of a manifest; more than 1 MiB can't be allowed"),
		keys.Row("archive", keys.Size(), "none", "bytes of an archive, as they arrive"),
		keys.Row("unpacked", keys.Size(), "none",
			"bytes it unpacks to, counted as they are written, holes of sparse files too"),
		keys.Row("files", countRange(), "none",
			"entries in an archive, and each directory that is made because a name lies in it"),
		keys.Row("rate", keys.Size(), "1 KiB",
			"bytes per second that a server must bring at least, over a minute of waiting for it, or it has failed"),
	}
}

func fetchKeys() []keys.Key {
	return []keys.Key{keys.Row("connections", ConnectionsRange(), "none",
		"on how many connections an archive comes at most; a manifest asks for 4, or says")}
}

func historyKeys() []keys.Key {
	return []keys.Key{
		keys.Row("keep", keys.Days(), "`90d`", "how long runs are remembered: days (`30d`), or hours (`36h`)"),
		keys.Row("log", keys.Size(), "64 MiB",
			"size of a run's log from which on it keeps none of what commands, hooks and rsync print"),
		keys.Row("json", absolutePath(), "none", "file to which each command and hook is appended as a line of JSON"),
	}
}

func cacheKeys() []keys.Key {
	return []keys.Key{
		keys.Row("archives", countRange(), "2",
			"archives kept of each dest of `rsync` and `native` for a rollback, the live one included; 0: none"),
		keys.Row("size", keys.Size(), "see right",
			"bytes of all kept archives together: of those for rollbacks, and of the cache; 0: none"),
	}
}

func hookKeys() []keys.Key {
	dirs, args := keys.List{Of: directoryPath()}, keys.List{Of: keys.Text()}
	return []keys.Key{
		keys.Row("dirs", dirs, "none", "hook directories"),
		keys.Row("oci_dirs", dirs, "none", "directories of OCI hook definitions"),
		keys.Row("required", keys.List{Of: keys.Like("[^\\x00]", "is empty")}, "none",
			"hooks of `dirs` whose failure stops a deployment: `NAME` or `EVENT/NAME`"),
		keys.Row("term_after", keys.Span(), "`30s`",
			"when a hook of `dirs` gets TERM, from its start: seconds, or `30s`, `2m`"),
		keys.Row("kill_after", keys.Span(), "`60s`", "when it gets KILL, from its start; not before `term_after`"),
		keys.Row("engine", anyText(), "podman, or docker",
			"program that builds and runs containers: a path, or a name that is looked for in `PATH`"),
		keys.Row("engine_args", args, "none", "its options before the command, as `--runtime runc`"),
		keys.Row("build_args", args, "none", "options of its `build`"),
		keys.Row("run_args", args, "none", "options of its `run`, as `--network none`"),
	}
}

// server is an entry of http.
func server() keys.Named {
	path := absolutePath()
	return keys.Named{Name: "server", Needs: "url", Section: keys.Section{
		keys.Row("url", keys.Like(prefixPattern("http", "https"), "is not the beginning of a URL of http or https"),
			"",
			"scheme, host and path, compared as the entries of `allow` are"),
		keys.Row("header_files", keys.Map{Of: path, Names: "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"}, "",
			"by header, the file that holds its value, one line"),
		keys.Row("client_cert", path, "", "file in PEM of the certificate of this host"),
		keys.Row("client_key", path, "",
			"file in PEM of its key; without it the key is in the file of the certificate"),
		keys.Row("ca", path, "", "file in PEM of the authorities that count there, in the place of the system's"),
		keys.Row("netrc", path, "", "file of users and passwords by host, as for curl; `default` counts"),
	}, Rules: []keys.Schema{
		{"required": []string{"url"}, "minProperties": 2},
		{"dependencies": keys.Schema{"client_key": []string{"client_cert"}}},
	}}
}

// Schema is the JSON Schema of a file of the host policy.
func Schema() ([]byte, error) {
	return (&keys.Document{
		ID: "urn:stretcher:schema:policy", Title: "stretcher host policy",
		About: "What the owner of a host allows, whoever writes the manifests.",
		Keys:  Keys(),
	}).JSON()
}
