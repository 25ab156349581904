package trust

import (
	"fmt"
	"net/http"
	"os/exec"
	"strings"

	"stretcher/internal/testparts"
)

// extraneousDependencies: nothing is fetched, read or run that the signed bytes
// do not name.
func extraneousDependencies() []attack {
	return []attack{
		{"hooks in the archive", func(h *host) {
			run := "#!/bin/sh\n" + h.mark("evil") + "\n"
			h.deploysTree("hooks.d/evil", run, "hooks.d/before_install/evil", run, ".stretcher/hooks.d/evil", run,
				"hooks/pre_pack", run, "pre", run, "usr/local/p2hooks.d/evil", run)
		}},
		{"keys in the archive", keysInArchive},
		{"a policy in the archive", func(h *host) {
			h.deploysTree("config.yml", "commands: allow\n", "etc/stretcher/config.yml", "", ".stretcher/config.d/x.yml", "")
			h.allow = ", names: [app]"
			h.refuses("other", h.publish(h.named("other")))
		}},
		{"an archive that leads to the keys", func(h *host) {
			h.refusesTree(h.doc(5), pack("keys -> "+h.path("etc/trusted.d"), "", "keys/eve.pub", h.eve.pub()), "symlink|link")
		}},
		{"an archive that leads to the state", func(h *host) {
			h.refusesTree(h.doc(5), pack("../state/serials/x", "{}"), `\.\.`)
		}},
		{"a program beside the manifest", func(h *host) {
			h.hook("home/evil", h.mark("evil"))
			d := h.doc(5)
			d.more = "hooks: {pre_pack: [{path: evil}]}\n"
			h.write("home/app.yml", d.String())
			h.write("home/app.yml.minisig", h.alice.sign(d.String()))
			h.besideTheManifest()
		}},
		{"a plugin by a tag", plugin("v1.0.0")},
		{"a plugin by a branch", plugin("main")},
		{"a plugin by a short commit", plugin("2f1c9f3")},
		{"a plugin by 39 digits", plugin(strings.Repeat("a", 39))},
		{"a plugin by 41 digits", plugin(strings.Repeat("a", 41))},
		{"a plugin by 40 digits that are none", plugin(strings.Repeat("g", 40))},
		{"a plugin by an option of git", plugin("--upload-pack=touch")},
		{"a plugin by no ref", plugin(`""`)},
		{"an exclude list outside the archive", func(h *host) {
			d := h.doc(5)
			d.more = "exclude_from: ../../etc/passwd\n"
			h.fails(3, "exclude_from", h.publish(d))
		}},
		{"an exclude list behind a symlink", func(h *host) {
			h.write("outside/list", "index.html\n")
			d := h.doc(5)
			d.more = "exclude_from: list\n"
			h.may = []string{"/app.yml", "/app.yml.minisig", "/app-5.tar"}
			h.runs = "pre 5\nfailure 5\n"
			url := h.publish(h.of(d, pack("list -> "+h.path("outside/list"), "", "index.html", "version 5")))
			before := h.look()
			got := h.run(url)
			if got.exit == 0 {
				h.t.Error(got.said)
			}
			h.unharmed(before, got.said)
		}},
		{"headers that name other places", func(h *host) {
			d := h.doc(5).String()
			h.publish(h.doc(5))
			for path, text := range map[string]string{"/app.yml": d, "/app.yml.minisig": h.alice.sign(d)} {
				h.web.on(path, func(_ *server, w http.ResponseWriter, _ *http.Request, _ int) {
					for _, name := range []string{"Content-Location", "Link", "Refresh", "Location", "X-Accel-Redirect", "Alt-Svc"} {
						w.Header().Set(name, h.other.URL+path)
					}
					_, _ = w.Write([]byte(text))
				})
			}
			h.may = []string{"/app.yml", "/app.yml.minisig", "/app-5.tar"}
			h.deploys(5, h.web.URL+"/app.yml")
			h.askedFor("")
		}},
	}
}

// named is version 5 by another name.
func (h *host) named(name string) doc {
	d := h.doc(5)
	d.name = name
	return d
}

// deploysTree deploys an archive with other things in it, which must have no
// effect. It is deployed twice: what is live then is no more to be believed.
func (h *host) deploysTree(files ...string) {
	h.t.Helper()
	h.may = []string{"/app.yml", "/app.yml.minisig", "/app-5.tar"}
	url := h.publish(h.of(h.doc(5), pack(append(files, "index.html", "version 5")...)))
	for range 2 {
		h.deploys(5, "--force", url)
		if strings.Contains(h.ran(), "evil") {
			h.t.Errorf("what was in the archive ran: %q", h.ran())
		}
		h.askedFor("")
	}
	h.forget()
}

// keysInArchive: a key becomes trusted by being in the directory of the policy,
// and in no other way.
func keysInArchive(h *host) {
	h.deploysTree("trusted.d/eve.pub", h.eve.pub(), "etc/stretcher/trusted.d/eve.pub", h.eve.pub(), "eve.pub", h.eve.pub())
	h.refuses(badSignature, h.publishAs(h.doc(6).String(), h.eve.sign(h.doc(6).String())))
}

// besideTheManifest deploys a signed manifest that lies in a file, and names a
// program that lies beside it. Nobody has signed that.
func (h *host) besideTheManifest() {
	h.t.Helper()
	policy := fmt.Sprintf("trust: %s\nallow: {dests: [%s]}\n", h.trust, h.path("srv"))
	h.write("etc/files.yml", policy)
	before := h.look()
	cmd := exec.Command(testparts.Shipped(h.t), "--config", h.path("etc/files.yml"), "file://"+h.path("home/app.yml"))
	cmd.Env, cmd.Dir = h.env, h.path("home")
	out, err := cmd.CombinedOutput()
	if err == nil || strings.Contains(h.ran(), "evil") {
		h.t.Errorf("%v, %q: %s", err, h.ran(), out)
	}
	if now := h.look(); now != before {
		h.t.Errorf("the host was\n%s\nand is\n%s", before, now)
	}
}

// plugin: what a tag or branch names can be changed by who has the repository,
// who has signed nothing.
func plugin(ref string) func(h *host) {
	return func(h *host) {
		d := h.doc(5)
		d.more = fmt.Sprintf("hooks: {pre_pack: [{repo: %q, ref: %s}]}\n", h.web.URL+"/plugin.git", ref)
		h.rejects("ref", h.publish(d))
	}
}
