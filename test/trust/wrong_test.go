package trust

import (
	"encoding/pem"
	"fmt"
	"os"
	"strings"
)

// wrongSoftware: what is signed and good, and not for this host.
func wrongSoftware() []attack {
	// asks is a manifest that the policy does not allow.
	asks := func(allow, rules, why string, change func(h *host, d *doc)) func(h *host) {
		return func(h *host) {
			h.allow, h.rules = allow, rules
			d := h.doc(5)
			change(h, &d)
			for _, command := range [][]string{{}, {"plan"}, {"check"}} {
				h.refuses("refused by the host policy: .*"+why, append(command, h.publish(d))...)
			}
			h.runs = ""
		}
	}
	named := func(name string) func(*host, *doc) { return func(_ *host, d *doc) { d.name = name } }
	none := func(*host, *doc) {}
	return []attack{
		{"another name", asks(", names: [app]", "", "other", named("other"))},
		{"a name in capitals", asks(", names: [app]", "", "App", named("App"))},
		{"a longer name", asks(", names: [app]", "", "app2", named("app2"))},
		{"a name with a space", asks(", names: [app]", "", "app ", named(`"app "`))},
		{"a name with letters that look alike", asks(", names: [app]", "", "", named("аpp"))},
		{"a name by a template", func(h *host) {
			h.refuses("must be written out", h.publish(h.named(`{{ env "NAME" "app" }}`)))
		}},
		{"no name", func(h *host) {
			d := h.doc(5)
			d.name = ""
			h.rejects("name", h.publish(d))
		}},
		{"another strategy", asks(", strategies: [releases]", "", "native", none)},
		{"a caller who may not", asks(", users: [nobody-else]", "", "", none)},
		{"commands where there shall be none", asks("", "commands: deny\n", "command", none)},
		{"a hook where there shall be no commands", asks("", "commands: deny\n", "hook|command", func(h *host, d *doc) {
			d.commands, d.more = "", "hooks: {post_pack: [{run: "+h.mark("evil")+"}]}\n"
		})},
		{"a hook by name where there shall be none", asks("", "commands: deny\n", "hook|command", func(h *host, d *doc) {
			d.commands, d.more = "", "hooks: {mine: [{run: "+h.mark("evil")+"}]}\n"
		})},
		{"failure commands where there shall be none", asks("", "commands: deny\n", "command", func(h *host, d *doc) {
			d.commands = "{failure: [" + h.mark("evil") + "]}"
		})},
		{"commands to go back where there shall be none", asks("", "commands: deny\n", "command", func(h *host, d *doc) {
			d.commands, d.more = "{post: ["+h.mark("evil")+"]}", ""
		})},
		{"a variable that is not its business", asks("", "env: [VERSION]\n", "SECRET", func(h *host, d *doc) {
			h.env = append(h.env, "SECRET=secret")
			d.src = h.web.URL + `/{{ env "SECRET" "" }}`
		})},
		{"variables for the hooks of the host", func(h *host) {
			h.rules = "commands: deny\n"
			h.hook("etc/hooks.d/after_launch/tell", "env > "+h.path("variables"))
			d := h.doc(5)
			d.commands, d.more = "", "env: {LD_PRELOAD: evil, BASH_ENV: evil, ENV: evil, PATH: evil, HOOK_EVENT: evil}\n"
			h.ended(h.run(h.publish(d)), 0, "")
			if got := h.read("variables"); got == "" || strings.Contains(got, "evil") {
				h.t.Errorf("a hook of the host has %q", got)
			}
		}},
		{"a variable in env", asks("", "env: [VERSION]\n", "SECRET", func(h *host, d *doc) {
			h.env = append(h.env, "SECRET=secret")
			d.more = "env: {SECRET: }\n"
		})},
	}
}

// wrongPlaces are dests that are not below what the policy allows.
func wrongPlaces() []attack {
	// to is a manifest whose dest is not allowed.
	to := func(dest func(h *host) string) func(h *host) {
		return func(h *host) {
			d := h.doc(5)
			d.dest = dest(h)
			h.rejects("dest", h.publish(d))
		}
	}
	return []attack{
		{"dest elsewhere", to(func(h *host) string { return h.path("outside/app") })},
		{"dest by dots", to(func(h *host) string { return h.path("srv") + "/app/../../outside/app" })},
		{"dest by slashes", to(func(h *host) string { return "/" + h.path("outside") + "//app" })},
		{"dest of a longer name", to(func(h *host) string { return h.path("srv") + "-other/app" })},
		{"dest that is not absolute", to(func(*host) string { return "../outside/app" })},
		{"dest that holds the state", to(func(h *host) string { return h.dir })},
		{"dest by a template", to(func(h *host) string { return `{{ env "HOME" "" }}/../outside/app` })},
		{"dest with something after a zero", to(func(h *host) string { return fmt.Sprintf(`"%s\0/../outside"`, h.dest) })},
		{"dest through a symlink", to(func(h *host) string {
			must(h.t, os.Symlink(h.path("outside"), h.path("srv/link")))
			return h.path("srv/link/app")
		})},
		{"dest that is a symlink", to(func(h *host) string {
			must(h.t, os.Symlink(h.path("outside"), h.path("srv/link")))
			return h.path("srv/link")
		})},
		{"dest through a symlink to a symlink", to(func(h *host) string {
			must(h.t, os.Symlink("../outside", h.path("srv/one")))
			must(h.t, os.Symlink("one", h.path("srv/two")))
			return h.path("srv/two/app")
		})},
		{"dest through a symlink that leads nowhere yet", to(func(h *host) string {
			must(h.t, os.Symlink(h.path("outside/later"), h.path("srv/link")))
			return h.path("srv/link/app")
		})},
		{"dest that becomes a symlink", destBecomesLink},
		{"dest that holds the keys", toOwn(".")},
		{"dest that is the directory of the keys", toOwn("trusted.d")},
		{"dest in the directory of the keys", toOwn("trusted.d/new")},
		{"dest that is the directory of hooks", toOwn("hooks.d")},
		{"dest where a hook's event is", toOwn("hooks.d/before_install")},
		{"dest that is the directory of drop-ins", toOwn("policy.d")},
	}
}

// toOwn is a dest where a tree of files would be what the host runs, or whom it
// trusts. Commands are not allowed, and all dests are.
func toOwn(name string) func(h *host) {
	return func(h *host) {
		h.rules, h.dests = "commands: deny\n", "/"
		d := h.doc(5)
		d.dest, d.commands = h.path("etc/"+name), ""
		h.refuses("lie in one another", h.publish(d))
		must(h.t, os.Symlink(d.dest, h.path("srv/link")))
		d.dest = h.path("srv/link")
		h.refuses("lie in one another", h.publish(d))
	}
}

// destBecomesLink: a pre command of a signed manifest, or who owns the
// directory, puts a symlink in the place of what was judged.
func destBecomesLink(h *host) {
	d := h.doc(5)
	d.dest = h.path("srv/new")
	d.commands = fmt.Sprintf("{pre: [ln -s %s %s]}", h.path("outside"), d.dest)
	h.may = []string{"/app.yml", "/app.yml.minisig", "/app-5.tar"}
	url := h.publish(d)
	before := h.look()
	got := h.run(url)
	h.ended(got, 4, "refused by the host policy: .*dest")
	must(h.t, os.Remove(d.dest))
	h.unharmed(before, got.said)
}

// wrongURLs lead to servers, or to places of a server, that are not allowed.
func wrongURLs() []attack {
	// event is an event whose URL is not allowed: nothing is asked for.
	event := func(url func(h *host) string) func(h *host) {
		return func(h *host) {
			h.publish(h.doc(5))
			h.other.put("/app.yml", h.doc(5).String())
			h.may = []string{}
			h.refuses("refused by the host policy: .*manifest", url(h))
		}
	}
	port := func(h *host) string { return h.web.URL[strings.LastIndex(h.web.URL, ":"):] }
	all := []attack{
		{"another port", event(func(h *host) string { return h.other.URL + "/app.yml" })},
		{"another host", event(func(h *host) string { return "http://127.0.0.2" + port(h) + "/app.yml" })},
		{"another scheme", event(func(h *host) string {
			return strings.Replace(h.web.URL, "http", "https", 1) + "/app.yml"
		})},
		{"the allowed one as a user", event(func(h *host) string {
			return strings.Replace(h.other.URL, "http://", h.web.URL+"@", 1) + "/app.yml"
		})},
		{"the allowed one as a user and password", event(func(h *host) string {
			return strings.Replace(h.other.URL, "http://", "http://127.0.0.1"+port(h)+"@", 1) + "/app.yml"
		})},
		{"the allowed one in the path", event(func(h *host) string { return h.other.URL + "/" + h.web.URL + "/app.yml" })},
		{"the allowed one in the query", event(func(h *host) string { return h.other.URL + "/app.yml?" + h.web.URL })},
		{"the allowed one in the fragment", event(func(h *host) string { return h.other.URL + "/app.yml#" + h.web.URL })},
		{"a longer name of a host", event(func(h *host) string { return "http://127.0.0.1.example" + port(h) + "/app.yml" })},
		{"a dot after the host", event(func(h *host) string { return "http://127.0.0.1." + port(h) + "/app.yml" })},
		{"the host as a number", event(func(h *host) string { return "http://2130706433" + port(h) + "/app.yml" })},
		{"many made at random", randomEvents},
		{"many redirects made at random", randomRedirects},
		{"a redirect of the manifest", redirected("/app.yml", "manifest")},
		{"a redirect of the signature", redirected("/app.yml.minisig", "manifest|signature")},
		{"a redirect from https to http", fromTLS("/app.yml")},
		{"a redirect of the signature from https to http", fromTLS("/app.yml.minisig")},
		{"a redirect of the archive", func(h *host) {
			h.other.put("/app.tar", pack("index.html", "version 5"))
			url := h.publish(h.doc(5))
			h.web.on("/app-5.tar", redirect(h.other.URL+"/app.tar"))
			h.may = []string{"/app.yml", "/app.yml.minisig", "/app-5.tar"}
			h.refuses("refused by the host policy: .*src", url)
		}},
		{"a redirect of the archive from https to http", func(h *host) {
			s := h.withTLS()
			d := h.doc(5)
			s.on("/app-5.tar", redirect(d.src))
			d.src = s.URL + "/app-5.tar"
			h.may = []string{"/app.yml", "/app.yml.minisig"}
			h.refuses("refused by the host policy: .*src", h.publish(d))
		}},
		{"a src elsewhere", func(h *host) {
			h.other.put("/app.tar", pack("index.html", "version 5"))
			d := h.doc(5)
			d.src = h.other.URL + "/app.tar"
			h.refuses("refused by the host policy: .*src", h.publish(d))
		}},
		{"a second mirror elsewhere", func(h *host) {
			d := h.doc(5)
			d.src = "[" + d.src + ", " + h.other.URL + "/app.tar]"
			h.refuses("refused by the host policy: .*src", h.publish(d))
		}},
		{"a src in a file", func(h *host) {
			h.write("outside/app.tar", pack("index.html", "version 5"))
			d := h.doc(5)
			d.src = "file://" + h.path("outside/app.tar")
			h.refuses("refused by the host policy: .*src", h.publish(d))
		}},
	}
	for name, path := range map[string]string{
		"dots": "/deploys/../evil.yml", "coded dots": "/deploys/%2e%2e/evil.yml", "half coded dots": "/deploys/.%2E/evil.yml",
		"a coded slash": "/deploys/..%2fevil.yml", "a backslash": `/deploys/..\evil.yml`,
		"a coded backslash": "/deploys/..%5cevil.yml", "twice coded dots": "/deploys/%252e%252e/evil.yml",
		"dots and a semicolon": "/deploys/..;/evil.yml", "a semicolon": "/deploys/;/../evil.yml",
		"a coded semicolon": "/deploys/..%3b/evil.yml", "a longer name": "/deploys-evil/evil.yml",
		"capitals": "/Deploys/evil.yml", "a coded zero": "/deploys/%00/../evil.yml", "the list's parent": "/evil.yml",
	} {
		all = append(all, attack{"a path with " + name, pathOf(path)})
	}
	return all
}

// pathOf is an event, and a src, with a path that servers may take for another
// one, where all below /deploys/ is allowed.
func pathOf(path string) func(h *host) {
	return func(h *host) {
		url := h.publish(h.doc(5))
		list := fmt.Sprintf("[\"%s/deploys/\"]", h.web.URL)
		h.write("etc/policy.d/paths.yml", fmt.Sprintf("allow: {manifests: %[1]s, sources: %[1]s}\n", list))
		h.may = []string{}
		h.refuses("refused by the host policy: .*manifest", h.web.URL+path)
		h.write("etc/policy.d/paths.yml", fmt.Sprintf("allow: {sources: %s}\n", list))
		d := h.doc(5)
		d.src = fmt.Sprintf("%q", h.web.URL+path)
		h.publish(d)
		h.may = nil
		h.refuses("refused by the host policy: .*src", url)
	}
}

// redirected: the server of an allowed URL leads to another one.
func redirected(path, what string) func(h *host) {
	return func(h *host) {
		d := h.doc(5)
		url := h.publish(d)
		h.other.vouched("/app.yml", d, h.alice)
		h.web.on(path, redirect(h.other.URL+path))
		h.refuses("refused by the host policy: .*"+what, url)
	}
}

// withTLS is another server that the host may ask, of https.
func (h *host) withTLS() *server {
	h.t.Helper()
	s, web := newTLSServer(h.t)
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw})
	h.write("etc/ca.pem", string(cert))
	h.env = append(h.env, "SSL_CERT_FILE="+h.path("etc/ca.pem"))
	h.also = s.URL
	return s
}

// fromTLS: what is fetched by https is not fetched by http in the end, though
// the policy allows both.
func fromTLS(path string) func(h *host) {
	return func(h *host) {
		s := h.withTLS()
		d := h.doc(5)
		h.publish(d)
		url := s.vouched("/app.yml", d, h.alice)
		s.on(path, redirect(h.web.URL+path))
		h.may = []string{}
		h.refuses("https", url)
	}
}
